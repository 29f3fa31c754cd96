//! Messages in OpenAI's shape turned into what a template takes; what it leaves out is written into the messages that it has.

use serde_json::{Map, Value, json};

use super::{Dialect, format::spaced, habits::Describes};

/// `messages` and `tools` as the dialect's template takes them. What is not in OpenAI's shape stays as it is: the template says what is wrong.
pub(super) fn prepare(dialect: &Dialect, messages: &Value, tools: &Value) -> (Value, Value) {
    let Value::Array(messages) = messages else { return (messages.clone(), tools.clone()) };
    let described = tools.as_array().is_some_and(|tools| !tools.is_empty());
    let mut prepared: Vec<Value> = Vec::with_capacity(messages.len() + 1);
    let mut ids = Vec::new();
    for message in messages {
        let mut message = message.clone();
        match message["role"].as_str() {
            Some("assistant") => prepare_calls(dialect, &mut message, &mut ids),
            Some("tool") if dialect.habits.results => {
                if dialect.habits.nine
                    && let Some(id) = message.get_mut("tool_call_id")
                {
                    *id = nine(id, &mut ids).into();
                }
            }
            Some("tool") => {
                let result = format!("<tool_response>\n{}\n</tool_response>", text(&message["content"]));
                // Results follow each other, and templates may want turns to alternate.
                match prepared.last_mut().filter(|last| is_result(last)) {
                    Some(last) => last["content"] = format!("{}\n{result}", text(&last["content"])).into(),
                    None => prepared.push(json!({"role": "user", "content": result})),
                }
                continue;
            }
            Some("user") if !dialect.habits.results => {
                if let (Some(last), Some(content)) = (prepared.last_mut().filter(|last| is_result(last)), message["content"].as_str()) {
                    last["content"] = format!("{}\n\n{content}", text(&last["content"])).into();
                    continue;
                }
            }
            _ => {}
        }
        prepared.push(message);
    }
    match dialect.habits.tools {
        _ if !described => {}
        Describes::Template => return (prepared.into(), tools.clone()),
        Describes::SystemField => {
            let functions: Vec<Value> = tools.as_array().into_iter().flatten().map(|tool| tool["function"].clone()).collect();
            system(dialect, &mut prepared, "");
            if let Some(first) = prepared.first_mut() {
                first["tools"] = spaced(&functions.into()).into();
            }
        }
        Describes::Instructions => system(dialect, &mut prepared, &instructions(dialect, tools)),
    }
    (prepared.into(), Value::Null)
}

/// Whether it is a message of results written for the user's.
fn is_result(message: &Value) -> bool {
    message["role"] == "user"
        && message["content"].as_str().is_some_and(|text| text.starts_with("<tool_response>") && text.ends_with("</tool_response>"))
}

/// Calls as the template takes them, or as text where it writes none.
fn prepare_calls(dialect: &Dialect, message: &mut Value, ids: &mut Vec<String>) {
    let habits = &dialect.habits;
    let objects = habits.objects || !habits.calls;
    let Some(message) = message.as_object_mut() else { return };
    let Some(Value::Array(calls)) = message.get_mut("tool_calls").filter(|calls| calls.as_array().is_some_and(|calls| !calls.is_empty()))
    else {
        return;
    };
    for call in calls.iter_mut() {
        if habits.nine
            && let Some(id) = call.get_mut("id")
        {
            *id = nine(id, ids).into();
        }
        let Some(arguments) = call.get_mut("function").and_then(|function| function.get_mut("arguments")) else { continue };
        match arguments {
            Value::String(text) if objects => {
                // An empty text is what some clients send for no arguments.
                let object = if text.trim().is_empty() { Some(Map::new()) } else { serde_json::from_str::<Map<String, Value>>(text).ok() };
                if let Some(object) = object {
                    *arguments = object.into();
                }
            }
            Value::Object(_) if !objects => *arguments = spaced(arguments).into(),
            _ => {}
        }
    }
    if !habits.calls {
        let written: Vec<(&str, &Value)> =
            calls.iter().map(|call| (call["function"]["name"].as_str().unwrap_or_default(), &call["function"]["arguments"])).collect();
        let written = dialect.format.write(&written);
        let content = text(message.get("content").unwrap_or(&Value::Null));
        let content = if content.is_empty() { written } else { format!("{content}\n{written}") };
        message.insert("content".into(), content.into());
        message.shift_remove("tool_calls");
        return;
    }
    let empty = message.get("content").is_none_or(|content| content.is_null() || content == "");
    if empty {
        message.insert("content".into(), if habits.null_content { Value::Null } else { "".into() });
    }
}

/// An id of nine digits for this one, the same for the same.
fn nine(id: &Value, ids: &mut Vec<String>) -> String {
    let id = id.as_str().unwrap_or_default();
    if id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return id.into();
    }
    let number = ids.iter().position(|known| known == id).unwrap_or_else(|| {
        ids.push(id.into());
        ids.len() - 1
    });
    format!("{number:09}")
}

/// The text of a content, which may be in parts.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        Value::Null => String::new(),
        other => spaced(other),
    }
}

/// What a model is told of `tools` by a template that does not know of them.
fn instructions(dialect: &Dialect, tools: &Value) -> String {
    let tools: Vec<String> = tools.as_array().into_iter().flatten().map(spaced).collect();
    let example = dialect.format.write(&[("name-of-the-tool", &json!({"name-of-an-argument": "value"}))]);
    format!(
        "You can call tools to answer the user. They are described here, each by a JSON object:\n<tools>\n{}\n</tools>\n\nTo call one, answer in this form:\n{example}\n\nThe \
         results come back between <tool_response> and </tool_response>.",
        tools.join("\n")
    )
}

/// Puts `instructions` into the system message, or where there can be none before the first of the user's.
fn system(dialect: &Dialect, messages: &mut Vec<Value>, instructions: &str) {
    let joined = |before: &str, after: &str| {
        if before.is_empty() || after.is_empty() { [before, after].concat() } else { format!("{before}\n\n{after}") }
    };
    match messages.first_mut() {
        Some(first) if first["role"] == "system" || first["role"] == "developer" => {
            first["content"] = joined(&text(&first["content"]), instructions).into()
        }
        _ if dialect.habits.system => messages.insert(0, json!({"role": "system", "content": instructions})),
        Some(first) => first["content"] = joined(instructions, &text(&first["content"])).into(),
        None => {}
    }
}
