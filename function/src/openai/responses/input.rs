//! The items that a client sends, as tables and read into [`Item`]s.

use serde_json::Value;

use super::item::{Item, Names, Part, Speaker, Status};
use crate::wire::{
    fields::Fields,
    table::{Field, Kind, Table},
};

/// An item. Without a type it is a message.
pub(crate) const ITEM: Kind = Kind::TaggedOr(
    "type",
    &[
        ("message", &MESSAGE),
        ("function_call", &CALL),
        ("function_call_output", &OUTPUT),
        ("reasoning", &REASONING),
        ("item_reference", &REFERENCE),
    ],
);

const ID: Field = Field::ignored("id");
const STATUS: Field = Field::ignored("status");

static MESSAGE: Table = Table {
    name: "InputMessage",
    plural: "items",
    about: "Something said. Further fields are let be, here and in the other items: those of an answer can be sent back as they are.",
    fields: &[
        Field::new("type", Kind::Word(&["message"]), "What it is; it may be left out."),
        Field::new("role", Kind::Word(&["user", "assistant", "system", "developer"]), "Who says it. 'developer' is read as 'system'.")
            .required(),
        Field::new(
            "content",
            Kind::OneOf(&[
                Kind::Text,
                Kind::List(
                    &Kind::Tagged("type", &[("input_text", &INPUT_TEXT), ("output_text", &OUTPUT_TEXT), ("refusal", &REFUSAL)]),
                    0,
                    usize::MAX,
                ),
            ]),
            "What is said: a text, or parts that are texts, which a line break joins.",
        )
        .required(),
        ID,
        STATUS,
    ],
    open: true,
};

static INPUT_TEXT: Table = Table {
    name: "InputText",
    plural: "text parts",
    about: "A text.",
    fields: &[
        Field::new("type", Kind::Word(&["input_text"]), "What it is.").required(),
        Field::new("text", Kind::Text, "The text.").required(),
    ],
    open: true,
};

static OUTPUT_TEXT: Table = Table {
    name: "SentOutputText",
    plural: "text parts",
    about: "A text of the model's.",
    fields: &[
        Field::new("type", Kind::Word(&["output_text"]), "What it is.").required(),
        Field::new("text", Kind::Text, "The text.").required(),
    ],
    open: true,
};

static REFUSAL: Table = Table {
    name: "SentRefusal",
    plural: "refusals",
    about: "A refusal of a model's.",
    fields: &[
        Field::new("type", Kind::Word(&["refusal"]), "What it is.").required(),
        Field::new("refusal", Kind::Text, "Its text.").required(),
    ],
    open: true,
};

static CALL: Table = Table {
    name: "SentFunctionCall",
    plural: "calls",
    about: "A call that the model made.",
    fields: &[
        Field::new("type", Kind::Word(&["function_call"]), "What it is.").required(),
        Field::new("call_id", Kind::Text, "What its output is known by.").required(),
        Field::new("name", Kind::Text, "The function.").required(),
        Field::new("arguments", Kind::Text, "The arguments' JSON text.").required(),
        ID,
        STATUS,
    ],
    open: true,
};

static OUTPUT: Table = Table {
    name: "FunctionCallOutput",
    plural: "outputs",
    about: "What a function answered.",
    fields: &[
        Field::new("type", Kind::Word(&["function_call_output"]), "What it is.").required(),
        Field::new("call_id", Kind::Text, "The call that it answers, which stands before it.").required(),
        Field::new(
            "output",
            Kind::OneOf(&[Kind::Text, Kind::List(&Kind::Tagged("type", &[("input_text", &INPUT_TEXT)]), 0, usize::MAX)]),
            "What the function said: a text, or parts that are texts, which a line break joins.",
        )
        .required(),
        ID,
        STATUS,
    ],
    open: true,
};

static REASONING: Table = Table {
    name: "SentReasoning",
    plural: "thoughts",
    about: "What the model thought before what follows. Templates show it to the model where it was trained so.",
    fields: &[
        Field::new("type", Kind::Word(&["reasoning"]), "What it is.").required(),
        Field::new("content", Kind::List(&Kind::Object(&REASONING_TEXT), 0, usize::MAX), "The thinking."),
        Field::new(
            "summary",
            Kind::List(&Kind::Object(&SUMMARY_TEXT), 0, usize::MAX),
            "What it is in short, which is read where there is no content.",
        ),
        Field::ignored("encrypted_content"),
        ID,
        STATUS,
    ],
    open: true,
};

