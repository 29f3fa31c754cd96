//! Functions that a model may call, and whether it may, must, or must not; in today's form (`tools`, `tool_choice`) and in the one before it (`functions`, `function_call`).

use serde_json::Value;

use crate::{
    generate::{Function, Generate, Tool, ToolChoice},
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Literal, Table, invalid, quoted},
    },
};

/// Tools of a request, as OpenAI has it.
pub(crate) const MAX_TOOLS: usize = 128;
/// Bytes of a function's name.
pub(crate) const MAX_NAME_BYTES: usize = 128;

pub(crate) static TOOLS: Field = Field::new(
    "tools",
    Kind::List(&Kind::Tagged("type", &[("function", &TOOL)]), 0, MAX_TOOLS),
    "Functions that the model may call. A call's arguments are held to the function's 'parameters'.",
);
pub(crate) static TOOL_CHOICE: Field = Field::new(
    "tool_choice",
    Kind::OneOf(&[Kind::Word(&["auto", "none", "required"]), Kind::Tagged("type", &[("function", &NAMED_CHOICE)])]),
    "Whether the model calls tools: as it likes ('auto'), not at all, at least one and nothing else ('required'), or the one that is named.",
);
pub(crate) static PARALLEL_TOOL_CALLS: Field =
    Field::new("parallel_tool_calls", Kind::Flag, "Whether the model may make several calls in one answer.").or(Literal::Flag(true));
pub(crate) static FUNCTIONS: Field =
    Field::new("functions", Kind::List(&Kind::Object(&FUNCTION), 0, MAX_TOOLS), "The old form of 'tools'.");
pub(crate) static FUNCTION_CALL: Field = Field::new(
    "function_call",
    Kind::OneOf(&[Kind::Word(&["auto", "none"]), Kind::Object(&NAME)]),
    "The old form of 'tool_choice', for 'functions'.",
);

static TOOL: Table = Table {
    name: "ChatTool",
    plural: "tools",
    about: "A function that the model may call, in its wrapping. Further fields are let be.",
    fields: &[
        Field::new("type", Kind::Word(&["function"]), "What it is.").required(),
        Field::new("function", Kind::Object(&FUNCTION), "The function.").required(),
    ],
    open: true,
};

static FUNCTION: Table = Table {
    name: "ChatFunction",
    plural: "functions",
    about: "A function that the model may call. Further fields are let be.",
    fields: &[
        Field::new("name", Kind::TextOf(1, MAX_NAME_BYTES), "What it is called by.").required(),
        Field::new("description", Kind::Text, "What it does, for the model."),
        Field::new("parameters", Kind::Map(&Kind::Any), "The JSON schema of its arguments. Without it, it takes any object."),
        Field::new("strict", Kind::Flag, "Hold calls to the schema, as is done here in any case."),
    ],
    open: true,
};

static NAMED_CHOICE: Table = Table {
    name: "ChatNamedToolChoice",
    plural: "choices",
    about: "The one tool that is to be called.",
    fields: &[
        Field::new("type", Kind::Word(&["function"]), "What it is.").required(),
        Field::new("function", Kind::Object(&NAME), "The function.").required(),
    ],
    open: false,
};

static NAME: Table = Table {
    name: "ChatFunctionName",
    plural: "names",
    about: "A function by its name.",
    fields: &[Field::new("name", Kind::Text, "Its name.").required()],
    open: false,
};

/// Reads what the request says of tools into `generate`. Returns whether it says it in the old form, in which the answer is then given too.
pub(crate) fn read(fields: &mut Fields, generate: &mut Generate) -> Result<bool, ApiError> {
    let tools = list(fields)?;
    let functions: Vec<_> = fields.objects("functions", &FUNCTION).map(|fields| function(fields, "parameters")).collect();
    unique(&functions, |index| format!("functions[{index}].name"))?;
    let legacy = !functions.is_empty();
    if legacy && !tools.is_empty() {
        return Err(invalid("functions", "'tools' is there too, which is its newer form: send one of them."));
    }
    let (list, choice_name) = if legacy { (functions, "function_call") } else { (tools, "tool_choice") };
    let list_name = if legacy { "functions" } else { "tools" };
    let choice = match fields.take(choice_name) {
        None => None,
        Some(Value::String(word)) => Some(match word.as_str() {
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            _ => ToolChoice::Auto,
        }),
        Some(value) => {
            let name = if legacy { &value["name"] } else { &value["function"]["name"] };
            name.as_str().map(|name| ToolChoice::Named(name.to_owned()))
        }
    };
    let parallel = fields.flag("parallel_tool_calls").unwrap_or(true) && !legacy;
    offer(generate, list, choice, parallel, &Said { list: list_name, choice: choice_name, named: choice_name })?;
    Ok(legacy)
}

/// What a request's parameters about tools are called, in whichever API.
pub(crate) struct Said {
    /// The tools.
    pub(crate) list: &'static str,
    /// Whether they are called.
    pub(crate) choice: &'static str,
    /// The one that is to be called.
    pub(crate) named: &'static str,
}

/// Lets the model call the functions of `list`, as far as `choice` can be met; without one, as it likes.
pub(crate) fn offer(
    generate: &mut Generate,
    list: Vec<Function>,
    choice: Option<ToolChoice>,
    parallel: bool,
    said: &Said,
) -> Result<(), ApiError> {
    match &choice {
        Some(ToolChoice::Required) if list.is_empty() => {
            return Err(invalid(said.choice, format!("it demands a call, and '{}' is empty: send a tool, or leave it out.", said.list)));
        }
        Some(ToolChoice::Named(name)) if !list.iter().any(|function| function.name == *name) => {
            return Err(invalid(said.named, format!("{} is not among '{}'.", quoted(name), said.list)));
        }
        _ => {}
    }
    if !list.is_empty() {
        generate.tool_choice = choice;
        generate.parallel_tool_calls = (!parallel).then_some(false);
    }
    generate.tools = list.into_iter().map(|function| Tool { function }).collect();
    Ok(())
}

/// The functions of `tools`.
pub(crate) fn list(fields: &mut Fields) -> Result<Vec<Function>, ApiError> {
    let tools = fields.objects("tools", &TOOL).filter_map(|mut tool| tool.object("function", &FUNCTION));
    let list: Vec<_> = tools.map(|fields| function(fields, "parameters")).collect();
    unique(&list, |index| format!("tools[{index}].function.name"))?;
    Ok(list)
}

/// Refuses two functions of one name; a call could not be told from one of the other.
pub(crate) fn unique(list: &[Function], path: impl Fn(usize) -> String) -> Result<(), ApiError> {
    match (0..list.len()).find(|&index| list[..index].iter().any(|other| other.name == list[index].name)) {
        None => Ok(()),
        Some(index) => {
            Err(invalid(&path(index), format!("{} is the name of an earlier one: give each its own.", quoted(&list[index].name))))
        }
    }
}

/// A function, whose arguments' schema an API calls `parameters` or otherwise.
pub(crate) fn function(mut fields: Fields, parameters: &str) -> Function {
    Function {
        name: fields.text("name").unwrap_or_default(),
        description: fields.text("description"),
        parameters: fields.map(parameters).map(Value::Object),
        strict: fields.flag("strict"),
    }
}
