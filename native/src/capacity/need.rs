//! The formula: memory = weights + KV of a token × context × sequences + what computing takes; and what each token reads of it.

use hearth_engine::{KvType, Outline};

/// Positions of a block of the KV cache: a chat takes whole ones.
const BLOCK: usize = 16;
/// Bytes of the process without any model: program, server, threads. Measured, as the next two are: docs/capacity.md.
const PROCESS: u64 = 44_000_000;
/// Bytes of tokenizer and tables for each token of the vocabulary.
const VOCABULARY_ENTRY: u64 = 128;
/// Bytes of a chat beside its KV cache and its row of logits.
const CHAT: u64 = 300_000;
/// Rows of a step: what a prompt is cut into.
const STEP_ROWS: u64 = 128;
/// Rows of the residual stream's width, as f32, that a row of a step has in memory at once.
const ROWS_AT_ONCE: u64 = 12;

/// What a model needs for `sequences` chats of `context` tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) context: usize,
    pub(super) sequences: usize,
    /// Bytes of the weights.
    pub(super) weights: u64,
    /// Bytes of a token in the KV cache.
    pub(super) position: u64,
    /// Bytes of everything else.
    pub(super) working: u64,
    /// Bytes of the file's largest tensor, which is in memory twice while it is repacked.
    pub(super) largest: u64,
    /// Bytes of the weights that a step reads, whatever the number of its chats.
    pub(super) weights_read: u64,
    /// Bytes of the KV cache that each of its chats reads once it is as long as its context.
    pub(super) position_read: u64,
}

impl Need {
    pub(super) fn of(outline: &Outline, largest: u64, ty: KvType, context: usize, sequences: usize) -> anyhow::Result<Self> {
        let (position, position_read) = match &outline.kv {
            Some(kv) => (kv.position_bytes(ty)? as u64, kv.read_bytes(ty, context)?),
            None => (0, 0),
        };
        let (vocabulary, width) = (outline.vocabulary as u64, outline.facts.embedding_length as u64);
        let activations = STEP_ROWS.saturating_mul(width).saturating_mul(ROWS_AT_ONCE * size_of::<f32>() as u64);
        let logits = vocabulary.saturating_mul(size_of::<f32>() as u64);
        let chats = logits.saturating_add(CHAT).saturating_mul(sequences as u64);
        let working = PROCESS.saturating_add(vocabulary.saturating_mul(VOCABULARY_ENTRY)).saturating_add(activations).saturating_add(chats);
        Ok(Self {
            context,
            sequences,
            weights: outline.cpu_bytes,
            position,
            working,
            largest,
            weights_read: outline.token_bytes,
            position_read,
        })
    }

    /// Bytes of one chat's part of the KV cache.
    pub(super) fn chat(&self) -> u64 {
        self.position.saturating_mul(self.context.next_multiple_of(BLOCK) as u64)
    }

    /// Bytes of the KV cache.
    pub(super) fn cache(&self) -> u64 {
        self.chat().saturating_mul(self.sequences as u64)
    }

    /// Bytes altogether, once all chats are as long as they may be.
    pub(super) fn total(&self) -> u64 {
        self.weights.saturating_add(self.cache()).saturating_add(self.working)
    }

    /// Bytes while it is loaded, at most. Where the repacked weights are on disk already, as those of a model of the catalog after its first start, it is fewer.
    pub(super) fn loading(&self) -> u64 {
        self.weights.saturating_add(self.largest).saturating_add(self.working)
    }

    /// The most of both.
    pub(super) fn peak(&self) -> u64 {
        self.total().max(self.loading())
    }

    /// Chats of this length that `free` bytes have room for beside the weights; `None` where they take no cache.
    pub(super) fn sequences_in(&self, free: u64) -> Option<u64> {
        free.saturating_sub(self.weights).saturating_sub(self.working).checked_div(self.chat())
    }

    /// Tokens of one chat that `free` bytes have room for beside the weights, whatever the model was trained for.
    pub(super) fn context_in(&self, free: u64) -> Option<u64> {
        let tokens = free.saturating_sub(self.weights).saturating_sub(self.working).checked_div(self.position)?;
        Some(tokens / BLOCK as u64 * BLOCK as u64)
    }

    /// Tokens a second of `sequences` chats together that memory of this bandwidth (bytes a second) lets through, all as long as their context.
    pub(super) fn most_tokens(&self, bandwidth: f64, sequences: usize) -> f64 {
        let step = self.weights_read as f64 + sequences as f64 * self.position_read as f64;
        sequences as f64 * bandwidth / step.max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEED: Need =
        Need { context: 100, sequences: 3, weights: 1000, position: 10, working: 500, largest: 0, weights_read: 800, position_read: 200 };

    #[test]
    fn chats_take_whole_blocks() {
        assert_eq!((NEED.chat(), NEED.cache(), NEED.total()), (1120, 3360, 4860));
        assert_eq!(NEED.sequences_in(4859), Some(2));
        assert_eq!(NEED.sequences_in(4860), Some(3));
        assert_eq!(NEED.sequences_in(0), Some(0));
        assert_eq!(NEED.context_in(1500 + 335), Some(32));
        assert_eq!(Need { position: 0, ..NEED }.sequences_in(5000), None);
    }

    #[test]
    fn loading_may_take_more_than_all_chats() {
        assert_eq!(NEED.peak(), 4860);
        assert_eq!(Need { largest: 4000, ..NEED }.peak(), 5500);
    }

    #[test]
    fn a_step_reads_the_weights_once_for_all_its_chats() {
        assert_eq!(NEED.most_tokens(1e6, 1), 1000.0);
        assert_eq!(NEED.most_tokens(1e6, 4), 2500.0);
    }

    #[test]
    fn what_no_machine_holds_is_a_large_number_and_no_panic() {
        let need = Need { context: usize::MAX / 2, position: u64::MAX, ..NEED };
        assert_eq!(need.total(), u64::MAX);
        assert_eq!(need.sequences_in(1 << 40), Some(0));
    }
}
