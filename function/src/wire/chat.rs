//! The request of `POST /v1/chat/completions`.
//!
//! What is done with a field: those that say what to answer are read and checked; those of [`IGNORED`] are known and change nothing here; those of `UNSUPPORTED` are refused
//! unless their value asks for nothing; any other is refused by name, as OpenAI does, so that a misspelt `temprature` does not silently count for nothing. `null` is the
//! same as absent, for every field.

use serde_json::{Map, Value};

use super::{
    ApiError,
    fields::{Fields, shorten, wrong_type},
    json,
    message::{Message, missing, unsupported},
};

/// Stop strings in a request.
pub const MAX_STOPS: usize = 16;
/// Bytes in a stop string.
pub const MAX_STOP_BYTES: usize = 256;

/// Fields that OpenAI's clients, LiteLLM, Open WebUI, vLLM's and llama.cpp's users send and that change no answer of this service.
pub const IGNORED: [&str; 20] = [
    "cache_prompt",
    "chat_id",
    "id_slot",
    "keep_alive",
    "metadata",
    "parallel_tool_calls",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "return_progress",
    "return_tokens",
    "safety_identifier",
    "service_tier",
    "session_id",
    "store",
    "timings_per_token",
    "user",
    "verbosity",
    "add_generation_prompt",
];

/// Whether a field's value asks for nothing.
type AsksNothing = fn(&Value) -> bool;

/// Known fields that would change the answer.
const UNSUPPORTED: [(&str, AsksNothing); 16] = [
    ("tools", is_empty),
    ("tool_choice", is_no_choice),
    ("functions", is_empty),
    ("function_call", is_no_choice),
    ("response_format", |value| value.get("type").is_some_and(|kind| kind == "text")),
    ("logprobs", |value| value == false),
    ("top_logprobs", |value| value == 0),
    ("logit_bias", is_empty),
    ("modalities", |value| value.as_array().is_some_and(|items| items.iter().all(|item| item == "text"))),
    ("audio", |_| false),
    ("web_search_options", |_| false),
    ("best_of", |value| value == 1),
    ("echo", |value| value == false),
    ("suffix", |value| value == ""),
    ("grammar", |value| value == ""),
    ("json_schema", is_empty),
];

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}

fn is_no_choice(value: &Value) -> bool {
    value == "none" || value == "auto"
}

/// How the next token is drawn; each field has OpenAI's default, or does nothing by default.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0 (greedy) to 2.
    pub temperature: f64,
    /// Draw from the smallest set of tokens with this mass.
    pub top_p: f64,
    /// Draw from this many tokens; 0 from all.
    pub top_k: u32,
    /// Draw from tokens at least this probable relative to the first.
    pub min_p: f64,
    /// The same seed draws the same tokens; without one each request draws its own.
    pub seed: Option<u64>,
    /// Divides the logits of tokens that were there before; 1 does nothing.
    pub repeat_penalty: f64,
    /// Taken from a token's logit for each time it was generated.
    pub frequency_penalty: f64,
    /// Taken from a token's logit once it was generated.
    pub presence_penalty: f64,
}

/// A checked request.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The model by name; `None` takes the default.
    pub model: Option<String>,
    /// The conversation, never empty.
    pub messages: Vec<Message>,
    /// Longest answer in tokens; `None` lets it fill the context.
    pub max_tokens: Option<u32>,
    /// Texts that end the answer and are not part of it.
    pub stop: Vec<String>,
    /// Go on after the model's end token (benchmarks do).
    pub ignore_end: bool,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Answer chunk by chunk.
    pub stream: bool,
    /// With a stream: a last chunk that counts tokens.
    pub include_usage: bool,
    /// Further variables of the model's chat template.
    pub template: Option<Map<String, Value>>,
}

impl ChatRequest {
    /// Reads and checks a request's body.
    ///
    /// # Errors
    /// 400 that names the parameter, what is wrong with it and what would be right.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::of(json::parse(body)?, "")?;
        let request = Self {
            model: fields.string("model")?.filter(|name| !name.is_empty()),
            messages: messages(&mut fields)?,
            max_tokens: max_tokens(&mut fields)?,
            stop: stop(&mut fields)?,
            ignore_end: fields.boolean("ignore_eos")?.unwrap_or(false),
            sampling: sampling(&mut fields)?,
            stream: fields.boolean("stream")?.unwrap_or(false),
            include_usage: include_usage(&mut fields)?,
            template: match fields.take("chat_template_kwargs") {
                None => None,
                Some(Value::Object(variables)) => Some(variables),
                Some(other) => return Err(wrong_type("chat_template_kwargs", "an object", &other)),
            },
        };
        if fields.integer("n", 1..=128)?.is_some_and(|n| n != 1) {
            return Err(ApiError::parameter(
                "n",
                "Invalid 'n': this service makes one choice a request. Send the request again for another.",
            )
            .code("unsupported_value"));
        }
        for (name, asks_nothing) in UNSUPPORTED {
            if fields.take(name).is_some_and(|value| !asks_nothing(&value)) {
                return Err(unsupported(name));
            }
        }
        fields.ignore(&IGNORED);
        fields.refuse_rest()?;
        Ok(request)
    }
}

