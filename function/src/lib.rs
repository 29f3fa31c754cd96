//! The chat service: routes, OpenAI's wire types, streaming, the chat page. One handler for both shapes; it cannot tell where it runs.
//!
//! What it needs of the world are ports (traits): [`ports::Nn`], [`ports::Settings`]. A host implements them; as a wasm component `wasm.rs` does, over wasi-nn and Spin's
//! variables. Never here: wasmtime, Burn, tokio, sockets; `cfg(target_family = "wasm")` stands below and nowhere else.

pub mod body;
pub mod ports;

#[cfg(target_family = "wasm")]
mod wasm;

pub use body::Body;
