//! Tools that an answer may call, and the grammar that holds it to them.

use std::collections::HashSet;

use hearth_models::{
    dialect::{Dialect, Tool, Wanted},
    tokenizer::Tokenizer,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Error,
    chat::pieces,
    grammar::{Constraint, Grammar, Vocabulary},
};

/// Tools of a request, and letters of a tool's name.
const MAX_TOOLS: usize = 128;
const MAX_NAME: usize = 64;

/// Whether an answer calls tools.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(from = "Choice")]
pub(crate) enum ToolChoice {
    /// As the model likes.
    #[default]
    Auto,
    /// Never: it is not told of them.
    None,
    /// It does nothing else.
    Required,
    /// It calls this one and does nothing else.
    Named(String),
}

/// [`ToolChoice`] in a request.
#[derive(Deserialize)]
#[serde(untagged, expecting = "`tool_choice` is none of \"auto\", \"none\", \"required\" and {\"name\": …}")]
enum Choice {
    Word(Word),
    Named(Named),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Auto,
    None,
    Required,
}

impl From<Choice> for ToolChoice {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Word(Word::Auto) => Self::Auto,
            Choice::Word(Word::None) => Self::None,
            Choice::Word(Word::Required) => Self::Required,
            Choice::Named(Named { name }) => Self::Named(name),
        }
    }
}

/// The tools that an answer may call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Callable {
    pub(crate) tools: Vec<Tool>,
    /// Of each, whether it must be held to all that its schema says, or may be to less where that is not possible.
    strict: Vec<bool>,
    /// An answer is nothing but calls.
    pub(crate) must_call: bool,
    several: bool,
}

/// A tool as a request describes it. What else it says is the template's to read.
#[derive(Deserialize)]
struct Described {
    #[serde(rename = "type")]
    kind: String,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    parameters: Value,
    strict: Option<bool>,
}

impl Callable {
    /// Those of `tools`, null or an array in OpenAI's shape, that may be called after `choice`.
    pub(crate) fn new(tools: &Value, choice: &ToolChoice, several: bool) -> Result<Self, Error> {
        let described = match tools {
            Value::Null => Vec::new(),
            Value::Array(tools) => tools.iter().enumerate().map(|(number, tool)| function(number, tool)).collect::<Result<_, _>>()?,
            _ => return Err(Error::invalid("`tools` is not an array")),
        };
        if described.len() > MAX_TOOLS {
            return Err(Error::invalid(format!("`tools` has {} elements; give at most {MAX_TOOLS}", described.len())));
        }
        let mut names = HashSet::new();
        if let Some(Function { name, .. }) = described.iter().find(|function| !names.insert(&function.name)) {
            return Err(Error::invalid(format!("`tools` has `{name}` twice: a call must say which it means")));
        }
        let wanted: Box<dyn Fn(&Function) -> bool> = match choice {
            ToolChoice::None => Box::new(|_| false),
            ToolChoice::Auto | ToolChoice::Required => Box::new(|_| true),
            ToolChoice::Named(name) => Box::new(move |function| function.name == *name),
        };
        let must_call = matches!(choice, ToolChoice::Required | ToolChoice::Named(_));
        let mut callable = Self { must_call, several: several && !matches!(choice, ToolChoice::Named(_)), ..Self::default() };
        for Function { name, parameters, strict } in described.into_iter().filter(|function| wanted(function)) {
            callable.tools.push(Tool { name, parameters });
            callable.strict.push(strict == Some(true));
        }
        match choice {
            ToolChoice::Named(name) if callable.tools.is_empty() => {
                Err(Error::invalid(format!("`tool_choice` wants `{name}`, which `tools` does not have")))
            }
            ToolChoice::Required if callable.tools.is_empty() => {
                Err(Error::invalid("`tool_choice` is `required`, but there are no `tools`"))
            }
            _ => Ok(callable),
        }
    }

    /// What holds an answer in `dialect` to these tools, and to `grammar` where it is no call. `thinks`: the prompt ends within the thinking.
    pub(crate) fn constraint(
        &self,
        dialect: &Dialect,
        grammar: Option<&Grammar>,
        thinks: bool,
        tokenizer: &Tokenizer,
        vocabulary: &Vocabulary,
    ) -> Result<Constraint, Error> {
        if self.tools.is_empty()
            && !dialect.reasons()
            && let Some(grammar) = grammar
        {
            return Constraint::new(grammar, vocabulary);
        }
        // A grammar alone is what its error is about.
        if let Some(grammar) = grammar {
            Constraint::new(grammar, vocabulary)?;
        }
        let content = grammar.map(|grammar| grammar.rule("content")).transpose()?;
        let hold = |tools: &[Tool]| {
            let wanted = Wanted { tools, must_call: self.must_call, several: self.several, thinks, content: content.as_deref() };
            Constraint::lark(&dialect.grammar(&wanted, &|text| pieces(tokenizer, text)), vocabulary)
        };
        let refused = |error: Error| Error::invalid(format!("`tools` cannot be honoured: {}", error.message));
        hold(&self.tools).or_else(|_| hold(&self.loosened(dialect, tokenizer, vocabulary)?).map_err(refused))
    }

    /// The tools, with any object for arguments where a schema asks for what no grammar can hold.
    fn loosened(&self, dialect: &Dialect, tokenizer: &Tokenizer, vocabulary: &Vocabulary) -> Result<Vec<Tool>, Error> {
        let loosen = |(tool, strict): (&Tool, &bool)| {
            let wanted = Wanted { tools: std::slice::from_ref(tool), must_call: true, several: false, thinks: false, content: None };
            match Constraint::lark(&dialect.grammar(&wanted, &|text| pieces(tokenizer, text)), vocabulary) {
                Ok(_) => Ok(tool.clone()),
                Err(error) if *strict => {
                    Err(Error::invalid(format!("`parameters` of the tool `{}` cannot be honoured: {}", tool.name, error.message)))
                }
                Err(_) => Ok(Tool { name: tool.name.clone(), parameters: json!({"type": "object"}) }),
            }
        };
        self.tools.iter().zip(&self.strict).map(loosen).collect()
    }
}

fn function(number: usize, tool: &Value) -> Result<Function, Error> {
    let described: Described =
        Deserialize::deserialize(tool).map_err(|error| Error::invalid(format!("element {number} of `tools` is not valid: {error}")))?;
    let Described { kind, function } = described;
    if kind != "function" {
        return Err(Error::invalid(format!("element {number} of `tools` has the type `{kind}`; give `function`")));
    }
    let name = &function.name;
    let good = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if !good || !(1..=MAX_NAME).contains(&name.len()) {
        return Err(Error::invalid(format!(
            "element {number} of `tools` is named {name:?}; give 1 to {MAX_NAME} letters, digits, `_` and `-`"
        )));
    }
    if !matches!(function.parameters, Value::Null | Value::Object(_)) {
        return Err(Error::invalid(format!("`parameters` of the tool `{name}` is no schema: give an object")));
    }
    Ok(function)
}

#[cfg(test)]
mod tests;
