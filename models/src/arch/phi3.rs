//! `phi3`: Phi 3, 3.5 and 4. Queries, keys and values in one matrix, gate and up in another; RoPE on a part of each head (Phi 4 mini); LongRoPE for the long contexts.
//!
//! Files name a sliding window, but not reliably the one that the model was trained with; it is left out, as llama.cpp does.

use hearth_kernels::RopeStyle;

use super::{
    Source,
    decoder::{Decoder, Traits},
    loader::Loader,
};
use crate::gguf::GgufError;

pub(super) fn load(source: Source<'_>) -> Result<Decoder, GgufError> {
    Decoder::load(Loader::new(source, "phi3"), Traits { rope: RopeStyle::Half, head_norms: false, fused: true, window: None })
}
