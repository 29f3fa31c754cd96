//! The wasm shape: Spin applications as guests of wasmtime, with `wasi:nn` over `hearth-engine` and Spin's key-value and variables, behind `hearth-server`.
//!
//! The binary `trigger-nn-http` is a Spin trigger plugin and also runs a `spin.toml` by itself. Used by nobody else; knows nothing of the handler inside a component, and
//! never imports `hearth-function`.

pub mod app;
mod cache;
pub mod cli;
mod guest;
pub mod models;
mod service;
pub mod trigger;

pub use guest::{BodyError, ComponentError, GuestBody, GuestOptions, Output, Runtime};
pub use service::Service;
