//! The request of `POST /v1/messages`.

use serde_json::{Value, json};

use super::{
    message, prefill,
    thinking::{self, Thinking},
    tools,
};
use crate::{
    generate::{Generate, Grammar, Prompt, ToolChoice},
    openai::{
        MAX_STOP_BYTES, MAX_STOPS,
        chat::request::{MODEL, model},
        sampling as s,
    },
    wire::{
        ApiError,
        fields::Fields,
        json,
        table::{Field, Kind, Literal, Table, invalid},
    },
};

pub(super) static OUTPUT_CONFIG: Field = Field::new("output_config", Kind::Object(&OUTPUT), "What the answer is like.");

/// The request's fields. Those without effect are what Anthropic's clients send and that changes no answer of this service.
pub(crate) static TABLE: Table = Table {
    name: "MessagesRequest",
    plural: "requests",
    about: "A conversation to continue.",
    fields: &[
        MODEL,
        message::MESSAGES,
        message::SYSTEM,
        Field::new("max_tokens", Kind::Integer(1, u32::MAX as i128), "Longest answer in tokens, thinking among them.").required(),
        s::TEMPERATURE,
        s::TOP_P,
        s::TOP_K,
        Field::new(
            "stop_sequences",
            Kind::List(&Kind::TextOf(1, MAX_STOP_BYTES), 0, MAX_STOPS),
            "Texts that end the answer and are no part of it, of 1 to 256 bytes each.",
        ),
        Field::new("stream", Kind::Flag, "Answer as server-sent events, piece by piece.").or(Literal::Flag(false)),
        tools::TOOLS,
        tools::TOOL_CHOICE,
        thinking::THINKING,
        OUTPUT_CONFIG,
        Field::refused("container", |_| false),
        Field::refused("mcp_servers", |value| value.as_array().is_some_and(Vec::is_empty)),
        Field::ignored("cache_control"),
        Field::ignored("context_management"),
        Field::ignored("diagnostics"),
        Field::ignored("inference_geo"),
        Field::ignored("metadata"),
        Field::ignored("service_tier"),
        Field::ignored("speed"),
        Field::ignored("user_profile_id"),
        Field::ignored("workspace_id"),
    ],
    open: false,
};

static OUTPUT: Table = Table {
    name: "OutputConfig",
    plural: "objects",
    about: "What an answer is like.",
    fields: &[
        Field::new(
            "effort",
            Kind::Word(&["low", "medium", "high", "xhigh", "max"]),
            "How long a model that thinks does so: the variable 'reasoning_effort' of its chat template.",
        ),
        Field::new("format", Kind::Tagged("type", &[("json_schema", &FORMAT)]), "What the answer's text is held to."),
    ],
    open: false,
};

static FORMAT: Table = Table {
    name: "JsonOutputFormat",
    plural: "formats",
    about: "JSON of a schema.",
    fields: &[
        Field::new("type", Kind::Word(&["json_schema"]), "What it is.").required(),
        Field::new("schema", Kind::Map(&Kind::Any), "The schema.").required(),
    ],
    open: false,
};

/// A checked request.
#[derive(Debug, Clone, PartialEq)]
pub struct MessagesRequest {
    /// The model by name; `None` takes the default.
    pub model: Option<String>,
    /// What to generate.
    pub generate: Generate,
    /// How the answer begins, where the client has begun it; the answer told is the rest.
    pub prefill: Option<String>,
    /// What is told of the model's thinking.
    pub thinking: Thinking,
    /// Longest answer in tokens.
    pub max_tokens: u32,
    /// Answer event by event.
    pub stream: bool,
}

impl MessagesRequest {
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
        let Asked { mut generate, prefill, thinking } = prompt(&mut fields)?;
        let max_tokens = fields.count("max_tokens").unwrap_or(1);
        generate.max_tokens = Some(max_tokens);
        generate.stop = fields.texts("stop_sequences");
        let sampling = &mut generate.sampling;
        sampling.temperature = fields.number("temperature").unwrap_or(sampling.temperature);
        sampling.top_p = fields.number("top_p").unwrap_or(sampling.top_p);
        sampling.top_k = fields.count("top_k").unwrap_or(sampling.top_k);
        Ok(Self { model: model(&mut fields), generate, prefill, thinking, max_tokens, stream: fields.flag("stream").unwrap_or_default() })
    }
}

/// What the model reads of a request, and what is told of its thinking.
pub(super) struct Asked {
    pub(super) generate: Generate,
    pub(super) prefill: Option<String>,
    pub(super) thinking: Thinking,
}

/// Reads what a request and one to count its tokens have in common.
pub(super) fn prompt(fields: &mut Fields) -> Result<Asked, ApiError> {
    let (thinking, template) = thinking::read(fields);
    let (mut messages, last) = message::conversation(fields)?;
    let prefill = prefill::take(&mut messages, &last)?;
    let mut generate = Generate { template, ..Generate::new(Prompt::Messages(messages)) };
    tools::read(fields, &mut generate)?;
    if let Some(mut config) = fields.object("output_config", &OUTPUT) {
        if let Some(effort) = config.text("effort") {
            generate.template.insert("reasoning_effort".to_owned(), json!(effort));
        }
        generate.grammar = config.take("format").map(|mut format| Grammar::JsonSchema(format["schema"].take()));
    }
    if generate.grammar.is_some() && matches!(generate.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_))) {
        let why = "'tool_choice' demands a call, and then there is no text to hold to it: leave one of them out.";
        return Err(invalid("output_config.format", why));
    }
    if prefill.is_some() {
        prefill::check(&generate, thinking != Thinking::Untold, &last)?;
    }
    Ok(Asked { generate, prefill, thinking })
}
