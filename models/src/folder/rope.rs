//! RoPE's base, factors and scalings: from `config.json` to GGUF's keys and tensors.

use std::f64::consts::PI;

use super::{FolderError, config::Config, parameters::Writer};

/// Rotated elements of a head.
const MAX_ROTATED: u32 = 1 << 16;

/// RoPE's base and scaling. Older files have the base beside `rope_scaling`; younger ones have both in `rope_parameters`, for each kind of layer where kinds differ.
pub(super) fn rope(writer: &mut Writer<'_>, config: &Config, head_dim: u32) -> Result<Vec<(&'static str, Vec<f32>)>, FolderError> {
    let all = match config.object("rope_parameters")? {
        Some(parameters) => Some(parameters),
        None => config.object("rope_scaling")?,
    };
    let within = |key: &str| all.as_ref().map_or(Ok(None), |all| all.object(key));
    let (full, sliding) = (within("full_attention")?, within("sliding_attention")?);
    let rope = full.as_ref().or(all.as_ref());
    let number = |key: &str| {
        Ok::<_, FolderError>(match rope.map_or(Ok(None), |rope| rope.opt_f64(key))? {
            Some(number) => Some(number),
            None => config.opt_f64(key)?,
        })
    };

    let is_gemma3 = writer.architecture == "gemma3";
    let base = number("rope_theta")?.unwrap_or(if is_gemma3 { 1e6 } else { 10_000.0 });
    writer.f32("rope.freq_base", base);
    if is_gemma3 {
        let local = match &sliding {
            Some(sliding) => sliding.opt_f64("rope_theta")?,
            None => config.opt_f64("rope_local_base_freq")?,
        };
        writer.f32("rope.freq_base_swa", local.unwrap_or(10_000.0));
    }
    let part = number("partial_rotary_factor")?.unwrap_or(1.0);
    if part != 1.0 && writer.architecture != "phi3" {
        return Err(config
            .wrong("partial_rotary_factor", format!("rotating a part of each head is not computed for `{}` here", writer.architecture)));
    }
    let rotated = (part * f64::from(head_dim)) as u32;
    if !(2..=MAX_ROTATED).contains(&rotated) {
        return Err(config.wrong("head_dim", format!("{rotated} rotated elements of a head are not between 2 and {MAX_ROTATED}")));
    }
    if matches!(writer.architecture, "llama" | "phi3") {
        writer.u32("rope.dimension_count", rotated);
    }

    let Some(rope) = rope else { return Ok(Vec::new()) };
    let (key, kind) = match rope.opt_str("rope_type")? {
        Some(kind) => ("rope_type", kind),
        None => ("type", rope.opt_str("type")?.unwrap_or("default")),
    };
    match kind {
        "default" => Ok(Vec::new()),
        "linear" => {
            writer.metadata.str(&writer.key("rope.scaling.type"), "linear");
            writer.f32("rope.scaling.factor", rope.f64("factor")?);
            Ok(Vec::new())
        }
        "llama3" if writer.architecture == "llama" => Ok(vec![("rope_freqs.weight", llama3(rope, config, base, rotated)?)]),
        "yarn" => {
            writer.metadata.str(&writer.key("rope.scaling.type"), "yarn");
            writer.f32("rope.scaling.factor", rope.f64("factor")?);
            let original = match rope.opt_u32("original_max_position_embeddings")? {
                Some(original) => original,
                None => config.u32("max_position_embeddings")?,
            };
            writer.u32("rope.scaling.original_context_length", original);
            for (theirs, ours) in [("beta_fast", "rope.scaling.yarn_beta_fast"), ("beta_slow", "rope.scaling.yarn_beta_slow")] {
                if let Some(value) = rope.opt_f64(theirs)? {
                    writer.f32(ours, value);
                }
            }
            // GGUF's factor goes on top of what follows from the scaling; Hugging Face's stands for both.
            if let Some(magnitude) = rope.opt_f64("attention_factor")? {
                writer.f32("rope.scaling.attn_factor", magnitude / (0.1 * rope.f64("factor")?.max(1.0).ln() + 1.0));
            }
            Ok(Vec::new())
        }
        "longrope" | "su" if writer.architecture == "phi3" => longrope(writer, rope, config, rotated),
        other => {
            let shown: String = other.chars().take(40).collect();
            Err(rope.wrong(key, format!("RoPE scaling by `{shown}` is not computed for `{}` here", writer.architecture)))
        }
    }
}

/// Llama 3.1's factors: long waves are stretched by `factor`, short ones left, those between mixed (transformers, `_compute_llama3_parameters`).
fn llama3(rope: &Config, config: &Config, base: f64, rotated: u32) -> Result<Vec<f32>, FolderError> {
    let factor = rope.f64("factor")?;
    let (low, high) = (rope.f64("low_freq_factor")?, rope.f64("high_freq_factor")?);
    let original = match rope.opt_f64("original_max_position_embeddings")? {
        Some(original) => original,
        None => config.f64("max_position_embeddings")?,
    };
    if !(factor > 0.0 && low > 0.0 && high > low && original > 0.0) {
        return Err(
            rope.wrong("factor", "the numbers of llama 3's RoPE scaling are not positive, or its low frequency is not below its high one")
        );
    }
    let factor_of = |i: u32| {
        let wave = 2.0 * PI * base.powf(f64::from(2 * i) / f64::from(rotated));
        if wave < original / high {
            1.0
        } else if wave > original / low {
            factor
        } else {
            let smooth = (original / wave - low) / (high - low);
            1.0 / ((1.0 - smooth) / factor + smooth)
        }
    };
    Ok((0..rotated / 2).map(|i| factor_of(i) as f32).collect())
}

/// Phi 3's factors for short and for long contexts, and the scale of attention that goes with the longer context.
fn longrope(writer: &mut Writer<'_>, rope: &Config, config: &Config, rotated: u32) -> Result<Vec<(&'static str, Vec<f32>)>, FolderError> {
    let original = match rope.opt_u32("original_max_position_embeddings")? {
        Some(original) => original,
        None => config.u32("original_max_position_embeddings")?,
    };
    let (context, original_length) = (f64::from(config.u32("max_position_embeddings")?), f64::from(original));
    if original_length < 2.0 {
        return Err(rope.wrong("original_max_position_embeddings", format!("{original} is no context's length")));
    }
    writer.u32("rope.scaling.original_context_length", original);
    let scale = context / original_length;
    let attention = if scale > 1.0 { (1.0 + scale.ln() / original_length.ln()).sqrt() } else { 1.0 };
    writer.f32("rope.scaling.attn_factor", attention);
    let factors = |key: &str| match rope.opt_floats(key)? {
        Some(factors) if factors.len() == rotated as usize / 2 => Ok(factors),
        Some(factors) => Err(rope.wrong(key, format!("has {} factors, but {} are needed", factors.len(), rotated / 2))),
        None => Err(rope.wrong(key, "missing; an array of numbers is needed")),
    };
    Ok(vec![("rope_factors_long.weight", factors("long_factor")?), ("rope_factors_short.weight", factors("short_factor")?)])
}
