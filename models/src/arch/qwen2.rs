//! `qwen2`: Qwen 2 and 2.5. Biases on queries, keys and values; the small ones tie the output head to the embedding; YaRN for the longest contexts.

use hearth_kernels::RopeStyle;

use super::{
    Source,
    decoder::{Decoder, Traits},
    loader::Loader,
};
use crate::gguf::GgufError;

pub(super) fn load(source: Source<'_>) -> Result<Decoder, GgufError> {
    Decoder::load(Loader::new(source, "qwen2"), Traits { rope: RopeStyle::Half, head_norms: false, fused: false, window: None })
}
