//! The request of `POST /v1/responses`.

use serde_json::{Map, Value, json};

use super::{
    input::{self, Sent},
    tools,
};
use crate::{
    generate::{Generate, Grammar, Prompt, ToolChoice},
    openai::{
        chat::{
            request::{ENABLE_THINKING, MODEL, STREAM, TEMPLATE_VARIABLES, model, variables},
            tools::PARALLEL_TOOL_CALLS,
        },
        format::{JSON_OBJECT, TEXT},
        logprobs::MAX_TOP,
        metadata, sampling as s,
    },
    wire::{
        ApiError,
        fields::Fields,
        json,
        table::{Field, Kind, Literal, Table, invalid, missing},
    },
};

/// The request's fields.
pub(crate) static TABLE: Table = Table {
    name: "ResponseRequest",
    plural: "requests",
    about: "What to answer.",
    fields: &[
        MODEL,
        Field::new(
            "input",
            Kind::OneOf(&[Kind::Text, Kind::List(&input::ITEM, 0, usize::MAX)]),
            "A text, which is a message of the user's; or the items of a conversation.",
        ),
        Field::new("instructions", Kind::Text, "What the model is told before anything else. It is not carried over to later responses."),
        Field::new("previous_response_id", Kind::Text, "The kept response that this one goes on from: what was said until then comes first."),
        Field::new(
            "conversation",
            Kind::OneOf(&[Kind::Text, Kind::Object(&CONVERSATION)]),
            "The conversation that this goes on with, by its name: what was said in it comes first, and what is said now is added to it.",
        ),
        Field::new(
            "store",
            Kind::Flag,
            "Keep the response, to be asked for or gone on from. Where the setting 'store_responses' is false, nothing is kept.",
        )
        .or(Literal::Flag(true)),
        STREAM,
        Field::new("max_output_tokens", Kind::Integer(1, u32::MAX as i128), "Longest answer in tokens, thinking among them."),
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
        tools::TOOLS,
        tools::TOOL_CHOICE,
        PARALLEL_TOOL_CALLS,
        Field::new("text", Kind::Object(&TEXT_OPTIONS), "What the text is held to."),
        Field::new("reasoning", Kind::Object(&REASONING), "How a model that thinks does so."),
        ENABLE_THINKING,
        TEMPLATE_VARIABLES,
        Field::new(
            "include",
            Kind::List(&Kind::Word(INCLUDABLE), 0, 16),
            "What is told beside the usual. 'message.output_text.logprobs' tells how likely the text's tokens were; the others change nothing here.",
        ),
        Field::new(
            "top_logprobs",
            Kind::Integer(0, MAX_TOP as i128),
            "Tell how likely the text's tokens were, and so many of the likeliest at each place.",
        )
        .or(Literal::Integer(0)),
        Field::new(
            "truncation",
            Kind::Word(&["auto", "disabled"]),
            "What is done where a conversation is longer than the model's context: 'auto' leaves out what was said first, 'disabled' refuses.",
        )
        .or(Literal::Text("disabled")),
        metadata::FIELD,
        Field::refused("background", |value| value == false),
        Field::refused("context_management", |value| value.as_array().is_some_and(Vec::is_empty)),
        Field::refused("moderation", |_| false),
        Field::refused("prompt", |_| false),
        Field::ignored("max_tool_calls"),
        Field::ignored("prompt_cache_key"),
        Field::ignored("prompt_cache_options"),
        Field::ignored("prompt_cache_retention"),
        Field::ignored("safety_identifier"),
        Field::ignored("service_tier"),
        Field::ignored("stream_options"),
        Field::ignored("user"),
    ],
    open: false,
};

const LOGPROBS: &str = "message.output_text.logprobs";

const INCLUDABLE: &[&str] = &[
    LOGPROBS,
    "reasoning.encrypted_content",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "web_search_call.action.sources",
    "web_search_call.results",
];

pub(super) static CONVERSATION: Table = Table {
    name: "ConversationName",
    plural: "names",
    about: "A conversation by its name.",
    fields: &[Field::new("id", Kind::Text, "Its name.").required()],
    open: false,
};

static TEXT_OPTIONS: Table = Table {
    name: "TextOptions",
    plural: "options",
    about: "What the text is held to.",
    fields: &[
        Field::new(
            "format",
            Kind::Tagged("type", &[("text", &TEXT), ("json_object", &JSON_OBJECT), ("json_schema", &JSON_SCHEMA)]),
            "Any text, a JSON object, or JSON of a schema.",
        ),
        Field::ignored("verbosity"),
    ],
    open: false,
};

