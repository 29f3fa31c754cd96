//! `GET /v1/export`: all that is kept for the caller, as lines of JSON, the oldest first. Each is read when the client has taken the one before.

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::Response;
use http_body::Frame;
use serde_json::{Value, json};

use crate::{
    Body,
    openai::{conversations::Conversation, responses::turn},
    ports::Ports,
    respond, store,
    wire::{
        ApiError,
        table::{Field, Kind, Table},
    },
};

/// What a line holds.
pub(crate) static LINE: Table = Table {
    name: "ExportLine",
    plural: "lines",
    about: "A response or a conversation that is kept.",
    fields: &[
        Field::new("type", Kind::Word(&["response", "conversation", "error"]), "What it is; 'error' ends an export that broke off.")
            .required(),
        Field::new("response", Kind::Map(&Kind::Any), "The response, as GET /v1/responses/{response_id} tells it."),
        Field::new("conversation", Kind::Map(&Kind::Any), "The conversation, as GET /v1/conversations/{conversation_id} tells it."),
        Field::new("items", Kind::List(&Kind::Any, 0, usize::MAX), "What a response is an answer to, or what was said in a conversation."),
        Field::new("error", Kind::Map(&Kind::Any), "Why the export broke off."),
    ],
    open: false,
};

/// Answers with the lines.
pub(crate) async fn get<P: Ports>(ports: &P) -> Result<Response<Body>, ApiError> {
    let mut ids = Vec::new();
    if store::enabled(ports).await {
        ids = turn::all(ports).await?;
        ids.extend(Conversation::all(ports).await?);
    }
    let lines = stream::unfold((ports.clone(), ids.into_iter()), |(ports, mut ids)| async move {
        loop {
            let id = ids.next()?;
            match line(&ports, &id).await {
                Ok(Some(line)) => return Some((written(&line), (ports, ids))),
                Ok(None) => {}
                Err(error) => {
                    let error: Value = serde_json::from_str(&error.json()).unwrap_or_default();
                    return Some((written(&json!({"type": "error", "error": error["error"]})), (ports, Vec::new().into_iter())));
                }
            }
        }
    });
    Ok(respond::stream(respond::LINES, Body::Stream(Box::pin(lines.fuse().map(Frame::data)))))
}

/// `None` for what was deleted meanwhile, or whose time is over.
async fn line<P: Ports>(ports: &P, id: &str) -> Result<Option<Value>, ApiError> {
    if id.starts_with("resp_") {
        let kept = turn::find(ports, id).await?;
        return Ok(kept.map(|kept| json!({"type": "response", "response": kept.response, "items": kept.items})));
    }
    let conversation = match Conversation::find(ports, id).await {
        Err(error) if error.code == Some("conversation_not_found") => return Ok(None),
        found => found?,
    };
    let metadata = conversation.metadata(ports).await?;
    let items = conversation.items(ports).await?;
    let told = json!({"id": id, "object": "conversation", "created_at": conversation.created_at(), "metadata": metadata});
    Ok(Some(json!({"type": "conversation", "conversation": told, "items": items})))
}

fn written(line: &Value) -> Bytes {
    format!("{line}\n").into()
}
