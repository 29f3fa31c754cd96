//! One turn of a chat: a request to the handler, and its answer as the events of a stream. Dropping it drops the answer's body, which stops the sequence behind it.

use std::{pin::Pin, sync::Arc};

use futures::{Stream, stream};
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use super::{
    Link,
    events::{Decoder, Event},
    head::Head,
    reply,
};
use crate::{admit, body::ServedBody, observe::Observed};

/// Bytes of an answer that is no stream.
const WHOLE_MAX: usize = 64 * 1024;
/// The event that ends a stream which is whole.
const DONE: &str = "[DONE]";

/// What a turn comes to, bit by bit.
#[derive(Debug)]
pub(super) enum Step {
    /// An event: its name, its data, and the same as JSON text.
    Event { name: Option<String>, value: Value, text: String },
    /// The stream is complete and its body has ended.
    Done,
    /// The end: the request was refused, or the answer broke off, which has no status.
    Failed { status: Option<u16>, error: Value, retry_after: Option<u64> },
}

pub(super) type Turn = Pin<Box<dyn Stream<Item = Step> + Send>>;

enum Stage {
    Asked(String),
    Reading(Box<Observed<ServedBody>>, Decoder, bool),
    Ended,
}

/// Asks the handler; nothing happens before the turn is polled.
pub(super) fn begin(link: Arc<Link>, head: Head, body: String) -> Turn {
    Box::pin(stream::unfold(Stage::Asked(body), move |mut stage| {
        let (link, head) = (link.clone(), head.clone());
        async move {
            loop {
                stage = match stage {
                    Stage::Ended => return None,
                    Stage::Asked(body) => {
                        let answer = async |request| {
                            let Ok(response) = admit::answer(link.shared.clone(), link.activity.clone(), request).await;
                            response
                        };
                        let response = admit::observed(&link.shared, head.post(body), answer).await;
                        if !is_events(&response) {
                            return Some((refused(response).await, Stage::Ended));
                        }
                        Stage::Reading(Box::new(response.into_body()), Decoder::default(), false)
                    }
                    Stage::Reading(mut body, mut decoder, mut done) => {
                        let step = match decoder.next() {
                            Ok(Some(event)) if event.data == DONE => {
                                done = true;
                                None
                            }
                            Ok(Some(event)) => Some(step(event)),
                            // The body is read to its end, so that its permit is free and the handler's side closed when the client hears of it.
                            Ok(None) => match body.frame().await {
                                Some(Ok(frame)) => {
                                    if let Some(bytes) = frame.data_ref() {
                                        decoder.feed(bytes);
                                    }
                                    None
                                }
                                None if done => Some(Step::Done),
                                None => Some(broken("it ended before it was complete")),
                                Some(Err(error)) => Some(broken(error)),
                            },
                            Err(error) => Some(broken(error)),
                        };
                        match step {
                            Some(Step::Event { .. }) => return step.map(|step| (step, Stage::Reading(body, decoder, done))),
                            Some(end) => return Some((end, Stage::Ended)),
                            None => Stage::Reading(body, decoder, done),
                        }
                    }
                }
            }
        }
    }))
}

fn is_events<B>(response: &Response<B>) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    response.status().is_success() && content_type.to_ascii_lowercase().starts_with(b"text/event-stream")
}

fn step(Event { name, data }: Event) -> Step {
    match serde_json::from_str::<Value>(&data) {
        // What fails after the status has gone is an event that holds the envelope.
        Ok(Value::Object(mut object)) if object.get("error").is_some_and(Value::is_object) => {
            Step::Failed { status: None, error: object.remove("error").unwrap_or_default(), retry_after: None }
        }
        Ok(value) => Step::Event { name, value, text: data },
        Err(_) => {
            let value = Value::from(data);
            Step::Event { name, text: value.to_string(), value }
        }
    }
}

/// An answer that is no stream.
async fn refused(response: Response<Observed<ServedBody>>) -> Step {
    let (status, retry_after) =
        (response.status(), response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok()));
    if status.is_success() {
        let error = reply::envelope(
            "The answer is no stream of events, which is all that a WebSocket passes on: send the request by HTTP",
            "server_error",
            "no_stream",
        );
        return Step::Failed { status: Some(StatusCode::BAD_GATEWAY.as_u16()), error, retry_after: None };
    }
    let body = Limited::new(response.into_body(), WHOLE_MAX).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let error = match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Object(mut object)) if object.contains_key("error") => object.remove("error").unwrap_or_default(),
        _ => reply::envelope(status.canonical_reason().unwrap_or("The request failed"), "server_error", "failed"),
    };
    Step::Failed { status: Some(status.as_u16()), error, retry_after }
}

fn broken(why: impl std::fmt::Display) -> Step {
    tracing::warn!("an answer on a WebSocket broke off: {why}");
    let error = reply::envelope("The answer broke off inside the server; its log says why", "server_error", "internal");
    Step::Failed { status: None, error, retry_after: None }
}
