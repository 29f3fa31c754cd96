//! A conversation's items as the messages that a model reads: what it thought, said and called in one turn is one message of it.

use super::{
    input::join,
    item::{Item, Speaker},
};
use crate::{
    generate::{CalledFunction, Message, Role, ToolCall},
    wire::{
        ApiError,
        table::{invalid, quoted},
    },
};

/// The messages of `items`, after the instructions.
pub(super) fn messages(instructions: Option<&str>, items: &[Item]) -> Result<Vec<Message>, ApiError> {
    let mut messages: Vec<_> = instructions.map(|text| Message::new(Role::System, text)).into_iter().collect();
    // A turn of the model's, of which more may come.
    let mut turn: Option<Message> = None;
    for item in items {
        match item {
            Item::Reasoning { content, summary, .. } => {
                messages.extend(turn.take().filter(is_said));
                let text = join(if content.is_empty() { summary } else { content });
                turn = (!text.is_empty()).then(|| Message {
                    content: None,
                    reasoning_content: Some(text),
                    ..Message::new(Role::Assistant, "")
                });
            }
            Item::Message { role: Speaker::Assistant, content, .. } => {
                messages.extend(turn.take_if(|turn| is_said(turn)));
                turn.get_or_insert_with(empty).content = Some(join(content));
            }
            Item::FunctionCall { call_id, name, arguments, .. } => {
                let function = CalledFunction { name: name.clone(), arguments: arguments.clone() };
                turn.get_or_insert_with(empty).tool_calls.push(ToolCall { id: Some(call_id.clone()), function });
            }
            Item::FunctionCallOutput { call_id, output, .. } => {
                messages.extend(turn.take().filter(is_said));
                let Some(name) = called(&messages, call_id) else {
                    return Err(invalid("input", format!("no function call {} stands before its output.", quoted(call_id))));
                };
                let name = Some(name.to_owned());
                messages.push(Message { tool_call_id: Some(call_id.clone()), name, ..Message::new(Role::Tool, output.clone()) });
            }
            Item::Message { role, content, .. } => {
                messages.extend(turn.take().filter(is_said));
                let role = if *role == Speaker::User { Role::User } else { Role::System };
                messages.push(Message::new(role, join(content)));
            }
        }
    }
    messages.extend(turn.filter(is_said));
    Ok(messages)
}

fn empty() -> Message {
    Message { content: None, ..Message::new(Role::Assistant, "") }
}

/// Whether there is more to a turn than thinking, which by itself is no message.
fn is_said(turn: &Message) -> bool {
    turn.content.is_some() || !turn.tool_calls.is_empty()
}

/// The function of the last call of this id.
fn called<'a>(messages: &'a [Message], id: &str) -> Option<&'a str> {
    let mut calls = messages.iter().rev().flat_map(|message| message.tool_calls.iter().rev());
    calls.find(|call| call.id.as_deref() == Some(id)).map(|call| call.function.name.as_str())
}
