//! Guests: wasm components with an HTTP handler, run in wasmtime. What a guest may import is linked in [`runtime`]; how one request runs is [`drive`]'s.
//!
//! Nothing here knows what a chat or a model is, nor where the description of a component comes from.

mod body;
mod component;
mod drive;
mod keyvalue;
mod nn;
mod options;
mod outbound;
mod runtime;
mod spin;
mod state;

pub use body::{BodyError, GuestBody};
pub use component::ComponentError;
pub(crate) use component::Guest;
pub(crate) use drive::Failure;
pub use options::{GuestOptions, Output};
pub use runtime::Runtime;
