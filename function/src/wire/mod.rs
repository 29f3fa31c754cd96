//! OpenAI's wire types: what a client sends and what it gets, byte for byte, and nothing about how an answer is made.
//!
//! Requests are read from a bounded JSON tree ([`json`]) field by field (`fields`), so that every refusal names its parameter; answers are plain `serde` structs.

pub mod chat;
pub mod completion;
pub mod error;
mod fields;
pub mod json;
pub mod message;
pub mod models;

pub use chat::ChatRequest;
pub use error::ApiError;