static JSON_SCHEMA: Table = Table {
    name: "TextFormatJsonSchema",
    plural: "formats",
    about: "JSON of a schema.",
    fields: &[
        Field::new("type", Kind::Word(&["json_schema"]), "What it is.").required(),
        Field::new("schema", Kind::Map(&Kind::Any), "The schema.").required(),
        Field::new("name", Kind::Text, "Its name; nothing here depends on it."),
        Field::new("description", Kind::Text, "What it is for; nothing here depends on it."),
        Field::new("strict", Kind::Flag, "Hold the text to the schema, as is done here in any case."),
    ],
    open: false,
};

static REASONING: Table = Table {
    name: "ReasoningOptions",
    plural: "options",
    about: "How a model that thinks does so. The thinking is told as it is, not in short.",
    fields: &[
        Field::new(
            "effort",
            Kind::Word(&["none", "minimal", "low", "medium", "high", "xhigh"]),
            "How long it thinks before it answers: a variable of its chat template. 'none' asks it not to.",
        ),
        Field::ignored("summary"),
        Field::ignored("generate_summary"),
    ],
    open: false,
};

/// A checked request.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseRequest {
    /// The model by name; `None` takes the default.
    pub model: Option<String>,
    /// What was sent.
    pub input: Vec<Sent>,
    /// What comes before it.
    pub before: Before,
    /// Keep the response.
    pub store: bool,
    /// Answer event by event.
    pub stream: bool,
    /// Leave out what was said first where the conversation is too long.
    pub truncate: bool,
    /// What to generate, as yet without messages.
    pub generate: Generate,
    /// What an answer tells again of it.
    pub told: Told,
}

/// What comes before a request's own input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// A response, by its name.
    Response(String),
    /// A conversation, by its name.
    Conversation(String),
}

/// What an answer tells again of its request, beside what the model is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The instructions.
    pub instructions: Option<String>,
    /// Whether the model calls functions.
    pub tool_choice: Value,
    /// What the text is held to.
    pub format: Value,
    /// The effort of reasoning.
    pub effort: Option<String>,
    /// What the client notes for itself.
    pub metadata: Map<String, Value>,
}

impl ResponseRequest {
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
        let before = before(&mut fields)?;
        let input = match fields.take("input") {
            Some(Value::String(text)) => vec![input::message(text)],
            Some(items) => input::items(items, "input"),
            None if before == Before::Nothing => return Err(missing("input")),
            None => Vec::new(),
        };
        let effort = fields.object("reasoning", &REASONING).and_then(|mut reasoning| reasoning.text("effort"));
        let top_logprobs = fields.count("top_logprobs").unwrap_or_default();
        let logprobs = fields.texts("include").iter().any(|name| name == LOGPROBS) || top_logprobs > 0;
        let mut generate = Generate {
            max_tokens: fields.count("max_output_tokens"),
            sampling: s::sampling(&mut fields)?,
            template: variables(&mut fields, effort.clone()),
            logprobs: logprobs.then_some(top_logprobs),
            ..Generate::new(Prompt::Messages(Vec::new()))
        };
        let tool_choice = tools::read(&mut fields, &mut generate)?;
        let format =
            fields.object("text", &TEXT_OPTIONS).and_then(|mut text| text.take("format")).unwrap_or_else(|| json!({"type": "text"}));
        generate.grammar = grammar(&format);
        if generate.grammar.is_some() && matches!(generate.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_))) {
            let why = "'tool_choice' demands a call, and then there is no text to hold to it: leave one of them out.";
            return Err(invalid("text.format", why));
        }
        Ok(Self {
            model: model(&mut fields),
            input,
            before,
            store: fields.flag("store").unwrap_or(true),
            stream: fields.flag("stream").unwrap_or_default(),
            truncate: fields.text("truncation").as_deref() == Some("auto"),
            generate,
            told: Told { instructions: fields.text("instructions"), tool_choice, format, effort, metadata: metadata::read(&mut fields)? },
        })
    }
}

fn before(fields: &mut Fields) -> Result<Before, ApiError> {
    let conversation = match fields.take("conversation") {
        Some(Value::String(id)) => Some(id),
        Some(object) => object["id"].as_str().map(str::to_owned),
        None => None,
    };
    match (fields.text("previous_response_id"), conversation) {
        (Some(_), Some(_)) => {
            Err(invalid("previous_response_id", "'conversation' is there too, which says already what comes before: send one of them."))
        }
        (Some(id), None) => Ok(Before::Response(id)),
        (None, Some(id)) => Ok(Before::Conversation(id)),
        (None, None) => Ok(Before::Nothing),
    }
}

fn grammar(format: &Value) -> Option<Grammar> {
    match (format["type"].as_str()?, format.get("schema")) {
        ("json_object", None | Some(Value::Null)) => Some(Grammar::JsonObject(true)),
        ("json_object" | "json_schema", schema) => schema.cloned().map(Grammar::JsonSchema),
        _ => None,
    }
}
