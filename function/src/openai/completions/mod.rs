//! `POST /v1/completions`: texts continued as they are, without a chat template.

mod answer;
mod logprobs;
mod request;
mod stream;

use bytes::Bytes;
use http::Response;
use serde_json::json;

use super::head::Head;
use crate::{
    Body,
    generate::{self, Prompt, stream as frames},
    models,
    ports::Ports,
    receive, respond,
    wire::ApiError,
};

pub use request::CompletionRequest;
pub(crate) use request::{PROMPTS, TABLE, TOKEN, prompts};

/// Answers with what follows the prompts.
pub(crate) async fn post<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Response<Body>, ApiError> {
    let request = CompletionRequest::read(receive::json(ports, body).await?)?;
    let CompletionRequest { model, generate, grammar, n, echo, stream, include_usage } = request;
    let renamed = |error: ApiError| {
        let prompt = ["messages", "tokens"].into_iter().fold(error, |error, from| error.rename(from, "prompt"));
        prompt.rename("grammar", grammar.unwrap_or("grammar"))
    };
    let mut echoes = Vec::new();
    for request in generate.iter().filter(|_| echo) {
        echoes.push(text(ports, model.as_deref(), &request.prompt).await.map_err(renamed)?);
    }
    let mut requests: Vec<_> = generate.into_iter().flat_map(|request| request.choices(n)).collect();
    let (model, choices) = generate::open(ports, model.as_deref(), &mut requests).await.map_err(renamed)?;
    let head = Head::new("cmpl-", "text_completion", model);
    if stream {
        let writer = stream::Writer::new(head, choices.count(), n, &echoes, include_usage);
        return Ok(frames::respond(respond::EVENTS, choices, writer));
    }
    let (mut answers, told) = choices.whole().await?;
    answer::put_before(&mut answers, n, &echoes);
    Ok(told.with(respond::document(&answer::Completion::new(&head, &answers, n))))
}

/// A prompt as a text.
pub(crate) async fn text<P: Ports>(ports: &P, model: Option<&str>, prompt: &Prompt) -> Result<String, ApiError> {
    match prompt {
        Prompt::Text(text) => Ok(text.clone()),
        Prompt::Tokens(tokens) => {
            let (_, mut outputs) =
                models::ask(ports, model, &json!({"detokenize": tokens})).await.map_err(|error| error.rename("detokenize", "tokens"))?;
            Ok(outputs.text("text")?.unwrap_or_default())
        }
        Prompt::Messages(_) => Ok(String::new()),
    }
}
