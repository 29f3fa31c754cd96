//! What a server tells of itself: access lines, metrics, traces, health, and its last words. Over raw sockets.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod health;
mod last_words;
mod metrics;
mod traces;
mod world;
