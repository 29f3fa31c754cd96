//! Ollama's API: `/api/chat` and `/api/generate`, streamed as lines of JSON unless a client wants them whole, embeddings, and what there is to know of the models. Models are
//! not pulled, made, copied or deleted here, so the routes for that are not there.

mod answer;
mod chat;
mod embed;
mod error;
mod generate;
mod models;
mod names;
mod options;
mod request;
pub(crate) mod schemas;
mod stream;

pub(crate) use chat::{TABLE as CHAT, post as chat};
pub(crate) use embed::{EMBED, EMBEDDINGS, embed, embeddings};
pub(crate) use error::response as refusal;
pub(crate) use generate::{TABLE as GENERATE, post as generate};
pub(crate) use models::{SHOW, running, show, tags, version};
