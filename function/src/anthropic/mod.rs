//! Anthropic's API: `POST /v1/messages`, whole or streamed, and `POST /v1/messages/count_tokens`.

mod answer;
mod count;
mod error;
mod message;
mod prefill;
mod request;
pub(crate) mod schemas;
mod stream;
mod thinking;
mod tools;

use bytes::Bytes;
use http::Response;

pub(crate) use count::{TABLE as COUNT, post as count};
pub(crate) use error::response as refusal;
pub use request::MessagesRequest;
pub(crate) use request::TABLE;

use crate::{
    Body,
    generate::{self, stream as frames},
    ident,
    ports::Ports,
    receive, respond,
    wire::ApiError,
};

/// Answers a conversation.
pub(crate) async fn post<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Response<Body>, ApiError> {
    let request = MessagesRequest::read(receive::json(ports, body).await?)?;
    let MessagesRequest { model, mut generate, prefill, thinking, max_tokens, stream } = request;
    if let Some(prefill) = prefill {
        generate = prefill::go_on(ports, model.as_deref(), generate, &prefill).await?;
    }
    let (model, choices) = generate::open(ports, model.as_deref(), &mut [generate]).await?;
    let head = answer::Head { id: ident::random("msg_"), model, thinking, max_tokens };
    if stream {
        return Ok(frames::respond(respond::EVENTS, choices, stream::Writer::new(head)));
    }
    let (answers, told) = choices.whole().await?;
    Ok(told.with(respond::document(&answer::Message::whole(&head, &answers[0]))))
}
