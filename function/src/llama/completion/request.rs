//! The request of `POST /completion`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    generate::{Generate, Prompt},
    openai::{
        chat::request::{MODEL, STREAM, model},
        completions::{TOKEN, prompts},
        format,
        logprobs::MAX_TOP,
        sampling as s,
    },
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Literal, Table, invalid, whole},
    },
};

/// What a bias of `false` is: never this token.
const NEVER: f64 = -100.0;

const PAIR: Kind = Kind::List(&Kind::OneOf(&[Kind::Number(NEVER, u32::MAX as f64), Kind::Flag]), 2, 2);

/// The request's fields. What samplers there are beyond these is refused where it would do something.
pub(crate) static TABLE: Table = Table {
    name: "LlamaCompletionRequest",
    plural: "requests",
    about: "A text to continue as it is, without a chat template. Several texts go to /v1/completions.",
    fields: &[
        MODEL,
        Field::new(
            "prompt",
            Kind::OneOf(&[Kind::Text, Kind::List(&TOKEN, 1, usize::MAX)]),
            "A text, in which control tokens that are written out are tokens; or tokens.",
        )
        .required(),
        Field::new(
            "n_predict",
            Kind::Integer(-2, u32::MAX as i128),
            "Longest answer in tokens. -1 and -2 are no limit but the model's context.",
        )
        .or(Literal::Integer(-1)),
        s::TEMPERATURE.or(Literal::Number(0.8)),
        s::TOP_K.or(Literal::Integer(40)),
        s::TOP_P.or(Literal::Number(0.95)),
        s::MIN_P.or(Literal::Number(0.05)),
        s::SEED,
        s::FREQUENCY_PENALTY,
        s::PRESENCE_PENALTY,
        s::REPEAT_PENALTY,
        s::REPETITION_PENALTY,
        Field::new(
            "logit_bias",
            Kind::OneOf(&[Kind::Map(&Kind::Number(-100.0, 100.0)), Kind::List(&PAIR, 0, 1024)]),
            "Added to the logits of tokens, which are named by their number: an object, or pairs of a token and its bias, which is never taken where that is false.",
        ),
        s::STOP,
        Field::new(
            "n_probs",
            Kind::Integer(0, MAX_TOP as i128),
            "Tell how likely each token was, and so many of the likeliest at its place.",
        )
        .or(Literal::Integer(0)),
        Field::new("return_tokens", Kind::Flag, "Tell the tokens of a whole answer; a stream always does.").or(Literal::Flag(false)),
        STREAM,
        format::RESPONSE_FORMAT,
        format::SCHEMA,
        format::GRAMMAR,
        format::REGEX,
        s::IGNORE_EOS,
        format::GUIDED_JSON,
        format::GUIDED_REGEX,
        Field::refused("dry_multiplier", is_zero),
        Field::refused("dynatemp_range", is_zero),
        Field::refused("lora", is_empty),
        Field::refused("mirostat", is_zero),
        Field::refused("n_cmpl", |value| value == 1),
        Field::refused("n_indent", is_zero),
        Field::refused("post_sampling_probs", |value| value == false),
        Field::refused("response_fields", is_empty),
        Field::refused("t_max_predict_ms", |value| value.as_f64().is_some_and(|ms| ms <= 0.0)),
        Field::refused("typical_p", |value| value.as_f64() == Some(1.0)),
        Field::refused("xtc_probability", is_zero),
        Field::ignored("cache_prompt"),
        Field::ignored("dry_allowed_length"),
        Field::ignored("dry_base"),
        Field::ignored("dry_penalty_last_n"),
        Field::ignored("dry_sequence_breakers"),
        Field::ignored("dynatemp_exponent"),
        Field::ignored("id_slot"),
        Field::ignored("min_keep"),
        Field::ignored("mirostat_eta"),
        Field::ignored("mirostat_tau"),
        Field::ignored("n_discard"),
        Field::ignored("n_keep"),
        Field::ignored("repeat_last_n"),
        Field::ignored("return_progress"),
        Field::ignored("samplers"),
        Field::ignored("timings_per_token"),
        Field::ignored("xtc_threshold"),
    ],
    open: false,
};

