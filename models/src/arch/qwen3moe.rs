//! `qwen3moe`: Qwen 3's mixtures of experts. Queries and keys are normed a head, as Qwen 3's are; a row's feed-forward is that of the few experts that its router
//! chooses.

use hearth_kernels::RopeStyle;

use super::{
    Source,
    decoder::{Decoder, Traits},
    loader::Loader,
};
use crate::gguf::GgufError;

pub(super) fn load(source: Source<'_>) -> Result<Decoder, GgufError> {
    let traits = Traits { rope: RopeStyle::Half, head_norms: true, fused: false, experts: true, window: None };
    Decoder::load(Loader::new(source, "qwen3moe"), traits)
}
