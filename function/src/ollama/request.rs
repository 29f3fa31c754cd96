//! What the requests of `/api/chat` and `/api/generate` have in common.

use serde_json::{Value, json};

use super::options;
use crate::{
    generate::{Generate, Grammar, Prompt, thinking},
    openai::chat::request::logprobs,
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Literal},
    },
};

pub(super) const STREAM: Field =
    Field::new("stream", Kind::Flag, "Answer line by line, each a JSON document, and not with one document.").or(Literal::Flag(true));
pub(super) const FORMAT: Field = Field::new(
    "format",
    Kind::OneOf(&[Kind::Word(&["", "json"]), Kind::Map(&Kind::Any)]),
    "What the text is held to: 'json' is a JSON object, a JSON schema is JSON of it.",
);
pub(super) const THINK: Field = Field::new(
    "think",
    Kind::OneOf(&[Kind::Flag, Kind::Word(&["low", "medium", "high"])]),
    "Whether a model that thinks does so, or how long, as variables of its chat template. With false nothing of it is told.",
);
pub(super) const LOGPROBS: Field =
    Field::new("logprobs", Kind::Flag, "Tell how likely each token of the answer was.").or(Literal::Flag(false));
pub(super) const TOP_LOGPROBS: Field =
    Field::new("top_logprobs", Kind::Integer(0, 20), "With 'logprobs': tell so many of the likeliest tokens at each place.")
        .or(Literal::Integer(0));

/// A request as it is checked and read.
#[derive(Debug)]
pub(super) struct Asked {
    /// What to generate; `None` only loads the model.
    pub(super) generate: Option<Generate>,
    /// Whether the model's thinking is told.
    pub(super) thinking: bool,
    /// Answer line by line.
    pub(super) stream: bool,
}

/// Reads all but the model and the prompt.
pub(super) fn read(fields: &mut Fields, prompt: Option<Prompt>) -> Result<Asked, ApiError> {
    let think = fields.take("think");
    let mut generate = Generate::new(prompt.clone().unwrap_or(Prompt::Text(String::new())));
    options::read(fields, &mut generate);
    generate.grammar = match fields.take("format") {
        Some(Value::String(word)) => (word == "json").then_some(Grammar::JsonObject(true)),
        schema => schema.map(Grammar::JsonSchema),
    };
    generate.logprobs = logprobs(fields)?;
    match &think {
        Some(Value::Bool(thinks)) => generate.template.extend(thinking(*thinks)),
        Some(effort) => {
            generate.template.extend(thinking(true));
            generate.template.insert("reasoning_effort".to_owned(), json!(effort));
        }
        None => {}
    }
    Ok(Asked {
        generate: prompt.is_some().then_some(generate),
        thinking: think != Some(json!(false)),
        stream: fields.flag("stream").unwrap_or_default(),
    })
}
