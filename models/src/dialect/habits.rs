//! What a template does with tools: seen by rendering a conversation that has a call.
//!
//! Templates differ in what they take (arguments as an object or as text, null or empty contents, ids of nine letters) and in what they leave out. A look at their source
//! would have to understand them; what they write says it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    Event, Tool,
    format::{FORMATS, Format, HERMES, spaced},
    parser::Parser,
    reasoning::{self, Reasoning},
};
use crate::template::ChatTemplate;

/// What a template does, and wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Habits {
    /// Who describes the tools.
    pub(super) tools: Describes,
    /// It writes the calls of earlier turns.
    pub(super) calls: bool,
    /// It writes the results of calls, in messages of the role `tool`.
    pub(super) results: bool,
    /// It takes a system message.
    pub(super) system: bool,
    /// Arguments are to be an object, not its text.
    pub(super) objects: bool,
    /// A message of calls without content is to have none, not an empty one.
    pub(super) null_content: bool,
    /// Ids of calls are to have nine letters or digits.
    pub(super) nine: bool,
}

/// Who describes the tools to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Describes {
    /// The template, from what it is given as `tools`.
    Template,
    /// The template, from a system message's field `tools`, which has their JSON.
    SystemField,
    /// Instructions before the conversation.
    Instructions,
}

const NAME: &str = "look_up";
const ANSWER: &str = "hearth-found-it";
const ASKS: &str = "hearth-asks";
const SYSTEM: &str = "hearth-system";

/// Ids of calls: of nine letters and digits, and as OpenAI has them.
const NINE: &str = "abcdefgh1";
const OPEN_AI: &str = "call_0123456789abcdefABCDEF01";

/// What is found of a template.
pub(super) struct Findings {
    pub(super) format: &'static Format,
    pub(super) reasoning: Option<&'static Reasoning>,
    pub(super) habits: Habits,
}

/// The form of `template`'s calls, its marks of thinking, and its habits.
pub(super) fn of(template: &ChatTemplate) -> Findings {
    let render = |messages: Value, tools: &Value| template.render(&messages, tools, true, &Map::new()).unwrap_or_default();
    let tools = json!([{"type": "function", "function": {"name": NAME, "description": "Looks up.", "parameters": {
        "type": "object", "properties": {"word": {"type": "string", "description": "A word."}, "count": {"type": "integer", "description": "A number."}},
        "required": ["word"],
    }}}]);
    let user = json!({"role": "user", "content": ASKS});
    let system = json!({"role": "system", "content": SYSTEM, "tools": NAME});
    let with_system = render(json!([system, user]), &Value::Null);
    let describes = if render(json!([user]), &tools).contains(NAME) {
        Describes::Template
    } else if with_system.contains(NAME) {
        Describes::SystemField
    } else {
        Describes::Instructions
    };
    let given = if describes == Describes::Template { &tools } else { &Value::Null };
    let mut habits = Habits {
        tools: describes,
        calls: false,
        results: false,
        system: with_system.contains(SYSTEM),
        objects: true,
        null_content: false,
        nine: false,
    };
    let (mut format, mut written) = (None, String::new());
    for (objects, null_content, nine) in variants() {
        let text = render(turn(objects, null_content, nine), given);
        let Some((_, answered)) = text.split_once(ASKS) else { continue };
        let taken = Habits { results: answered.contains(ANSWER), objects, null_content, nine, ..habits.clone() };
        format = FORMATS.iter().copied().find(|format| reads(format, answered));
        if format.is_some() || written.is_empty() {
            written = answered.to_owned();
            habits = Habits { calls: format.is_some(), ..taken };
        }
        if format.is_some() || answered.contains(NAME) {
            break;
        }
    }
    let described = |format: &Format| !format.hints.is_empty() && format.hints.iter().all(|hint| template.source().contains(hint));
    let format = format.or_else(|| FORMATS.iter().copied().find(|format| !written.contains(NAME) && described(format)));
    if format.is_none() {
        // The template knows of no calls, or of some in a form that is not known here: it is told of none.
        habits = Habits { tools: Describes::Instructions, calls: false, results: false, ..habits };
    }
    Findings { format: format.unwrap_or(&HERMES), reasoning: reasoning::of_template(template.source(), &written), habits }
}

/// A conversation with a call and its result.
fn turn(objects: bool, null_content: bool, nine: bool) -> Value {
    let id = if nine { NINE } else { OPEN_AI };
    let arguments = json!({"word": "hearth", "count": 7});
    let arguments = if objects { arguments } else { Value::from(spaced(&arguments)) };
    let content = if null_content { Value::Null } else { Value::from("") };
    json!([
        {"role": "user", "content": ASKS},
        {"role": "assistant", "content": content, "tool_calls": [{"id": id, "type": "function", "function": {"name": NAME, "arguments": arguments}}]},
        {"role": "tool", "tool_call_id": id, "name": NAME, "content": ANSWER},
    ])
}

/// What is tried: arguments as objects, null as content, ids of nine.
fn variants() -> impl Iterator<Item = (bool, bool, bool)> {
    [true, false].into_iter().flat_map(|objects| {
        [false, true].into_iter().flat_map(move |null_content| [false, true].into_iter().map(move |nine| (objects, null_content, nine)))
    })
}

/// Whether `format` finds the call in what a template wrote.
fn reads(format: &'static Format, turn: &str) -> bool {
    let properties = json!({"properties": {"word": {"type": "string"}, "count": {"type": "integer"}}});
    let tools: Arc<[Tool]> = [Tool { name: NAME.into(), parameters: properties }].into();
    let mut parser = Parser::new(Some(format), None, tools, false, false);
    // Without a marker a call is one where an answer begins with it.
    let start =
        if format.marker.is_empty() { turn.find(format.open.split('{').next().unwrap_or_default()).and(turn.find('{')) } else { Some(0) };
    let Some(start) = start else { return false };
    let mut events = parser.push(&turn[start..]);
    events.extend(parser.finish());
    let arguments: String =
        events.iter().filter_map(|event| if let Event::Arguments(text) = event { Some(text.as_str()) } else { None }).collect();
    parser.calls() == 1
        && serde_json::from_str::<Value>(&arguments).is_ok_and(|arguments| arguments == json!({"word": "hearth", "count": 7}))
}
