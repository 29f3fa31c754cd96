//! What a client hears: one JSON document a message.

use serde_json::{Value, json};

use super::message::Fault;

/// A server-sent event of the answer; `data` is JSON already.
pub(super) fn event(id: &str, name: Option<&str>, data: &str) -> String {
    let id = Value::from(id);
    match name {
        Some(name) => format!(r#"{{"type":"event","id":{id},"event":{},"data":{data}}}"#, Value::from(name)),
        None => format!(r#"{{"type":"event","id":{id},"data":{data}}}"#),
    }
}

/// The answer is complete. `kept` says whether the chat can be continued.
pub(super) fn done(id: &str, kept: bool) -> String {
    if kept { json!({"type": "done", "id": id}) } else { json!({"type": "done", "id": id, "kept": false}) }.to_string()
}

/// The answer was stopped.
pub(super) fn cancelled(id: &str) -> String {
    json!({"type": "cancelled", "id": id}).to_string()
}

/// The chat is forgotten.
pub(super) fn closed(id: &str) -> String {
    json!({"type": "closed", "id": id}).to_string()
}

/// The answer to `ping`.
pub(super) fn pong() -> String {
    json!({"type": "pong"}).to_string()
}

/// An error of a request, as the handler or the server put it. Without a status it came within an answer.
pub(super) fn error(id: &str, status: Option<u16>, error: &Value, retry_after: Option<u64>) -> String {
    let mut message = json!({"type": "error", "id": id, "status": status, "error": error, "retry_after": retry_after});
    if let Some(message) = message.as_object_mut() {
        message.retain(|_, value| !value.is_null());
    }
    message.to_string()
}

/// A message that cannot be acted on.
pub(super) fn fault(fault: &Fault) -> String {
    let mut message =
        json!({"type": "error", "id": fault.id, "status": 400, "error": envelope(&fault.text, "invalid_request_error", "invalid_message")});
    if let Some(message) = message.as_object_mut() {
        message.retain(|_, value| !value.is_null());
    }
    message.to_string()
}

/// The inside of the envelope that OpenAI's clients read.
pub(super) fn envelope(message: &str, kind: &str, code: &str) -> Value {
    json!({"message": message, "type": kind, "param": null, "code": code})
}
