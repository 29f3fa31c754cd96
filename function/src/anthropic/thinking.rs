//! Whether a model thinks, how long, and whether its thinking is told.

use serde_json::{Map, Value, json};

use crate::{
    generate::thinking,
    wire::{
        fields::Fields,
        table::{Field, Kind, Table, whole},
    },
};

pub(super) static THINKING: Field = Field::new(
    "thinking",
    Kind::Tagged("type", &[("enabled", &ENABLED), ("adaptive", &ADAPTIVE), ("disabled", &DISABLED)]),
    "Whether the model thinks before it answers, as a variable of its chat template. Without it it does not, and what it thinks all the same is not told.",
);

const TYPE: &str = "What it is.";
const DISPLAY: Field =
    Field::new("display", Kind::Word(&["summarized", "omitted"]), "Whether the thinking is told, which is never shortened here, or not.");

static ENABLED: Table = Table {
    name: "ThinkingEnabled",
    plural: "objects",
    about: "It thinks.",
    fields: &[
        Field::new("type", Kind::Word(&["enabled"]), TYPE).required(),
        Field::new(
            "budget_tokens",
            Kind::Integer(1, u32::MAX as i128),
            "The variable 'thinking_budget' of the chat template, which few templates know. Nothing else holds the model to it.",
        )
        .required(),
        DISPLAY,
    ],
    open: false,
};

static ADAPTIVE: Table = Table {
    name: "ThinkingAdaptive",
    plural: "objects",
    about: "It thinks as it likes.",
    fields: &[Field::new("type", Kind::Word(&["adaptive"]), TYPE).required(), DISPLAY],
    open: false,
};

static DISABLED: Table = Table {
    name: "ThinkingDisabled",
    plural: "objects",
    about: "It does not think.",
    fields: &[Field::new("type", Kind::Word(&["disabled"]), TYPE).required()],
    open: false,
};

/// What a client is told of a model's thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    /// Nothing: it did not ask for any, and may take the first block for the text.
    Untold,
    /// That it thought.
    Omitted,
    /// What it thought.
    Told,
}

/// Reads what the request says of thinking, with the variables of the chat template that ask for it.
pub(super) fn read(fields: &mut Fields) -> (Thinking, Map<String, Value>) {
    let config = fields.take("thinking").unwrap_or_default();
    let thinks = matches!(config["type"].as_str(), Some("enabled" | "adaptive"));
    let mut variables: Map<_, _> = thinking(thinks).collect();
    if let Some(budget) = whole(&config["budget_tokens"]) {
        variables.insert("thinking_budget".to_owned(), json!(budget as u32));
    }
    let told = match config["display"].as_str() {
        _ if !thinks => Thinking::Untold,
        Some("omitted") => Thinking::Omitted,
        _ => Thinking::Told,
    };
    (told, variables)
}