fn messages(fields: &mut Fields) -> Result<Vec<Message>, ApiError> {
    match fields.take("messages") {
        None => Err(missing("messages")),
        Some(Value::Array(items)) if items.is_empty() => {
            Err(ApiError::parameter("messages", "Invalid 'messages': an empty array. Send at least one message.").code("invalid_value"))
        }
        Some(Value::Array(items)) => {
            items.into_iter().enumerate().map(|(index, item)| Message::read(item, &format!("messages[{index}]"))).collect()
        }
        Some(other) => Err(wrong_type("messages", "an array of messages", &other)),
    }
}

/// `max_completion_tokens` is OpenAI's newer name of `max_tokens`. -1 is llama.cpp's way to say that there is no limit.
fn max_tokens(fields: &mut Fields) -> Result<Option<u32>, ApiError> {
    let mut limits = Vec::new();
    for name in ["max_completion_tokens", "max_tokens"] {
        let limit = fields.integer(name, -1..=i128::from(u32::MAX))?;
        if limit == Some(0) {
            return Err(ApiError::parameter(name, format!("Invalid '{name}': 0 would be no answer. Send at least 1, or leave it out."))
                .code("invalid_value"));
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

fn stop(fields: &mut Fields) -> Result<Vec<String>, ApiError> {
    let items = match fields.take("stop") {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(text @ Value::String(_)) => vec![text],
        Some(other) => return Err(wrong_type("stop", "a string or an array of strings", &other)),
    };
    if items.len() > MAX_STOPS {
        return Err(ApiError::parameter("stop", format!("Invalid 'stop': {} strings, where at most {MAX_STOPS} are taken.", items.len()))
            .code("invalid_value"));
    }
    let texts = items.into_iter().enumerate().map(|(index, item)| match item {
        Value::String(text) if text.is_empty() || text.len() > MAX_STOP_BYTES => {
            let message = format!("Invalid 'stop[{index}]': {} bytes, where 1 to {MAX_STOP_BYTES} are taken.", text.len());
            Err(ApiError::parameter(format!("stop[{index}]"), message).code("invalid_value"))
        }
        Value::String(text) => Ok(text),
        other => Err(wrong_type(&format!("stop[{index}]"), "a string", &other)),
    });
    texts.collect()
}

fn sampling(fields: &mut Fields) -> Result<Sampling, ApiError> {
    Ok(Sampling {
        temperature: fields.number("temperature", 0.0..=2.0)?.unwrap_or(1.0),
        top_p: fields.number("top_p", 0.0..=1.0)?.unwrap_or(1.0),
        // -1 is vLLM's way to say "all".
        top_k: fields.integer("top_k", -1..=i128::from(i32::MAX))?.and_then(|k| u32::try_from(k).ok()).unwrap_or(0),
        min_p: fields.number("min_p", 0.0..=1.0)?.unwrap_or(0.0),
        seed: seed(fields)?,
        repeat_penalty: repeat_penalty(fields)?,
        frequency_penalty: fields.number("frequency_penalty", -2.0..=2.0)?.unwrap_or(0.0),
        presence_penalty: fields.number("presence_penalty", -2.0..=2.0)?.unwrap_or(0.0),
    })
}

/// A seed is a 64-bit integer; -1 is llama.cpp's way to ask for a random one.
fn seed(fields: &mut Fields) -> Result<Option<u64>, ApiError> {
    let seed = fields.integer("seed", i128::from(i64::MIN)..=i128::from(u64::MAX))?;
    Ok(seed.filter(|&seed| seed != -1).map(|seed| seed as u64))
}

/// llama.cpp's `repeat_penalty`, which vLLM calls `repetition_penalty`.
fn repeat_penalty(fields: &mut Fields) -> Result<f64, ApiError> {
    // A penalty of zero would divide by it.
    const RANGE: std::ops::RangeInclusive<f64> = 0.01..=10.0;
    let [one, other] = [fields.number("repeat_penalty", RANGE)?, fields.number("repetition_penalty", RANGE)?];
    match (one, other) {
        (Some(one), Some(other)) if one != other => {
            let message = format!(
                "'repeat_penalty' ({one}) and 'repetition_penalty' ({other}) are two names of one thing and differ: send one of them."
            );
            Err(ApiError::parameter("repeat_penalty", message).code("invalid_value"))
        }
        (one, other) => Ok(one.or(other).unwrap_or(1.0)),
    }
}

fn include_usage(fields: &mut Fields) -> Result<bool, ApiError> {
    let Some(value) = fields.take("stream_options") else { return Ok(false) };
    let mut options = Fields::of(value, "stream_options")?;
    let include = options.boolean("include_usage")?.unwrap_or(false);
    options.ignore(&["include_obfuscation"]);
    options.refuse_rest()?;
    Ok(include)
}

/// A model's name for a message.
pub(crate) fn quoted(name: &str) -> String {
    format!("'{}'", shorten(name))
}
