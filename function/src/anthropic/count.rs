//! `POST /v1/messages/count_tokens`: how long what the model reads of a conversation is.

use bytes::Bytes;
use http::Response;
use serde_json::json;

use super::{
    message, prefill,
    request::{Asked, OUTPUT_CONFIG, prompt},
    thinking, tools,
};
use crate::{
    Body,
    openai::chat::request::{MODEL, model},
    ports::Ports,
    receive, respond,
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Table},
    },
};

/// The request's fields.
pub(crate) static TABLE: Table = Table {
    name: "CountTokensRequest",
    plural: "requests",
    about: "A conversation whose tokens are counted.",
    fields: &[
        MODEL,
        message::MESSAGES,
        message::SYSTEM,
        tools::TOOLS,
        tools::TOOL_CHOICE,
        thinking::THINKING,
        OUTPUT_CONFIG,
        Field::refused("mcp_servers", |value| value.as_array().is_some_and(Vec::is_empty)),
        Field::ignored("cache_control"),
        Field::ignored("context_management"),
        Field::ignored("speed"),
        Field::ignored("user_profile_id"),
        Field::ignored("workspace_id"),
    ],
    open: false,
};

/// Answers with a number of tokens.
pub(crate) async fn post<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Response<Body>, ApiError> {
    let mut fields = Fields::of(receive::json(ports, body).await?, &TABLE)?;
    let Asked { generate, prefill, .. } = prompt(&mut fields)?;
    let tokens = prefill::tokens(ports, model(&mut fields).as_deref(), &generate, prefill.as_deref()).await?;
    Ok(respond::document(&json!({"input_tokens": tokens.len()})))
}