static REASONING_TEXT: Table = Table {
    name: "SentReasoningText",
    plural: "texts",
    about: "A piece of thinking.",
    fields: &[Field::new("type", Kind::Word(&["reasoning_text"]), "What it is."), Field::new("text", Kind::Text, "The text.").required()],
    open: true,
};

static SUMMARY_TEXT: Table = Table {
    name: "SentSummaryText",
    plural: "texts",
    about: "A piece of a summary of thinking.",
    fields: &[Field::new("type", Kind::Word(&["summary_text"]), "What it is."), Field::new("text", Kind::Text, "The text.").required()],
    open: true,
};

static REFERENCE: Table = Table {
    name: "ItemReference",
    plural: "references",
    about: "An item of a kept response, which stands in its place.",
    fields: &[
        Field::new("type", Kind::Word(&["item_reference"]), "What it is.").required(),
        Field::new("id", Kind::Text, "The item's name.").required(),
    ],
    open: true,
};

/// What a client sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Sent {
    /// An item. It has no name yet.
    Item(Item),
    /// The name of an item that is kept, and where the request says it.
    Reference(String, String),
}

/// The items of a checked array, which is called `name`.
pub(crate) fn items(array: Value, name: &str) -> Vec<Sent> {
    let Value::Array(items) = array else { return Vec::new() };
    items.into_iter().enumerate().map(|(index, item)| read(item, format!("{name}[{index}]"))).collect()
}

/// A text that stands for a message of the user's.
pub(crate) fn message(text: String) -> Sent {
    let content = vec![Part::InputText { text }];
    Sent::Item(Item::Message { id: String::new(), status: Status::Completed, role: Speaker::User, content })
}

fn read(item: Value, path: String) -> Sent {
    let table = |name: &str| match name {
        "function_call" => &CALL,
        "function_call_output" => &OUTPUT,
        "reasoning" => &REASONING,
        "item_reference" => &REFERENCE,
        _ => &MESSAGE,
    };
    let of_type = item["type"].as_str().unwrap_or("message").to_owned();
    let mut fields = Fields::checked(item, table(&of_type), path);
    let mut text = |name: &str| fields.text(name).unwrap_or_default();
    let (id, status) = (String::new(), Status::Completed);
    Sent::Item(match of_type.as_str() {
        "function_call" => Item::FunctionCall { id, call_id: text("call_id"), name: text("name"), arguments: text("arguments"), status },
        "function_call_output" => Item::FunctionCallOutput {
            id,
            call_id: text("call_id"),
            output: join(&parts(fields.take("output"), |text| Part::InputText { text })),
            status,
        },
        "reasoning" => Item::Reasoning {
            id,
            summary: parts(fields.take("summary"), |text| Part::SummaryText { text }),
            content: parts(fields.take("content"), |text| Part::ReasoningText { text }),
            status,
        },
        "item_reference" => {
            let id = text("id");
            return Sent::Reference(id, fields.path("id"));
        }
        _ => {
            let role = match text("role").as_str() {
                "assistant" => Speaker::Assistant,
                "system" => Speaker::System,
                "developer" => Speaker::Developer,
                _ => Speaker::User,
            };
            let part = |text| if role == Speaker::Assistant { Part::output(text) } else { Part::InputText { text } };
            Item::Message { id, status, role, content: parts(fields.take("content"), part) }
        }
    })
}

/// A text, or parts that are texts, as parts of one kind.
fn parts(value: Option<Value>, part: impl Fn(String) -> Part) -> Vec<Part> {
    match value {
        Some(Value::String(text)) => vec![part(text)],
        Some(Value::Array(items)) => {
            let text = |item: Value| match item {
                Value::Object(mut map) => match (map.remove("text"), map.remove("refusal")) {
                    (Some(Value::String(text)), _) | (_, Some(Value::String(text))) => Some(part(text)),
                    _ => None,
                },
                _ => None,
            };
            items.into_iter().filter_map(text).collect()
        }
        _ => Vec::new(),
    }
}

/// Parts as one text: a line break joins them, so that two do not run into one word.
pub(super) fn join(parts: &[Part]) -> String {
    parts.iter().map(Part::text).collect::<Vec<_>>().join("\n")
}

/// Gives an item its name.
pub(crate) fn name(item: &mut Item, names: &mut Names) {
    match item {
        Item::Message { id, .. } => *id = names.next("msg_"),
        Item::FunctionCall { id, .. } => *id = names.next("fc_"),
        Item::FunctionCallOutput { id, .. } => *id = names.next("fco_"),
        Item::Reasoning { id, .. } => *id = names.next("rs_"),
    }
}
