//! What all answers have in common.

use serde::Serialize;

use crate::ident;

/// What all chunks of an answer, or the one whole answer, have in common.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Head {
    /// `chatcmpl-…`, the same in every chunk.
    id: String,
    object: &'static str,
    /// Unix time in seconds.
    created: u64,
    /// The model that answers.
    model: String,
    /// The version that answers.
    system_fingerprint: &'static str,
}

impl Head {
    /// With a name that begins with `prefix`.
    pub(crate) fn new(prefix: &str, object: &'static str, model: String) -> Self {
        Self { id: ident::random(prefix), object, created: ident::now(), model, system_fingerprint: ident::FINGERPRINT }
    }
}
