//! `POST /completion`: a text continued as it is, in llama.cpp's own form.

mod answer;
mod request;
mod stream;

use bytes::Bytes;
use http::Response;

pub(crate) use request::TABLE;
pub(super) use request::{settings, usual};

use crate::{
    Body,
    generate::{self, stream as frames},
    openai::completions::text,
    ports::Ports,
    receive, respond,
    wire::ApiError,
};
use request::CompletionRequest;

/// Answers with what follows the prompt.
pub(crate) async fn post<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Response<Body>, ApiError> {
    let CompletionRequest { model, mut generate, grammar, stream, return_tokens } =
        CompletionRequest::read(receive::json(ports, body).await?)?;
    let renamed = |error: ApiError| {
        let prompt = ["messages", "tokens"].into_iter().fold(error, |error, from| error.rename(from, "prompt"));
        prompt.rename("grammar", grammar.unwrap_or("grammar"))
    };
    let prompt = text(ports, model.as_deref(), &generate.prompt).await.map_err(renamed)?;
    let mut settings = settings(&generate);
    settings["stream"] = stream.into();
    let opened = generate::open(ports, model.as_deref(), std::slice::from_mut(&mut generate)).await;
    let (model, choices) = opened.map_err(renamed)?;
    let head = answer::Head { model, prompt, settings };
    if stream {
        return Ok(frames::respond(respond::EVENTS, choices, stream::Writer::new(head)));
    }
    let (mut answers, told) = choices.whole().await?;
    Ok(told.with(respond::document(&answer::whole(&head, &mut answers[0], return_tokens))))
}
