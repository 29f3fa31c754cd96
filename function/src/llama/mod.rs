//! What llama.cpp's server has beside OpenAI's API: its own completions and properties, a model's tokens, its chat template, and documents in the order of their nearness to a query.

mod completion;
mod props;
mod rerank;
pub(crate) mod schemas;
mod template;
mod tokens;

pub(crate) use completion::{TABLE as COMPLETION, post as completion};
pub(crate) use props::{QUERY as PROPS_QUERY, get as props};
pub(crate) use rerank::{TABLE as RERANK, post as rerank};
pub(crate) use template::{TABLE as TEMPLATE, post as apply_template};
pub(crate) use tokens::{DETOKENIZE, TOKENIZE, detokenize, tokenize};
