//! The handler through its one door, over a scripted world.

// Nothing here is reached from outside a test binary.
#![allow(unreachable_pub)]

mod answers;
mod anthropic_answers;
mod anthropic_requests;
mod at_rest;
mod cache;
mod choices;
mod client;
mod completions;
mod contract;
mod conversations;
mod embeddings;
mod errors;
mod fallback;
mod formats;
mod keys;
mod limits;
mod llama_completions;
mod logprobs;
mod mutations;
mod ollama_answers;
mod ollama_embeddings;
mod ollama_models;
mod ollama_requests;
mod openapi;
mod other;
mod page;
mod requests;
mod responses;
mod responses_kept;
mod responses_stream;
mod routes;
mod streams;
mod tokens;
mod told;
mod tools;
mod world;
