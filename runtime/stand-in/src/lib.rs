//! What Spin offers and plain WASI hosts lack, for the handler as one component with its models (docs/portable.md): variables from the environment, by the names that Spin
//! reads there, and stores that are kept in the memory of the instance, and gone with it.

#![cfg(target_family = "wasm")]

mod bindings;
mod buckets;
#[cfg(not(feature = "p2"))]
mod key_value;
mod memory;
mod variables;

/// The component.
struct StandIn;
