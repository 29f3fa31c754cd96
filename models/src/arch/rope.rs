//! RoPE and its scalings to contexts longer than that of the first training, as GGUF's keys `rope.*` describe them.

use std::f64::consts::TAU;

use hearth_kernels::{Rope, RopeStyle};

use super::loader::{Loader, Sizes};
use crate::gguf::GgufError;

/// YaRN's usual bounds: what turns more often than the first in the original context stays as it is, what turns less often than the second is interpolated.
const BETA_FAST: f32 = 32.0;
const BETA_SLOW: f32 = 1.0;

impl Loader<'_> {
    /// The RoPE that the file's metadata and factors describe.
    ///
    /// # Errors
    /// For a scaling that is not known, and where the frequencies are not finite.
    pub(super) fn rope(&self, sizes: &Sizes, style: RopeStyle) -> Result<Rope, GgufError> {
        let base = self.f32_or("rope.freq_base", 10_000.0)?;
        let scale = f64::from(self.rope_scale()?);
        let mut frequencies = plain(sizes.rotated, base);
        for (frequency, factor) in frequencies.iter_mut().zip(self.rope_factors(sizes)?) {
            *frequency /= f64::from(factor);
        }
        let mut magnitude = self.f32_or("rope.scaling.attn_factor", 1.0)?;
        let key = self.key("rope.scaling.type");
        match self.gguf().opt_str(&key)? {
            Some("none") => {}
            Some("yarn") => magnitude *= self.yarn(&mut frequencies, base, scale)? as f32,
            // LongRoPE is its factors and the magnitude.
            None | Some("linear" | "longrope") => frequencies.iter_mut().for_each(|frequency| *frequency *= scale),
            Some(other) => {
                let problem = format!("RoPE scaling by `{other}` is not supported; supported are linear, yarn and longrope");
                return Err(GgufError::Metadata { key, problem });
            }
        }
        self.finite_rope(&frequencies, magnitude, style)
    }

    /// The RoPE of this base without any scaling.
    pub(super) fn plain_rope(&self, sizes: &Sizes, base: f32, style: RopeStyle) -> Result<Rope, GgufError> {
        self.finite_rope(&plain(sizes.rotated, base), 1.0, style)
    }

    fn finite_rope(&self, frequencies: &[f64], magnitude: f32, style: RopeStyle) -> Result<Rope, GgufError> {
        let frequencies: Vec<f32> = frequencies.iter().map(|&frequency| frequency as f32).collect();
        if !frequencies.iter().chain([&magnitude]).all(|value| value.is_finite()) {
            return Err(GgufError::Metadata { key: self.key("rope.freq_base"), problem: "the RoPE frequencies are not finite".into() });
        }
        Ok(Rope { frequencies: self.upload(frequencies), magnitude, style })
    }

    /// What positions are multiplied by where a frequency is interpolated.
    fn rope_scale(&self) -> Result<f32, GgufError> {
        // `rope.scale_linear` is the factor's name in old files; 0 means none.
        let factor = match self.gguf().opt_f32(&self.key("rope.scaling.factor"))? {
            Some(factor) => factor,
            None => self.f32_or("rope.scale_linear", 0.0)?,
        };
        Ok(if factor == 0.0 { 1.0 } else { 1.0 / factor })
    }

    /// What each frequency is divided by: the one list of llama 3, or that of LongRoPE's two which is for the context to be served.
    fn rope_factors(&self, sizes: &Sizes) -> Result<Vec<f32>, GgufError> {
        let factors = |name: &str| match self.gguf().tensors.contains_key(name) {
            true => self.floats(name, sizes.rotated / 2).map(Some),
            false => Ok(None),
        };
        let chosen = match (factors("rope_factors_short.weight")?, factors("rope_factors_long.weight")?) {
            (None, None) => factors("rope_freqs.weight")?,
            (short, long) => {
                if self.context()? > self.original_context()? {
                    long
                } else {
                    short
                }
            }
        };
        Ok(chosen.unwrap_or_else(|| vec![1.0; sizes.rotated / 2]))
    }

    /// YaRN (Peng et al., 2023): frequencies that turn often in the original context stay, slow ones are interpolated, between them a ramp. Returns the magnitude.
    fn yarn(&self, frequencies: &mut [f64], base: f32, scale: f64) -> Result<f64, GgufError> {
        let (pairs, original) = (frequencies.len() as f64, self.original_context()? as f64);
        // The pair that turns `turns` times in the original context.
        let pair = |turns: f32| pairs * (original / (f64::from(turns) * TAU)).ln() / f64::from(base).ln();
        let low = pair(self.f32_or("rope.scaling.yarn_beta_fast", BETA_FAST)?).floor().max(0.0);
        let high = pair(self.f32_or("rope.scaling.yarn_beta_slow", BETA_SLOW)?).ceil().min(2.0 * pairs - 1.0);
        let strength = f64::from(self.f32_or("rope.scaling.yarn_ext_factor", 1.0)?);
        for (i, frequency) in frequencies.iter_mut().enumerate() {
            let kept = strength * (1.0 - ((i as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0));
            *frequency *= scale * (1.0 - kept) + kept;
        }
        let magnitude = |multiplier: f64| if scale >= 1.0 { 1.0 } else { 1.0 - 0.1 * multiplier * scale.ln() };
        let all_dims = f64::from(self.f32_or("rope.scaling.yarn_log_multiplier", 0.0)?);
        Ok(magnitude(1.0) / magnitude(all_dims))
    }

    /// The context of the first training.
    fn original_context(&self) -> Result<usize, GgufError> {
        self.size_or("rope.scaling.original_context_length", usize::MAX, self.trained_context()?)
    }
}

/// `base^(-2i/rotated)`, radians a position.
fn plain(rotated: usize, base: f32) -> Vec<f64> {
    (0..rotated / 2).map(|i| f64::from(base).powf(-((2 * i) as f64) / rotated as f64)).collect()
}
