//! The chat service: routes, the APIs' wire types, streaming, the chat page. One handler for both shapes; it cannot tell where it runs.
//!
//! What it needs of the world are ports (traits), such as [`ports::Nn`] and [`ports::Outbound`]. A host implements them; as a wasm component `wasm` does, over wasi-nn and Spin's
//! variables. Never here: wasmtime, Burn, tokio, sockets; `cfg(target_family = "wasm")` stands below and nowhere else.

pub mod anthropic;
pub mod body;
mod cache;
mod docs;
mod endpoints;
mod export;
pub mod generate;
mod ident;
pub mod keys;
mod limits;
mod llama;
mod models;
mod nn;
mod ollama;
pub mod openai;
mod openapi;
mod page;
pub mod ports;
mod receive;
mod remote;
mod respond;
mod routes;
mod settings;
mod socket;
mod store;
mod told;
mod watched;
pub mod wire;

#[cfg(target_family = "wasm")]
mod wasm;

pub use body::Body;

/// Answers a request; every failure is an answer too. Dropping the future, or the body that it returned, stops the sequence behind it.
pub async fn handle<P: ports::Ports, B: http_body::Body<Data = bytes::Bytes>>(ports: P, request: http::Request<B>) -> http::Response<Body> {
    routes::answer(ports, request).await
}
