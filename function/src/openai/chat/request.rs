//! The request of `POST /v1/chat/completions`.

use serde_json::{Map, Value, json};

pub(crate) use super::message::conversation as messages;
use super::{message, tools};
use crate::{
    generate::{Generate, Prompt, ToolChoice, thinking},
    openai::{format, logprobs::MAX_TOP, sampling as s},
    wire::{
        ApiError,
        fields::Fields,
        json,
        table::{Field, Kind, Literal, Table, invalid},
    },
};

/// Choices of one request.
pub(crate) const MAX_CHOICES: i128 = 8;

pub(crate) const MODEL: Field = Field::new("model", Kind::Text, "A name of /v1/models. Without it, or empty, it is the default.");
pub(crate) static MESSAGES: Field =
    Field::new("messages", Kind::List(&Kind::Object(&message::TABLE), 1, usize::MAX), "The conversation.").required();
pub(crate) const REASONING_EFFORT: Field = Field::new(
    "reasoning_effort",
    Kind::Word(&["none", "minimal", "low", "medium", "high", "xhigh"]),
    "How long a model that thinks does so before it answers: a variable of its chat template. 'none' asks it not to.",
);
pub(crate) const ENABLE_THINKING: Field =
    Field::new("enable_thinking", Kind::Flag, "Whether a model that thinks does so: a variable of its chat template.");
pub(crate) const TEMPLATE_VARIABLES: Field = Field::new(
    "chat_template_kwargs",
    Kind::Map(&Kind::Any),
    "Further variables of the model's chat template. They count more than those that other fields stand for.",
);
pub(crate) const N: Field = Field::new(
    "n",
    Kind::Integer(1, MAX_CHOICES),
    "Answers to choose from. Each draws its own tokens; with a 'seed', that of the second is one more, and so on.",
)
.or(Literal::Integer(1));
pub(crate) const STREAM: Field = Field::new("stream", Kind::Flag, "Answer as server-sent events, piece by piece.").or(Literal::Flag(false));
pub(crate) static STREAM_OPTIONS_FIELD: Field = Field::new("stream_options", Kind::Object(&STREAM_OPTIONS), "With a stream.");