fn is_zero(value: &Value) -> bool {
    value.as_f64() == Some(0.0)
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// A checked request.
pub(super) struct CompletionRequest {
    /// The model by name; `None` takes the default.
    pub(super) model: Option<String>,
    pub(super) generate: Generate,
    /// The parameter that says what the text is held to.
    pub(super) grammar: Option<&'static str>,
    pub(super) stream: bool,
    pub(super) return_tokens: bool,
}

impl CompletionRequest {
    /// Reads and checks a request's document.
    pub(super) fn read(document: Value) -> Result<Self, ApiError> {
        let mut fields = Fields::of(document, &TABLE)?;
        let prompt = prompts(fields.take("prompt").unwrap_or_default(), "prompt")?.pop();
        let format = format::read(&mut fields)?;
        Ok(Self {
            grammar: format.as_ref().map(|(name, _)| *name),
            generate: Generate {
                grammar: format.map(|(_, grammar)| grammar),
                ..generate(&mut fields, prompt.unwrap_or_else(|| Prompt::Text(String::new())))?
            },
            model: model(&mut fields),
            stream: fields.flag("stream").unwrap_or_default(),
            return_tokens: fields.flag("return_tokens").unwrap_or_default(),
        })
    }
}

/// What is generated where a request says nothing but its prompt.
pub(in crate::llama) fn usual() -> Result<Generate, ApiError> {
    generate(&mut Fields::checked(Value::Null, &TABLE, String::new()), Prompt::Text(String::new()))
}

fn generate(fields: &mut Fields, prompt: Prompt) -> Result<Generate, ApiError> {
    let logit_bias = fields.take("logit_bias").map(logit_bias).transpose()?.unwrap_or_default();
    Ok(Generate {
        max_tokens: s::max_tokens(fields, &["n_predict"], false)?,
        logprobs: fields.count("n_probs").filter(|&count| count > 0),
        stop: s::stop(fields),
        ignore_end: fields.flag("ignore_eos").unwrap_or_default(),
        sampling: crate::generate::Sampling { logit_bias, ..s::sampling(fields)? },
        ..Generate::new(prompt)
    })
}

fn logit_bias(value: Value) -> Result<BTreeMap<u32, f64>, ApiError> {
    let pairs: Vec<(Option<u32>, Value)> = match value {
        Value::Object(map) => map.into_iter().map(|(name, bias)| (name.parse().ok(), bias)).collect(),
        Value::Array(pairs) => {
            let token = |value: &Value| whole(value).and_then(|token| u32::try_from(token).ok());
            pairs.into_iter().map(|mut pair| (token(&pair[0]), pair[1].take())).collect()
        }
        _ => Vec::new(),
    };
    let read = |(token, bias): (Option<u32>, Value)| {
        let bias = if bias == false { Some(NEVER) } else { bias.as_f64().filter(|bias| (-100.0..=100.0).contains(bias)) };
        Some((token?, bias?))
    };
    pairs.into_iter().map(read).collect::<Option<_>>().ok_or_else(|| {
        let why = "a bias is not a number of a token and -100 to 100, or false. Send them as in {\"50256\": -100} or [[50256, false]].";
        invalid("logit_bias", why)
    })
}

/// The settings that a request came to, with llama.cpp's names.
pub(in crate::llama) fn settings(generate: &Generate) -> Value {
    let Generate { sampling, max_tokens, stop, ignore_end, logprobs, .. } = generate;
    let limit = max_tokens.map_or(-1, i64::from);
    json!({
        "n_predict": limit, "max_tokens": limit, "seed": sampling.seed.map_or(json!(-1), Value::from), "temperature": sampling.temperature, "top_k": sampling.top_k,
        "top_p": sampling.top_p, "min_p": sampling.min_p, "repeat_penalty": sampling.repeat_penalty, "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty, "stop": stop, "ignore_eos": ignore_end, "n_probs": logprobs.unwrap_or_default(), "stream": false
    })
}
