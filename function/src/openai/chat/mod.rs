//! `POST /v1/chat/completions`: from a body to an answer, whole or streamed.

mod answer;
mod message;
mod request;
mod stream;

use bytes::Bytes;
use http::Response;

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
    let ChatRequest { model, generate, n, stream, include_usage } = ChatRequest::read(receive::json(ports, body).await?)?;
    let (model, choices) = generate::open(ports, model.as_deref(), &generate.choices(n)).await?;
    let head = answer::Head::new(model, stream);
    if stream {
        let writer = stream::Writer::new(head, n, include_usage);
        return Ok(respond::events(frames::body(choices, writer)));
    }
    Ok(respond::document(&answer::Completion::new(&head, &choices.whole().await?)))
}
