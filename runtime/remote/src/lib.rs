//! A WASI component that exports `wasi:nn` and computes nothing: each sequence is an exchange with a Hearth server (docs/edge.md, "The route between them"). Composed with the handler,
//! or with any guest of wasi-nn's generate mode, it runs where a host has no wasi-nn. It waits by WASI 0.2's pollables, as wasi-nn's functions are synchronous.
//!
//! Never here: models, the APIs, and WASI 0.3, which not every host of the edge has.

#![cfg(target_family = "wasm")]

mod bindings;
mod exchange;
mod exports;
mod failure;
mod line;
