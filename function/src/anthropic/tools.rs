//! Tools that a model may call, and whether it may, must, or must not.

use crate::{
    generate::{Generate, ToolChoice},
    openai::chat::tools::{MAX_NAME_BYTES, MAX_TOOLS, Said, function, offer, unique},
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Literal, Table},
    },
};

pub(super) static TOOLS: Field = Field::new(
    "tools",
    Kind::List(&Kind::Object(&TOOL), 0, MAX_TOOLS),
    "Tools that the model may call and the client runs. A call's input is held to the tool's 'input_schema'.",
);
pub(super) static TOOL_CHOICE: Field = Field::new(
    "tool_choice",
    Kind::Tagged("type", &[("auto", &AUTO), ("any", &ANY), ("tool", &NAMED), ("none", &NONE)]),
    "Whether the model calls tools: as it likes ('auto'), at least one and nothing else ('any'), the one that is named ('tool'), or none.",
);

static TOOL: Table = Table {
    name: "MessagesTool",
    plural: "tools",
    about: "A tool that the model may call. Further fields are let be.",
    fields: &[
        Field::new("type", Kind::Word(&["custom"]), "What it is. There are no tools that run here.").or(Literal::Text("custom")),
        Field::new("name", Kind::TextOf(1, MAX_NAME_BYTES), "What it is called by.").required(),
        Field::new("description", Kind::Text, "What it does, for the model."),
        Field::new("input_schema", Kind::Map(&Kind::Any), "The JSON schema of its input.").required(),
        Field::new("strict", Kind::Flag, "Hold calls to the schema, as is done here in any case."),
    ],
    open: true,
};

const TYPE: &str = "What it is.";
const ONE: Field = Field::new("disable_parallel_tool_use", Kind::Flag, "Make one call at most.").or(Literal::Flag(false));

static AUTO: Table = Table {
    name: "ToolChoiceAuto",
    plural: "choices",
    about: "As the model likes.",
    fields: &[Field::new("type", Kind::Word(&["auto"]), TYPE).required(), ONE],
    open: false,
};

static ANY: Table = Table {
    name: "ToolChoiceAny",
    plural: "choices",
    about: "At least one tool.",
    fields: &[Field::new("type", Kind::Word(&["any"]), TYPE).required(), ONE],
    open: false,
};

static NAMED: Table = Table {
    name: "ToolChoiceTool",
    plural: "choices",
    about: "One tool.",
    fields: &[
        Field::new("type", Kind::Word(&["tool"]), TYPE).required(),
        Field::new("name", Kind::Text, "The tool's name.").required(),
        ONE,
    ],
    open: false,
};

static NONE: Table = Table {
    name: "ToolChoiceNone",
    plural: "choices",
    about: "No tool.",
    fields: &[Field::new("type", Kind::Word(&["none"]), TYPE).required()],
    open: false,
};

/// Reads what the request says of tools into `generate`.
pub(super) fn read(fields: &mut Fields, generate: &mut Generate) -> Result<(), ApiError> {
    let list: Vec<_> = fields.objects("tools", &TOOL).map(|fields| function(fields, "input_schema")).collect();
    unique(&list, |index| format!("tools[{index}].name"))?;
    let wanted = fields.take("tool_choice").unwrap_or_default();
    let choice = wanted["type"].as_str().map(|kind| match kind {
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(wanted["name"].as_str().unwrap_or_default().to_owned()),
        _ => ToolChoice::Auto,
    });
    let parallel = wanted["disable_parallel_tool_use"] != true;
    offer(generate, list, choice, parallel, &Said { list: "tools", choice: "tool_choice", named: "tool_choice.name" })
}
