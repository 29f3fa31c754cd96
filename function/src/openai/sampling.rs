//! The fields of OpenAI's requests, and of its relatives' (llama.cpp, vLLM), that say how long an answer is and how its tokens are drawn.

use std::collections::BTreeMap;

use crate::{
    generate::Sampling,
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Literal, invalid},
    },
};

/// Stop strings in a request.
pub const MAX_STOPS: usize = 16;
/// Bytes in a stop string.
pub const MAX_STOP_BYTES: usize = 256;

const STOP_TEXT: Kind = Kind::TextOf(1, MAX_STOP_BYTES);

pub(crate) const TEMPERATURE: Field =
    Field::new("temperature", Kind::Number(0.0, 2.0), "How freely tokens are drawn; 0 always takes the likeliest.")
        .or(Literal::Number(1.0));
pub(crate) const TOP_P: Field =
    Field::new("top_p", Kind::Number(0.0, 1.0), "Draw from the smallest set of tokens that has this probability together.")
        .or(Literal::Number(1.0));
pub(crate) const TOP_K: Field =
    Field::new("top_k", Kind::Integer(-1, i32::MAX as i128), "Draw from this many of the likeliest tokens; 0 and -1 are all.")
        .or(Literal::Integer(0));
pub(crate) const MIN_P: Field =
    Field::new("min_p", Kind::Number(0.0, 1.0), "Draw from tokens at least this likely relative to the likeliest.")
        .or(Literal::Number(0.0));
pub(crate) const SEED: Field = Field::new(
    "seed",
    Kind::Integer(i64::MIN as i128, u64::MAX as i128),
    "The same seed draws the same tokens. -1 draws a seed, as does leaving it out.",
);
pub(crate) const FREQUENCY_PENALTY: Field =
    Field::new("frequency_penalty", Kind::Number(-2.0, 2.0), "Taken from a token's logit for each time it was generated.")
        .or(Literal::Number(0.0));
pub(crate) const PRESENCE_PENALTY: Field =
    Field::new("presence_penalty", Kind::Number(-2.0, 2.0), "Taken from a token's logit once it was generated.").or(Literal::Number(0.0));
// A penalty of zero would divide by it.
pub(crate) const REPEAT_PENALTY: Field =
    Field::new("repeat_penalty", Kind::Number(0.01, 10.0), "Divides the logits of tokens that were there before; 1 does nothing.");
pub(crate) const REPETITION_PENALTY: Field = Field::new("repetition_penalty", Kind::Number(0.01, 10.0), "vLLM's name of 'repeat_penalty'.");
pub(crate) const LOGIT_BIAS: Field =
    Field::new("logit_bias", Kind::Map(&Kind::Number(-100.0, 100.0)), "Added to the logits of tokens, which are named by their number.");
pub(crate) const STOP: Field = Field::new(
    "stop",
    Kind::OneOf(&[STOP_TEXT, Kind::List(&STOP_TEXT, 0, MAX_STOPS)]),
    "Texts that end the answer and are no part of it, of 1 to 256 bytes each.",
);
pub(crate) const MAX_TOKENS: Field = Field::new(
    "max_tokens",
    Kind::Integer(-1, u32::MAX as i128),
    "Longest answer in tokens. -1 is no limit but the model's context, as is leaving it out.",
);
pub(crate) const MAX_COMPLETION_TOKENS: Field =
    Field::new("max_completion_tokens", Kind::Integer(-1, u32::MAX as i128), "OpenAI's newer name of 'max_tokens'.");
pub(crate) const IGNORE_EOS: Field =
    Field::new("ignore_eos", Kind::Flag, "Go on after the model's end token, for benchmarks.").or(Literal::Flag(false));

/// How tokens are drawn.
pub(crate) fn sampling(fields: &mut Fields) -> Result<Sampling, ApiError> {
    let usual = Sampling::default();
    Ok(Sampling {
        temperature: fields.number("temperature").unwrap_or(usual.temperature),
        top_p: fields.number("top_p").unwrap_or(usual.top_p),
        // -1 is vLLM's way to say "all".
        top_k: fields.count("top_k").unwrap_or(usual.top_k),
        min_p: fields.number("min_p").unwrap_or(usual.min_p),
        // -1 is llama.cpp's way to ask for a random one.
        seed: fields.integer("seed").filter(|&seed| seed != -1).map(|seed| seed as u64),
        repeat_penalty: repeat_penalty(fields)?.unwrap_or(usual.repeat_penalty),
        frequency_penalty: fields.number("frequency_penalty").unwrap_or(usual.frequency_penalty),
        presence_penalty: fields.number("presence_penalty").unwrap_or(usual.presence_penalty),
        logit_bias: logit_bias(fields)?,
    })
}

/// llama.cpp's `repeat_penalty`, which vLLM calls `repetition_penalty`.
fn repeat_penalty(fields: &mut Fields) -> Result<Option<f64>, ApiError> {
    match (fields.number("repeat_penalty"), fields.number("repetition_penalty")) {
        (Some(one), Some(other)) if one != other => {
            let message = format!(
                "'repeat_penalty' ({one}) and 'repetition_penalty' ({other}) are two names of one thing and differ: send one of them."
            );
            Err(ApiError::parameter("repeat_penalty", message).code("invalid_value"))
        }
        (one, other) => Ok(one.or(other)),
    }
}

fn logit_bias(fields: &mut Fields) -> Result<BTreeMap<u32, f64>, ApiError> {
    let biases = fields.map("logit_bias").unwrap_or_default().into_iter().filter_map(|(name, bias)| Some((name, bias.as_f64()?)));
    let biases = biases.map(|(name, bias)| match name.parse() {
        Ok(token) => Ok((token, bias)),
        Err(_) => {
            let name = crate::wire::table::quoted(&name);
            Err(invalid("logit_bias", format!("{name} is not the number of a token: send numbers, as in {{\"50256\": -100}}.")))
        }
    });
    biases.collect()
}

/// `max_completion_tokens` is OpenAI's newer name of `max_tokens`. -1 is llama.cpp's way to say that there is no limit.
/// Whether `zero` is taken depends on what else is asked.
pub(crate) fn max_tokens(fields: &mut Fields, names: &[&str], zero: bool) -> Result<Option<u32>, ApiError> {
    let mut limits = Vec::new();
    for name in names {
        let limit = fields.integer(name);
        if limit == Some(0) && !zero {
            return Err(invalid(name, "0 would be no answer. Send at least 1, or leave it out."));
        }
        limits.extend(limit);
    }
    if let [new, old] = limits[..]
        && new != old
    {
        let message = format!("'max_tokens' ({old}) and 'max_completion_tokens' ({new}) differ: send one of them.");
        return Err(ApiError::parameter("max_tokens", message).code("invalid_value"));
    }
    Ok(limits.first().and_then(|&limit| u32::try_from(limit).ok()))
}

/// One stop string or several.
pub(crate) fn stop(fields: &mut Fields) -> Vec<String> {
    fields.texts("stop")
}
