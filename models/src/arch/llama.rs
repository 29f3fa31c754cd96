//! `llama`: Llama 1 to 3, TinyLlama, SmolLM, Mistral and their kin. GGUF stores the query and key weights permuted for interleaved RoPE; Llama 3's scaling comes as
//! factors (`rope_freqs.weight`), the first Mistral's sliding window on every layer.

use hearth_kernels::RopeStyle;

use super::{
    Source,
    decoder::{Decoder, Traits},
    loader::Loader,
};
use crate::gguf::GgufError;

pub(super) fn load(source: Source<'_>) -> Result<Decoder, GgufError> {
    let loader = Loader::new(source, "llama");
    let window = loader.window(0)?;
    Decoder::load(loader, Traits { rope: RopeStyle::Interleaved, head_norms: false, fused: false, window })
}
