//! `gemma2`: Gemma 2. Every second layer sees a sliding window only; attention scores and logits are softly capped.

use hearth_kernels::{AttentionShape, RopeStyle};

use super::{
    Source,
    gemma::{Gemma, Reach, Traits},
    loader::{Loader, Sizes},
};
use crate::gguf::GgufError;

/// Window and caps of all the models, which the first files do not name.
pub(super) const WINDOW: usize = 4096;
const SCORE_CAP: f32 = 50.0;
const LOGIT_CAP: f32 = 30.0;
/// Layers to one of full attention, that one counted.
pub(super) const PERIOD: usize = 2;
/// Layers of the 27B model, which alone scales attention by the width a head and not by the head's own length.
const LAYERS_27B: usize = 46;

pub(super) fn load(source: Source<'_>) -> Result<Gemma, GgufError> {
    let loader = Loader::new(source, "gemma2");
    let sizes = loader.sizes()?;
    let Sizes { layers, width, heads, head_dim, .. } = sizes;
    let scaled_by = if layers == LAYERS_27B { width / heads } else { head_dim };
    let cap = loader.cap("attn_logit_softcapping", SCORE_CAP)?;
    let global =
        Reach { rope: loader.rope(&sizes, RopeStyle::Half)?, attention: AttentionShape { cap, ..loader.attention(&sizes, scaled_by)? } };
    let window = loader.window(WINDOW)?;
    let local = Reach { rope: global.rope.clone(), attention: AttentionShape { window, ..global.attention } };
    let logit_cap = loader.cap("final_logit_softcapping", LOGIT_CAP)?;
    Gemma::load(loader, sizes, Traits { head_norms: false, period: PERIOD, local, global, logit_cap })
}
