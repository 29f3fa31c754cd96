//! The wasm shape: Spin applications as guests of wasmtime, with `wasi:nn` over `hearth-engine` and Spin's key-value and variables, behind `hearth-server`.
//!
//! The binary `trigger-nn-http` is a Spin trigger plugin and also runs a `spin.toml` by itself. Used by nobody else; knows nothing of the handler inside a component, and
//! never imports `hearth-function`.

// What is public is compiled for the tests of this crate's own modules too, whether they call it or not: of what calls wasmtime, that is minutes.
#![cfg_attr(test, allow(dead_code, unreachable_pub, unused_imports))]

pub mod app;
mod cache;
pub mod cli;
mod guest;
pub mod models;
#[cfg(not(test))]
mod service;
#[cfg(not(test))]
pub mod trigger;

#[cfg(not(test))]
pub use guest::{BodyError, ComponentError, GuestBody, GuestOptions, Output, Runtime};
#[cfg(not(test))]
pub use service::Service;
