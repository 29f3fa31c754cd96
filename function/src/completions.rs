//! `POST /v1/chat/completions`: from a body to an answer, whole or streamed.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::BodyExt;

use crate::{
    Body, ident, models, nn,
    nn::Chunk,
    ports::{Context, Graph, Nn, Ports},
    respond, stream,
    wire::{
        ApiError, ChatRequest,
        completion::{Answer, Choice, Completion, Head},
        error::ErrorType,
    },
};

/// Bytes of a request's body unless the setting `max_body_bytes` says otherwise.
pub(crate) const MAX_BODY_BYTES: usize = 4 << 20;

/// Answers a chat.
///
/// The first chunk is awaited before the status is sent, in a stream too: a full queue or a conversation that is too long is then a 503 or a 400, which clients and load
/// balancers understand, and not an event within a 200.
pub(crate) async fn post<P: Ports, B: http_body::Body<Data = Bytes>>(ports: P, body: B) -> Result<Response<Body>, ApiError> {
    let limit = crate::settings::number(ports.settings(), "max_body_bytes").await.unwrap_or(MAX_BODY_BYTES);
    let body = read(body, limit).await?;
    let request = ChatRequest::parse(&body)?;
    drop(body);
    let served = models::served(ports.settings()).await;
    let model = models::choose(&served, request.model.as_deref())?;
    let graph = ports.nn().load_by_name(&model).await.map_err(|error| models::describe(nn::api_error(&error), &model, &served))?;
    let mut context = graph.init_execution_context().map_err(|error| nn::api_error(&error))?;
    let first = nn::start(&mut context, &request).await?;
    let object = if request.stream { "chat.completion.chunk" } else { "chat.completion" };
    let head = Head { id: ident::completion_id(), object, created: ident::now(), model, system_fingerprint: ident::FINGERPRINT };
    if request.stream {
        let events = stream::events(context, first, head, request.include_usage);
        return Ok(respond::events(Body::Stream(Box::pin(events))));
    }
    whole(context, first, &head).await
}

async fn whole<C: Context>(mut context: C, first: Chunk, head: &Head) -> Result<Response<Body>, ApiError> {
    let Chunk { mut text, mut ending } = first;
    let ending = loop {
        if let Some(ending) = ending {
            break ending;
        }
        let chunk = nn::next(&mut context).await?;
        text.push_str(&chunk.text);
        ending = chunk.ending;
    };
    drop(context);
    let message = Answer { role: "assistant", content: &text, refusal: () };
    let choice = Choice { index: 0, message, logprobs: (), finish_reason: &ending.finish_reason };
    let completion = Completion { head, choices: [choice], usage: ending.usage() };
    Ok(respond::json(StatusCode::OK, serde_json::to_string(&completion).unwrap_or_default()))
}

/// A whole body of at most `limit` bytes. One that says beforehand that it is longer is refused before it is read.
async fn read<B: http_body::Body<Data = Bytes>>(body: B, limit: usize) -> Result<Vec<u8>, ApiError> {
    let too_large = || {
        let message = format!("The request body is larger than {limit} bytes, the most that is taken here. Shorten the conversation.");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorType::InvalidRequest, message).code("request_too_large")
    };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut body = std::pin::pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::bad_request("The request body broke off before its end."))?;
        // Trailers say nothing that is needed here.
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > limit - bytes.len() {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
