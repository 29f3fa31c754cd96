//! The handler through its one door, over a scripted world.

// Nothing here is reached from outside a test binary.
#![allow(unreachable_pub)]

mod answers;
mod errors;
mod mutations;
mod page;
mod requests;
mod routes;
mod streams;
mod world;
