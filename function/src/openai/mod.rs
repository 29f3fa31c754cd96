//! OpenAI's API, with what llama.cpp's and vLLM's servers add to it: wire types, and how each request is read into what this service does, and written from it.

pub mod chat;
pub mod completions;
pub(crate) mod conversations;
pub mod embeddings;
pub(crate) mod format;
mod head;
pub(crate) mod listing;
pub(crate) mod logprobs;
mod metadata;
mod models;
pub mod responses;
pub(crate) mod sampling;
pub(crate) mod schemas;
pub(crate) mod usage;

pub(crate) use models::{list, one};
pub use sampling::{MAX_STOP_BYTES, MAX_STOPS};
