//! `qwen3`: Qwen 3's dense models. Norms on each head's queries and keys; heads of a length of their own, so that attention may be wider than the residual stream.

use hearth_kernels::RopeStyle;

use super::{
    Source,
    decoder::{Decoder, Traits},
    loader::Loader,
};
use crate::gguf::GgufError;

pub(super) fn load(source: Source<'_>) -> Result<Decoder, GgufError> {
    Decoder::load(Loader::new(source, "qwen3"), Traits { rope: RopeStyle::Half, head_norms: true, fused: false, window: None })
}
