//! `/v1/responses`: answers that are kept, and can be gone on from by their names.
//!
//! A request is read into items ([`input`]); what came before it is found ([`turn`]); both become the messages that the model reads ([`messages`]); its chunks become items
//! again ([`output`]), which the response has in it, whole ([`answer`]) or event by event ([`stream`]).

mod answer;
pub(crate) mod input;
pub(crate) mod item;
mod messages;
mod output;
mod request;
pub(crate) mod schemas;
mod stream;
mod tools;
mod truncate;
pub(crate) mod turn;

use bytes::Bytes;
use http::{Response as Http, StatusCode};
use serde_json::{Value, json};

use super::listing;
use crate::{
    Body,
    generate::{self, Choices, Prompt, Sequence, stream as frames},
    nn::internal,
    ports::Ports,
    receive, respond, store,
    wire::{
        ApiError,
        error::ErrorType,
        fields::Fields,
        table::{Field, Table, invalid, quoted},
    },
};

pub use input::Sent;
pub use item::{Item, Part, Speaker, Status};
pub use request::{Before, ResponseRequest, Told};

use answer::Response;
use output::Output;
pub(crate) use request::TABLE;
use turn::{Kept, Read, Turn};

/// What stands behind the question mark where a kept response is asked for.
pub(crate) static QUERY: Table = Table {
    name: "ResponseQuery",
    plural: "queries",
    about: "How a kept response is told.",
    fields: &[
        Field::ignored("include"),
        Field::ignored("include_obfuscation"),
        Field::refused("stream", |value| value == "false"),
        Field::refused("starting_after", |_| false),
    ],
    open: true,
};

/// Answers with a response.
pub(crate) async fn post<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Http<Body>, ApiError> {
    let mut request = ResponseRequest::read(receive::json(ports, body).await?)?;
    let (turn, names) = Turn::begin(ports, &mut request).await?;
    let (model, mut choices) = open(ports, &request, &turn).await?;
    let mut response = Response::new(turn.secret(), model, turn.is_kept(), &request);
    let mut output = Output::new(names);
    if request.stream {
        let writer = stream::Writer::new(ports.clone(), turn, response, output);
        return Ok(frames::respond(respond::EVENTS, choices, writer));
    }
    let mut ending = None;
    while let Some(next) = choices.next().await {
        let (_, chunk) = next?;
        ending = ending.or_else(|| chunk.ending.clone());
        output.add(chunk);
    }
    let ending = ending.ok_or_else(|| internal("The model's answer has no end."))?;
    let told = choices.told().clone();
    drop(choices);
    response.end(output.items().to_vec(), &ending);
    turn.keep(ports, &response).await?;
    Ok(told.with(respond::document(&response)))
}

/// Starts the answer, with less of what came before where that is too long and may be left out.
async fn open<P: Ports>(ports: &P, request: &ResponseRequest, turn: &Turn) -> Result<(String, Choices<Sequence<P>>), ApiError> {
    let instructions = request.told.instructions.as_deref();
    let messages = messages::messages(instructions, turn.items())?;
    if messages.len() == usize::from(instructions.is_some()) {
        return Err(invalid("input", "there is nothing to answer. Send a message."));
    }
    let mut generate = request.generate.clone();
    generate.prompt = Prompt::Messages(messages);
    let model = request.model.as_deref();
    let mut opened = generate::open(ports, model, std::slice::from_mut(&mut generate)).await;
    if request.truncate && opened.as_ref().is_err_and(|error| error.code == Some("context_length_exceeded")) {
        truncate::shorten(ports, model, &mut generate).await?;
        opened = generate::open(ports, model, &mut [generate]).await;
    }
    opened.map_err(|error| error.rename("grammar", "text.format").rename("messages", "input"))
}

/// Tells a kept response.
pub(crate) async fn get<P: Ports>(ports: &P, id: &str) -> Result<Http<Body>, ApiError> {
    Ok(respond::document(&find(ports, id).await?.response))
}

/// Forgets a response.
pub(crate) async fn delete<P: Ports>(ports: &P, id: &str) -> Result<Http<Body>, ApiError> {
    find(ports, id).await?;
    if let Some(key) = turn::key(id) {
        store::delete_for_good(ports, &key).await?;
    }
    Ok(respond::document(&json!({"id": id, "object": "response", "deleted": true})))
}

/// Tells what a response is an answer to.
pub(crate) async fn input_items<P: Ports>(ports: &P, id: &str, query: Fields) -> Result<Http<Body>, ApiError> {
    let Kept { items, .. } = find(ports, id).await?;
    listing::page(items, query)
}

/// Refuses to cancel: whoever waits for an answer stops it by closing the connection.
pub(crate) async fn cancel<P: Ports>(ports: &P, id: &str) -> Result<Http<Body>, ApiError> {
    find(ports, id).await?;
    let message =
        "Only a response that is made in the background can be cancelled, and none is here. Close the connection to stop an answer.";
    Err(ApiError::bad_request(message).code("not_in_background"))
}

async fn find<P: Ports>(ports: &P, id: &str) -> Result<Read, ApiError> {
    let found: Option<Kept<Value, _>> = turn::find(ports, id).await?;
    found.ok_or_else(|| {
        let message = format!("Response with id {} not found: it was never kept, was deleted, or its time is over.", quoted(id));
        ApiError::new(StatusCode::NOT_FOUND, ErrorType::InvalidRequest, message).code("response_not_found")
    })
}
