//! Functions that the model may call, in this API's flat form.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    generate::{Function, Generate, Tool as Wrapped, ToolChoice},
    openai::chat::tools::{MAX_NAME_BYTES, MAX_TOOLS, Said, function, offer, unique},
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Table},
    },
};

pub(super) static TOOLS: Field = Field::new(
    "tools",
    Kind::List(&Kind::Tagged("type", &[("function", &TOOL)]), 0, MAX_TOOLS),
    "Functions that the model may call. A call's arguments are held to the function's 'parameters'. Tools that a provider runs, such as 'web_search', are not here.",
);
pub(super) static TOOL_CHOICE: Field = Field::new(
    "tool_choice",
    Kind::OneOf(&[Kind::Word(&["auto", "none", "required"]), Kind::Tagged("type", &[("function", &NAMED_CHOICE)])]),
    "Whether the model calls functions: as it likes ('auto'), not at all, at least one and nothing else ('required'), or the one that is named.",
);

static TOOL: Table = Table {
    name: "FunctionTool",
    plural: "tools",
    about: "A function that the model may call. Further fields are let be.",
    fields: &[
        Field::new("type", Kind::Word(&["function"]), "What it is.").required(),
        Field::new("name", Kind::TextOf(1, MAX_NAME_BYTES), "What it is called by.").required(),
        Field::new("description", Kind::Text, "What it does, for the model."),
        Field::new("parameters", Kind::Map(&Kind::Any), "The JSON schema of its arguments. Without it, it takes any object."),
        Field::new("strict", Kind::Flag, "Hold calls to the schema, as is done here in any case."),
    ],
    open: true,
};

static NAMED_CHOICE: Table = Table {
    name: "NamedToolChoice",
    plural: "choices",
    about: "The one function that is to be called.",
    fields: &[
        Field::new("type", Kind::Word(&["function"]), "What it is.").required(),
        Field::new("name", Kind::Text, "Its name.").required(),
    ],
    open: false,
};

/// A tool as an answer tells it again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Tool {
    r#type: &'static str,
    name: String,
    description: Option<String>,
    parameters: Option<Value>,
    strict: bool,
}

impl From<&Wrapped> for Tool {
    fn from(Wrapped { function }: &Wrapped) -> Self {
        let Function { name, description, parameters, strict } = function.clone();
        Self { r#type: "function", name, description, parameters, strict: strict.unwrap_or(true) }
    }
}

/// Reads what the request says of tools into `generate`. Returns the choice as an answer tells it again.
pub(super) fn read(fields: &mut Fields, generate: &mut Generate) -> Result<Value, ApiError> {
    let functions: Vec<_> = fields.objects("tools", &TOOL).map(|fields| function(fields, "parameters")).collect();
    unique(&functions, |index| format!("tools[{index}].name"))?;
    let told = fields.take("tool_choice").unwrap_or_else(|| json!("auto"));
    let choice = match &told {
        Value::String(word) if word == "none" => ToolChoice::None,
        Value::String(word) if word == "required" => ToolChoice::Required,
        Value::String(_) => ToolChoice::Auto,
        named => ToolChoice::Named(named["name"].as_str().unwrap_or_default().to_owned()),
    };
    let parallel = fields.flag("parallel_tool_calls").unwrap_or(true);
    offer(generate, functions, Some(choice), parallel, &Said { list: "tools", choice: "tool_choice", named: "tool_choice" })?;
    Ok(told)
}