/// The request's fields. Those without effect are what OpenAI's clients, LiteLLM, Open WebUI, vLLM's and llama.cpp's users send and that changes no answer of this service.
pub(crate) static TABLE: Table = Table {
    name: "ChatCompletionRequest",
    plural: "requests",
    about: "A chat to continue.",
    fields: &[
        MODEL,
        MESSAGES,
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
        N,
        STREAM,
        STREAM_OPTIONS_FIELD,
        tools::TOOLS,
        tools::TOOL_CHOICE,
        tools::PARALLEL_TOOL_CALLS,
        format::RESPONSE_FORMAT,
        format::SCHEMA,
        format::GRAMMAR,
        format::REGEX,
        Field::new("logprobs", Kind::Flag, "Tell how likely each token of the answer was.").or(Literal::Flag(false)),
        Field::new(
            "top_logprobs",
            Kind::Integer(0, MAX_TOP as i128),
            "With 'logprobs': tell so many of the likeliest tokens at each place.",
        )
        .or(Literal::Integer(0)),
        REASONING_EFFORT,
        ENABLE_THINKING,
        TEMPLATE_VARIABLES,
        s::IGNORE_EOS,
        tools::FUNCTIONS,
        tools::FUNCTION_CALL,
        format::GUIDED_JSON,
        format::GUIDED_REGEX,
        Field::refused("modalities", |value| value.as_array().is_some_and(|items| items.iter().all(|item| item == "text"))),
        Field::refused("audio", |_| false),
        Field::refused("web_search_options", |_| false),
        Field::refused("best_of", |value| value == 1),
        Field::refused("echo", |value| value == false),
        Field::refused("suffix", |value| value == ""),
        Field::ignored("add_generation_prompt"),
        Field::ignored("cache_prompt"),
        Field::ignored("chat_id"),
        Field::ignored("id_slot"),
        Field::ignored("keep_alive"),
        Field::ignored("metadata"),
        Field::ignored("prediction"),
        Field::ignored("prompt_cache_key"),
        Field::ignored("prompt_cache_options"),
        Field::ignored("prompt_cache_retention"),
        Field::ignored("return_progress"),
        Field::ignored("return_tokens"),
        Field::ignored("safety_identifier"),
        Field::ignored("service_tier"),
        Field::ignored("session_id"),
        Field::ignored("store"),
        Field::ignored("timings_per_token"),
        Field::ignored("user"),
        Field::ignored("verbosity"),
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
    /// The parameter that says what the text is held to.
    pub grammar: Option<&'static str>,
    /// How many answers.
    pub n: u32,
    /// Answer chunk by chunk.
    pub stream: bool,
    /// With a stream: a last chunk that counts tokens.
    pub include_usage: bool,
    /// Tell calls in the form that OpenAI had before `tools`.
    pub function_call: bool,
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
        let messages = messages(&mut fields)?;
        let mut generate = Generate {
            max_tokens: s::max_tokens(&mut fields, &["max_completion_tokens", "max_tokens"], false)?,
            stop: s::stop(&mut fields),
            ignore_end: fields.flag("ignore_eos").unwrap_or_default(),
            sampling: s::sampling(&mut fields)?,
            template: template(&mut fields),
            logprobs: logprobs(&mut fields)?,
            ..Generate::new(Prompt::Messages(messages))
        };
        let function_call = tools::read(&mut fields, &mut generate)?;
        let format = format::read(&mut fields)?;
        if let (Some((name, _)), Some(ToolChoice::Required | ToolChoice::Named(_))) = (&format, &generate.tool_choice) {
            let choice = if function_call { "function_call" } else { "tool_choice" };
            return Err(invalid(
                name,
                format!("'{choice}' demands a call, and then there is no text to hold to it: leave one of them out."),
            ));
        }
        let grammar = format.as_ref().map(|(name, _)| *name);
        generate.grammar = format.map(|(_, grammar)| grammar);
        Ok(Self {
            model: model(&mut fields),
            generate,
            grammar,
            n: fields.count("n").unwrap_or(1),
            stream: fields.flag("stream").unwrap_or_default(),
            include_usage: include_usage(&mut fields),
            function_call,
        })
    }
}

/// The model's name; empty is the default, too.
pub(crate) fn model(fields: &mut Fields) -> Option<String> {
    fields.text("model").filter(|name| !name.is_empty())
}

/// Whether a stream counts tokens at its end.
pub(crate) fn include_usage(fields: &mut Fields) -> bool {
    fields.object("stream_options", &STREAM_OPTIONS).and_then(|mut options| options.flag("include_usage")).unwrap_or_default()
}

/// How many of the likeliest tokens are told at each place, where any are.
pub(crate) fn logprobs(fields: &mut Fields) -> Result<Option<u32>, ApiError> {
    let top = fields.count("top_logprobs").unwrap_or_default();
    match fields.flag("logprobs").unwrap_or_default() {
        true => Ok(Some(top)),
        false if top == 0 => Ok(None),
        false => Err(invalid("top_logprobs", "it needs 'logprobs': true beside it.")),
    }
}

/// The template's variables.
pub(crate) fn template(fields: &mut Fields) -> Map<String, Value> {
    let effort = fields.text("reasoning_effort");
    variables(fields, effort)
}

/// The template's variables, where the request says the effort of reasoning in a way of its own.
pub(crate) fn variables(fields: &mut Fields, effort: Option<String>) -> Map<String, Value> {
    let mut variables = Map::new();
    let thinks = fields.flag("enable_thinking").or(effort.as_deref().map(|effort| effort != "none"));
    variables.extend(thinks.into_iter().flat_map(thinking));
    if let Some(effort) = effort.filter(|effort| effort != "none") {
        variables.insert("reasoning_effort".to_owned(), json!(effort));
    }
    variables.extend(fields.map("chat_template_kwargs").unwrap_or_default());
    variables
}
