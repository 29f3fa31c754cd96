//! `POST /v1/chat/completions`: from a body to an answer, whole or streamed.

mod answer;
mod message;
pub(crate) mod request;
mod stream;
pub(crate) mod tools;

use bytes::Bytes;
use http::Response;

use super::head::Head;
use crate::{
    Body,
    generate::{self, stream as frames},
    ports::Ports,
    receive, respond,
    wire::ApiError,
};

pub use request::ChatRequest;
pub(crate) use request::TABLE;

/// Answers a chat.
pub(crate) async fn post<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Response<Body>, ApiError> {
    let ChatRequest { model, generate, grammar, n, stream, include_usage, function_call } =
        ChatRequest::read(receive::json(ports, body).await?)?;
    let opened = generate::open(ports, model.as_deref(), &mut generate.choices(n)).await;
    let (model, choices) = opened.map_err(|error| error.rename("grammar", grammar.unwrap_or("grammar")))?;
    let object = if stream { "chat.completion.chunk" } else { "chat.completion" };
    let head = Head::new("chatcmpl-", object, model);
    if stream {
        return Ok(frames::respond(respond::EVENTS, choices, stream::Writer::new(head, n, include_usage, function_call)));
    }
    let (answers, told) = choices.whole().await?;
    Ok(told.with(respond::document(&answer::Completion::new(&head, &answers, function_call))))
}
