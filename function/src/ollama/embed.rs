//! `POST /api/embed` and the older `POST /api/embeddings`: texts as vectors of length 1.

use bytes::Bytes;
use http::Response;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    answer::nanoseconds,
    names::{MODEL, wanted},
};
use crate::{
    Body, models,
    openai::embeddings::{self, Embedded, MAX_INPUTS, Timings, shortened},
    ports::Ports,
    receive, respond,
    told::Told,
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Literal, Table},
    },
};

/// The fields of `/api/embed`.
pub(crate) static EMBED: Table = Table {
    name: "OllamaEmbedRequest",
    plural: "requests",
    about: "Texts to embed.",
    fields: &[
        MODEL,
        Field::new(
            "input",
            Kind::OneOf(&[Kind::Text, Kind::List(&Kind::Text, 0, MAX_INPUTS)]),
            "A text, or several. With none, the model is loaded.",
        ),
        Field::new("truncate", Kind::Flag, "Cut a text that is longer than the model's context, and do not refuse it.")
            .or(Literal::Flag(true)),
        Field::new(
            "dimensions",
            Kind::Integer(1, i32::MAX as i128),
            "Keep so many of each vector's elements, and bring it to length 1 again.",
        ),
        Field::ignored("keep_alive"),
        Field::ignored("options"),
    ],
    open: false,
};

/// The fields of `/api/embeddings`.
pub(crate) static EMBEDDINGS: Table = Table {
    name: "OllamaEmbeddingsRequest",
    plural: "requests",
    about: "A text to embed. One that is longer than the model's context is cut.",
    fields: &[
        MODEL,
        Field::new("prompt", Kind::Text, "The text. Without it, or empty, the model is loaded."),
        Field::ignored("keep_alive"),
        Field::ignored("options"),
    ],
    open: false,
};

#[derive(Debug, Serialize)]
struct Answer {
    model: String,
    embeddings: Vec<Vec<f32>>,
    total_duration: u64,
    load_duration: u64,
    prompt_eval_count: u64,
}

/// Answers with a vector for each text.
pub(crate) async fn embed<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Response<Body>, ApiError> {
    let mut fields = Fields::of(receive::json(ports, body).await?, &EMBED)?;
    let wanted = wanted(ports, &mut fields).await;
    let input: Vec<_> = fields.texts("input").into_iter().map(Value::from).collect();
    let truncate = fields.flag("truncate").unwrap_or_default();
    let dimensions = fields.count("dimensions");
    let Embedded { model, vectors, tokens, timings } = vectors(ports, wanted.name.as_deref(), &input, truncate).await?;
    let answer = Answer {
        model: wanted.told(&model),
        embeddings: vectors.into_iter().map(|vector| shortened(vector, dimensions)).collect::<Result<_, _>>()?,
        total_duration: nanoseconds(timings.queue_ms + timings.compute_ms),
        load_duration: nanoseconds(timings.queue_ms),
        prompt_eval_count: tokens,
    };
    Ok(Told::embeddings(&model, tokens).with(respond::document(&answer)))
}

/// Answers with a text's vector, or an empty one where there is no text.
pub(crate) async fn embeddings<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Response<Body>, ApiError> {
    let mut fields = Fields::of(receive::json(ports, body).await?, &EMBEDDINGS)?;
    let wanted = wanted(ports, &mut fields).await;
    let input: Vec<_> = fields.text("prompt").filter(|text| !text.is_empty()).map(Value::from).into_iter().collect();
    let Embedded { model, vectors, tokens, .. } = vectors(ports, wanted.name.as_deref(), &input, true).await?;
    Ok(Told::embeddings(&model, tokens).with(respond::document(&json!({"embedding": vectors.into_iter().next().unwrap_or_default()}))))
}

/// The vectors of any number of texts; of none, the model is loaded and that is all.
async fn vectors<P: Ports>(ports: &P, model: Option<&str>, input: &[Value], truncate: bool) -> Result<Embedded, ApiError> {
    if input.is_empty() {
        let (model, _) = models::load(ports, model).await?;
        return Ok(Embedded { model, vectors: Vec::new(), tokens: 0, timings: Timings::default() });
    }
    embeddings::embed(ports, model, input, truncate).await
}
