//! The engine as a WASI component: it exports `wasi:nn` as `hearth-host` imports it into guests (docs/wasi-nn.md), and needs nothing but plain WASI of its host. Composed with
//! the handler it is the whole service in one component: docs/portable.md.
//!
//! There are no threads in it: a guest's `compute` computes. Never here: HTTP, the handler, and any semantics of wasi-nn that the engine does not have.

#![cfg(target_family = "wasm")]

mod bindings;
mod exports;
mod models;
mod notes;
