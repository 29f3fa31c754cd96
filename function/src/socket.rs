//! `/v1/chat/ws`: what the server needs to know to bridge a WebSocket to the chat route. The bridge is the server's own and knows no chats: this is all that is said to it
//! of them (docs/websocket.md), so that both shapes, and any host that can do it, serve the same socket.

use http::{Response, StatusCode};
use serde::Serialize;

use crate::{
    Body,
    wire::{ApiError, error::ErrorType},
};

/// Where sockets are opened.
pub(crate) const PATH: &str = "/v1/chat/ws";
/// The route that the messages of a socket become requests to.
const CHAT: &str = "/v1/chat/completions";

#[derive(Serialize)]
struct Description {
    /// Where bodies are posted.
    post: &'static str,
    /// The array of a body that grows with a conversation.
    history: &'static str,
    /// Where in an event a piece of the answer is; put together it is the message that `history` grows by.
    delta: &'static str,
}

/// The answer to a GET that is no handshake, and to the server's own before one.
pub(crate) fn describe() -> Response<Body> {
    let description = Description { post: CHAT, history: "messages", delta: "/choices/0/delta" };
    let message = "This is a WebSocket: open it with a WebSocket client (ws:// or wss://), or POST a chat to /v1/chat/completions.";
    let error = ApiError::new(StatusCode::UPGRADE_REQUIRED, ErrorType::InvalidRequest, message).code("upgrade_required");
    let mut document: serde_json::Value = serde_json::from_str(&error.json()).unwrap_or_default();
    document["websocket"] = serde_json::to_value(description).unwrap_or_default();
    error.response_with(document.to_string())
}
