//! The request of `POST /v1/completions`.

use serde_json::Value;

use crate::{
    generate::{Generate, Prompt},
    openai::{
        chat::request::{MODEL, N, STREAM, STREAM_OPTIONS_FIELD, include_usage, model},
        format,
        logprobs::MAX_TOP,
        sampling as s,
    },
    wire::{
        ApiError,
        fields::Fields,
        json,
        table::{Field, Kind, Literal, Table, invalid, whole},
    },
};

/// Answers of one request: of all its prompts together.
const MAX_ANSWERS: usize = 128;

pub(crate) const TOKEN: Kind = Kind::Integer(0, u32::MAX as i128);

/// A text, tokens, or an array of either.
pub(crate) const PROMPTS: Kind =
    Kind::OneOf(&[Kind::Text, Kind::List(&Kind::OneOf(&[Kind::Text, TOKEN, Kind::List(&TOKEN, 1, usize::MAX)]), 1, usize::MAX)]);

/// The request's fields.
pub(crate) static TABLE: Table = Table {
    name: "CompletionRequest",
    plural: "requests",
    about: "Texts to continue as they are, without a chat template.",
    fields: &[
        MODEL,
        Field::new(
            "prompt",
            PROMPTS,
            "A text, in which control tokens that are written out are tokens; or tokens; or several of either in an array, each of which is answered.",
        )
        .required(),
        Field::new("max_tokens", Kind::Integer(-1, u32::MAX as i128), "Longest answer in tokens. -1 is no limit but the model's context. 0 only with 'echo'.")
            .or(Literal::Integer(16)),
        s::TEMPERATURE,
        s::TOP_P,
        s::TOP_K,
        s::MIN_P,
        s::SEED,
        s::FREQUENCY_PENALTY,
        s::PRESENCE_PENALTY,
        s::REPEAT_PENALTY,
        s::REPETITION_PENALTY,
        s::LOGIT_BIAS,
        s::STOP,
        N,
        Field::new("best_of", Kind::Integer(1, i32::MAX as i128), "Taken where it is 'n'."),
        Field::new("echo", Kind::Flag, "Begin each answer with its prompt.").or(Literal::Flag(false)),
        Field::new(
            "logprobs",
            Kind::Integer(0, MAX_TOP as i128),
            "Tell how likely each token was, and so many of the likeliest at its place; with 'echo', those of the prompt too.",
        ),
        STREAM,
        STREAM_OPTIONS_FIELD,
        format::RESPONSE_FORMAT,
        format::SCHEMA,
        format::GRAMMAR,
        format::REGEX,
        s::IGNORE_EOS,
        format::GUIDED_JSON,
        format::GUIDED_REGEX,
        Field::refused("suffix", |value| value == ""),
        Field::ignored("cache_prompt"),
        Field::ignored("id_slot"),
        Field::ignored("metadata"),
        Field::ignored("return_tokens"),
        Field::ignored("timings_per_token"),
        Field::ignored("user"),
    ],
    open: false,
};

/// A checked request.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionRequest {
    /// The model by name; `None` takes the default.
    pub model: Option<String>,
    /// What to generate for each prompt, of which there is at least one.
    pub generate: Vec<Generate>,
    /// The parameter that says what the text is held to.
    pub grammar: Option<&'static str>,
    /// Answers to each prompt.
    pub n: u32,
    /// Begin answers with their prompts.
    pub echo: bool,
    /// Answer chunk by chunk.
    pub stream: bool,
    /// With a stream: a last chunk that counts tokens.
    pub include_usage: bool,
}

impl CompletionRequest {
    /// Reads and checks a request's body.
    ///
    /// # Errors
    /// 400 that names the parameter, what is wrong with it and what would be right.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        Self::read(json::parse(body)?)
    }

    /// Reads and checks a request's document.
    pub(crate) fn read(document: Value) -> Result<Self, ApiError> {
        let mut fields = Fields::of(document, &TABLE)?;
        let prompts = prompts(fields.take("prompt").unwrap_or_default(), "prompt")?;
        let n = fields.count("n").unwrap_or(1);
        if fields.count("best_of").is_some_and(|best_of| best_of != n) {
            return Err(invalid(
                "best_of",
                format!("answers are not ranked here, so that it can only be 'n', which is {n}. Leave it out."),
            ));
        }
        let answers = prompts.len().saturating_mul(n as usize);
        if answers > MAX_ANSWERS {
            return Err(invalid(
                "prompt",
                format!("{} prompts with {n} answers each are {answers}, where at most {MAX_ANSWERS} are taken.", prompts.len()),
            ));
        }
        let echo = fields.flag("echo").unwrap_or_default();
        let max_tokens = s::max_tokens(&mut fields, &["max_tokens"], echo)?;
        let logprobs = fields.count("logprobs");
        let format = format::read(&mut fields)?;
        let grammar = format.as_ref().map(|(name, _)| *name);
        let usual = Generate {
            max_tokens,
            logprobs,
            // Without an answer, the prompt is all that there is to be asked.
            prompt_logprobs: if echo && max_tokens == Some(0) { logprobs.or(Some(0)) } else { logprobs.filter(|_| echo) },
            stop: s::stop(&mut fields),
            ignore_end: fields.flag("ignore_eos").unwrap_or_default(),
            sampling: s::sampling(&mut fields)?,
            grammar: format.map(|(_, grammar)| grammar),
            ..Generate::new(Prompt::Text(String::new()))
        };
        Ok(Self {
            model: model(&mut fields),
            generate: prompts.into_iter().map(|prompt| Generate { prompt, ..usual.clone() }).collect(),
            grammar,
            n,
            echo,
            stream: fields.flag("stream").unwrap_or_default(),
            include_usage: include_usage(&mut fields),
        })
    }
}

/// A checked text, array of tokens, or array of either, at least one of which there is.
pub(crate) fn prompts(value: Value, name: &str) -> Result<Vec<Prompt>, ApiError> {
    let items = match value {
        Value::Array(items) if items.first().is_some_and(Value::is_number) => vec![Value::Array(items)],
        Value::Array(items) => items,
        text => vec![text],
    };
    let read = |item| match item {
        Value::String(text) => Some(Prompt::Text(text)),
        Value::Array(tokens) => tokens.iter().map(token).collect::<Option<_>>().map(Prompt::Tokens),
        _ => None,
    };
    let prompts: Option<Vec<_>> = items.into_iter().map(read).collect();
    prompts.ok_or_else(|| {
        invalid(name, "tokens and texts stand side by side. Send one array of tokens, or an array of texts and arrays of tokens.")
    })
}

fn token(value: &Value) -> Option<u32> {
    whole(value).and_then(|token| u32::try_from(token).ok())
}
