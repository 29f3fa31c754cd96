//! The response cache: a deterministic answer (greedy, or of a seed) is kept for the same request to come again. Off unless the setting `response_cache` says how many answers each
//! key's holder may have kept.
//!
//! What is kept is the answer's chunks, by the hash of the model's bytes and of the request's document, which has its fields in one order whatever the client's was; so all APIs
//! have it, whole or streamed. It is kept with the caller's other things, encrypted: nobody finds out what others asked. An answer has one place that its hash says, and takes it
//! from whatever was there before: so there are never more than the setting says, and nothing has to be counted.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    ident,
    ports::{Ports, Tensor, TensorType},
    settings, store,
};

/// Bytes of an answer that is kept.
const MAX_BYTES: usize = 256 << 10;
/// Seconds for which it is kept.
const KEPT: u64 = 24 * 60 * 60;

type Tensors = Vec<(String, Tensor)>;

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Entry {
    hash: String,
    /// Outputs by name, all of them texts and documents.
    chunks: Vec<Vec<(String, String)>>,
}

/// An answer that is being made.
pub(crate) struct Recording {
    key: String,
    entry: Entry,
    bytes: usize,
}

/// Answers that may be kept for the caller; 0 is none.
pub(crate) async fn entries<P: Ports>(ports: &P) -> usize {
    settings::number(ports.settings(), "response_cache").await.unwrap_or(0)
}

impl Recording {
    /// Of a model, by its hash, and a request's document. `entries` is above 0.
    pub(crate) fn new(model: &str, document: &[u8], entries: usize) -> Self {
        let hash = Sha256::new().chain_update(model).chain_update([0]).chain_update(document).finalize();
        let (begin, _) = hash.split_first_chunk().map_or(([0; 8], &[][..]), |(begin, rest)| (*begin, rest));
        let slot = u64::from_le_bytes(begin) % entries.max(1) as u64;
        let hash = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { key: format!("cache/{slot}"), entry: Entry { hash, chunks: Vec::new() }, bytes: 0 }
    }

    /// The answer, where it is kept. A store that fails is as one that has it not.
    pub(crate) async fn find<P: Ports>(&self, ports: &P) -> Option<VecDeque<Tensors>> {
        let kept: Entry = store::get(ports, &self.key).await.ok()??;
        let tensor =
            |text: String| Some(Tensor { dimensions: vec![u32::try_from(text.len()).ok()?], ty: TensorType::U8, data: text.into_bytes() });
        let chunk = |chunk: Vec<(String, String)>| chunk.into_iter().map(|(name, text)| Some((name, tensor(text)?))).collect();
        if kept.hash == self.entry.hash { kept.chunks.into_iter().map(chunk).collect() } else { None }
    }

    /// Takes a chunk. The tokens' numbers are no part of any answer.
    pub(crate) fn add(&mut self, outputs: &Tensors) {
        let chunk: Vec<_> = outputs
            .iter()
            .filter(|(name, _)| name != "tokens")
            .map(|(name, tensor)| (name.clone(), String::from_utf8_lossy(&tensor.data).into_owned()))
            .collect();
        self.bytes += chunk.iter().map(|(name, text)| name.len() + text.len()).sum::<usize>();
        if self.bytes <= MAX_BYTES {
            self.entry.chunks.push(chunk);
        }
    }

    /// Keeps the whole answer, unless it is too long.
    pub(crate) async fn keep<P: Ports>(self, ports: &P) {
        if self.bytes <= MAX_BYTES {
            let _ = store::set(ports, &self.key, Some(ident::now() + KEPT), &self.entry).await;
        }
    }
}
