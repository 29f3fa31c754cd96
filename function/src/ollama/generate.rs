//! `POST /api/generate`: the answer to one prompt, or with `raw` what follows it.

use bytes::Bytes;
use http::Response;
use serde_json::Value;

use super::{
    answer::{Form, answer},
    names::{MODEL, wanted},
    options::OPTIONS,
    request::{self, FORMAT, LOGPROBS, STREAM, THINK, TOP_LOGPROBS},
};
use crate::{
    Body,
    generate::{Message, Prompt, Role},
    ports::Ports,
    receive,
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Literal, Table},
    },
};

/// The request's fields.
pub(crate) static TABLE: Table = Table {
    name: "OllamaGenerateRequest",
    plural: "requests",
    about: "A prompt to answer.",
    fields: &[
        MODEL,
        Field::new("prompt", Kind::Text, "The prompt. Without it, or empty, the model is loaded."),
        Field::new("system", Kind::Text, "Instructions before it."),
        Field::new("raw", Kind::Flag, "Continue the prompt as it is, without the model's chat template; control tokens in it are tokens.")
            .or(Literal::Flag(false)),
        FORMAT,
        OPTIONS,
        THINK,
        STREAM,
        LOGPROBS,
        TOP_LOGPROBS,
        Field::refused("context", is_empty),
        Field::refused("height", |_| false),
        Field::refused("images", is_empty),
        Field::refused("steps", |_| false),
        Field::refused("suffix", |value| value == ""),
        Field::refused("template", |value| value == ""),
        Field::refused("width", |_| false),
        Field::ignored("keep_alive"),
    ],
    open: false,
};

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// Answers a prompt.
pub(crate) async fn post<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Response<Body>, ApiError> {
    let mut fields = Fields::of(receive::json(ports, body).await?, &TABLE)?;
    let wanted = wanted(ports, &mut fields).await;
    let (text, system) = (fields.text("prompt").unwrap_or_default(), fields.text("system").unwrap_or_default());
    let prompt = if fields.flag("raw").unwrap_or_default() {
        Prompt::Text(text.clone())
    } else {
        let system = (!system.is_empty()).then(|| Message::new(Role::System, system));
        Prompt::Messages(system.into_iter().chain([Message::new(Role::User, text.clone())]).collect())
    };
    let asked = request::read(&mut fields, (!text.is_empty()).then_some(prompt))?;
    answer(ports, wanted, asked, Form::Generate).await
}
