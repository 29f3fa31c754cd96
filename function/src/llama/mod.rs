//! What llama.cpp's server has beside OpenAI's API: a model's tokens, its chat template, and documents in the order of their nearness to a query.

mod rerank;
pub(crate) mod schemas;
mod template;
mod tokens;

pub(crate) use rerank::{TABLE as RERANK, post as rerank};
pub(crate) use template::{TABLE as TEMPLATE, post as apply_template};
pub(crate) use tokens::{DETOKENIZE, TOKENIZE, detokenize, tokenize};
