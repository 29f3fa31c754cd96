//! The request of `POST /v1/chat/completions`.

use serde_json::Value;

use super::message;
use crate::{
    generate::{Generate, Prompt},
    openai::sampling as s,
    wire::{
        ApiError,
        fields::Fields,
        json,
        table::{Field, Kind, Literal, Table},
    },
};

/// Choices of one request.
const MAX_CHOICES: i128 = 8;

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(|map| map.is_empty())
}

fn is_no_choice(value: &Value) -> bool {
    value == "none" || value == "auto"
}

/// The request's fields. Those without effect are what OpenAI's clients, LiteLLM, Open WebUI, vLLM's and llama.cpp's users send and that changes no answer of this service.
pub(crate) static TABLE: Table = Table {
    name: "ChatCompletionRequest",
    plural: "requests",
    about: "A chat to continue.",
    fields: &[
        Field::new("model", Kind::Text, "A name of /v1/models. Without it, or empty, it is the default."),
        Field::new("messages", Kind::List(&Kind::Object(&message::TABLE), 1, usize::MAX), "The conversation.").required(),
        s::MAX_COMPLETION_TOKENS,
        s::MAX_TOKENS,
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
        Field::new("n", Kind::Integer(1, MAX_CHOICES), "Answers to choose from.").or(Literal::Integer(1)),
        Field::new("stream", Kind::Flag, "Answer as server-sent events, piece by piece.").or(Literal::Flag(false)),
        Field::new("stream_options", Kind::Object(&STREAM_OPTIONS), "With a stream."),
        Field::new("chat_template_kwargs", Kind::Map(&Kind::Any), "Further variables of the model's chat template."),
        s::IGNORE_EOS,
        Field::refused("tools", is_empty),
        Field::refused("tool_choice", is_no_choice),
        Field::refused("functions", is_empty),
        Field::refused("function_call", is_no_choice),
        Field::refused("response_format", |value| value.get("type").is_some_and(|kind| kind == "text")),
        Field::refused("logprobs", |value| value == false),
        Field::refused("top_logprobs", |value| value == 0),
        Field::refused("modalities", |value| value.as_array().is_some_and(|items| items.iter().all(|item| item == "text"))),
        Field::refused("audio", |_| false),
        Field::refused("web_search_options", |_| false),
        Field::refused("best_of", |value| value == 1),
        Field::refused("echo", |value| value == false),
        Field::refused("suffix", |value| value == ""),
        Field::refused("grammar", |value| value == ""),
        Field::refused("json_schema", is_empty),
        Field::ignored("cache_prompt"),
        Field::ignored("chat_id"),
        Field::ignored("id_slot"),
        Field::ignored("keep_alive"),
        Field::ignored("metadata"),
        Field::ignored("parallel_tool_calls"),
        Field::ignored("prediction"),
        Field::ignored("prompt_cache_key"),
        Field::ignored("prompt_cache_retention"),
        Field::ignored("reasoning_effort"),
        Field::ignored("return_progress"),
        Field::ignored("return_tokens"),
        Field::ignored("safety_identifier"),
        Field::ignored("service_tier"),
        Field::ignored("session_id"),
        Field::ignored("store"),
        Field::ignored("timings_per_token"),
        Field::ignored("user"),
        Field::ignored("verbosity"),
        Field::ignored("add_generation_prompt"),
    ],
    open: false,
};

pub(crate) static STREAM_OPTIONS: Table = Table {
    name: "StreamOptions",
    plural: "options",
    about: "How an answer is streamed.",
    fields: &[
        Field::new("include_usage", Kind::Flag, "A chunk before the end counts tokens.").or(Literal::Flag(false)),
        Field::ignored("include_obfuscation"),
    ],
    open: false,
};

/// A checked request.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The model by name; `None` takes the default.
    pub model: Option<String>,
    /// What to generate.
    pub generate: Generate,
    /// How many answers.
    pub n: u32,
    /// Answer chunk by chunk.
    pub stream: bool,
    /// With a stream: a last chunk that counts tokens.
    pub include_usage: bool,
}

impl ChatRequest {
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
        let messages = fields.objects("messages", &message::TABLE).map(message::read).collect::<Result<_, _>>()?;
        let generate = Generate {
            max_tokens: s::max_tokens(&mut fields, &["max_completion_tokens", "max_tokens"])?,
            stop: s::stop(&mut fields),
            ignore_end: fields.flag("ignore_eos").unwrap_or_default(),
            sampling: s::sampling(&mut fields)?,
            template: fields.map("chat_template_kwargs").unwrap_or_default(),
            ..Generate::new(Prompt::Messages(messages))
        };
        Ok(Self {
            model: fields.text("model").filter(|name| !name.is_empty()),
            generate,
            n: fields.count("n").unwrap_or(1),
            stream: fields.flag("stream").unwrap_or_default(),
            include_usage: include_usage(&mut fields),
        })
    }
}

/// Whether a stream counts tokens at its end.
pub(crate) fn include_usage(fields: &mut Fields) -> bool {
    fields.object("stream_options", &STREAM_OPTIONS).and_then(|mut options| options.flag("include_usage")).unwrap_or_default()
}
