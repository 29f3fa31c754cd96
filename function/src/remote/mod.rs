//! Models that another Hearth computes. What is not here, or what this server's own queue refuses, is asked of the server that the setting `fallback_url` names, in wasi-nn's words
//! (`docs/wasi-nn.md`, "Over HTTP"): a request's document goes there, and the outputs of each compute come back as a line. All that is above, keys and limits, the APIs' forms, what
//! is kept, is this server's as ever; it does not know where a chunk was computed. `docs/edge.md` tells how to use it.

mod circuit;
mod graph;
mod line;
mod link;
mod listing;
mod serve;

pub(crate) use graph::{ReachedContext, ReachedGraph};
pub(crate) use link::{Link, hops};
pub(crate) use listing::names;
pub(crate) use serve::{PATH, post};

use serde_json::{Value, json};

use crate::ports::NnError;

/// A failure in the contract's form.
fn failure(kind: &str, message: impl Into<String>) -> NnError {
    NnError { data: json!({"kind": kind, "message": message.into()}).to_string() }
}

/// Of which kind a failure is; of none where it is not in the contract's form.
fn kind(error: &NnError) -> String {
    let document: Value = serde_json::from_str(&error.data).unwrap_or_default();
    document["kind"].as_str().unwrap_or_default().to_owned()
}
