//! `gemma3`: Gemma 3's text models. Five layers of a sliding window to one of full attention, each kind with a RoPE base of its own; norms on each head's queries and
//! keys.

use hearth_kernels::{AttentionShape, RopeStyle};

use super::{
    Source,
    gemma::{Gemma, Reach, Traits},
    loader::{Loader, Sizes},
};
use crate::gguf::GgufError;

/// Layers of the 27B model, which alone scales attention by the width a head and not by the head's own length.
const LAYERS_27B: usize = 62;
/// Layers to one of full attention, that one counted.
pub(super) const PERIOD: usize = 6;

pub(super) fn load(source: Source<'_>) -> Result<Gemma, GgufError> {
    let loader = Loader::new(source, "gemma3");
    let sizes = loader.sizes()?;
    let Sizes { layers, width, heads, head_dim, .. } = sizes;
    let scaled_by = if layers == LAYERS_27B { width / heads } else { head_dim };
    let cap = loader.cap("attn_logit_softcapping", 0.0)?;
    let global =
        Reach { rope: loader.rope(&sizes, RopeStyle::Half)?, attention: AttentionShape { cap, ..loader.attention(&sizes, scaled_by)? } };
    // Context was extended on the layers of full attention only: the local ones keep the base and scale of the first training.
    let local_base = loader.f32_or("rope.freq_base_swa", 10_000.0)?;
    let window = loader.window(0)?;
    let local =
        Reach { rope: loader.plain_rope(&sizes, local_base, RopeStyle::Half)?, attention: AttentionShape { window, ..global.attention } };
    let logit_cap = loader.cap("final_logit_softcapping", 0.0)?;
    Gemma::load(loader, sizes, Traits { head_norms: true, period: PERIOD, local, global, logit_cap })
}
