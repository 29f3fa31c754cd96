//! `POST /v1/embeddings`: texts as vectors of length 1.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    chat::request::{MODEL, model},
    completions::{PROMPTS, prompts},
};
use crate::{
    Body,
    generate::Prompt,
    models,
    nn::internal,
    ports::Ports,
    receive, respond,
    told::Told,
    wire::{
        ApiError,
        fields::Fields,
        json,
        table::{Field, Kind, Literal, Table, invalid},
    },
};

/// Texts of one request.
pub const MAX_INPUTS: usize = 2048;

/// The request's fields.
pub(crate) static TABLE: Table = Table {
    name: "EmbeddingRequest",
    plural: "requests",
    about: "Texts to embed.",
    fields: &[
        MODEL,
        Field::new("input", PROMPTS, "A text, or tokens, which are taken as they are; or up to 2048 of either in an array.").required(),
        Field::new(
            "encoding_format",
            Kind::Word(&["float", "base64"]),
            "As numbers, or as the base64 text of 32-bit floats in little-endian order.",
        )
        .or(Literal::Text("float")),
        Field::new(
            "dimensions",
            Kind::Integer(1, i32::MAX as i128),
            "Keep so many of each vector's elements, and bring it to length 1 again.",
        ),
        Field::ignored("user"),
    ],
    open: false,
};

/// A checked request.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingRequest {
    /// The model by name; `None` takes the default.
    pub model: Option<String>,
    /// Texts and arrays of tokens, as the model's side takes them; 1 to [`MAX_INPUTS`].
    pub input: Vec<Value>,
    /// As base64 and not as numbers.
    pub base64: bool,
    /// Elements of a vector; `None` is all.
    pub dimensions: Option<u32>,
}

impl EmbeddingRequest {
    /// Reads and checks a request's body.
    ///
    /// # Errors
    /// 400 that names the parameter, what is wrong with it and what would be right.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        Self::read(json::parse(body)?)
    }

    fn read(document: Value) -> Result<Self, ApiError> {
        let mut fields = Fields::of(document, &TABLE)?;
        let input = prompts(fields.take("input").unwrap_or_default(), "input")?;
        if input.len() > MAX_INPUTS {
            return Err(invalid("input", format!("{} texts, where at most {MAX_INPUTS} are taken. Send several requests.", input.len())));
        }
        let plain = |prompt| match prompt {
            Prompt::Text(text) => json!(text),
            Prompt::Tokens(tokens) => json!(tokens),
            Prompt::Messages(_) => Value::Null,
        };
        Ok(Self {
            model: model(&mut fields),
            input: input.into_iter().map(plain).collect(),
            base64: fields.text("encoding_format").as_deref() == Some("base64"),
            dimensions: fields.count("dimensions"),
        })
    }
}

/// Tokens of a request that answers with no text.
#[derive(Debug, Serialize)]
pub(crate) struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}

impl Usage {
    pub(crate) fn of(tokens: u64) -> Self {
        Self { prompt_tokens: tokens, total_tokens: tokens }
    }
}

#[derive(Debug, Serialize)]
struct Answer {
    object: &'static str,
    data: Vec<Embedding>,
    model: String,
    usage: Usage,
}

#[derive(Debug, Serialize)]
struct Embedding {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Vector {
    Numbers(Vec<f32>),
    Base64(String),
}

/// Answers with a vector for each text.
pub(crate) async fn post<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Response<Body>, ApiError> {
    let EmbeddingRequest { model, input, base64, dimensions } = EmbeddingRequest::read(receive::json(ports, body).await?)?;
    let Embedded { model, vectors, tokens, .. } = embed(ports, model.as_deref(), &input, false).await.map_err(named("input"))?;
    let mut data = Vec::with_capacity(vectors.len());
    for (index, vector) in vectors.into_iter().enumerate() {
        let vector = shortened(vector, dimensions)?;
        let embedding = if base64 {
            Vector::Base64(STANDARD.encode(vector.iter().flat_map(|element| element.to_le_bytes()).collect::<Vec<_>>()))
        } else {
            Vector::Numbers(vector)
        };
        data.push(Embedding { object: "embedding", index, embedding });
    }
    let told = Told::embeddings(&model, tokens);
    Ok(told.with(respond::document(&Answer { object: "list", data, model, usage: Usage::of(tokens) })))
}

/// Vectors of texts.
pub(crate) struct Embedded {
    /// The model's name.
    pub(crate) model: String,
    /// As many as there were texts, each of length 1.
    pub(crate) vectors: Vec<Vec<f32>>,
    /// Those of the texts.
    pub(crate) tokens: u64,
    pub(crate) timings: Timings,
}

/// Milliseconds of an embedding request.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Timings {
    pub(crate) queue_ms: f64,
    pub(crate) compute_ms: f64,
}

/// The vectors of texts and arrays of tokens; those that are longer than the context are refused, or cut with `truncate`.
pub(crate) async fn embed<P: Ports>(ports: &P, model: Option<&str>, input: &[Value], truncate: bool) -> Result<Embedded, ApiError> {
    #[derive(Deserialize)]
    struct Ending {
        usage: Counts,
        #[serde(default)]
        timings: Timings,
    }
    #[derive(Deserialize)]
    struct Counts {
        prompt_tokens: u64,
    }
    let mut question = json!({"input": input});
    if truncate {
        question["truncate"] = json!(true);
    }
    if let Some(id) = ports.caller().id() {
        question["client"] = json!(id);
    }
    if let Some(limit) = ports.caller().limits().concurrent {
        question["client_limit"] = json!(limit);
    }
    let (model, mut outputs) = models::ask(ports, model, &question).await?;
    let vectors = outputs.rows("embeddings", input.len())?;
    let Ending { usage, timings } = outputs.json("result")?.ok_or_else(|| internal("The model gave no result."))?;
    Ok(Embedded { model, vectors, tokens: usage.prompt_tokens, timings })
}

/// Gives an error of [`embed`] the client's own name for the texts.
pub(crate) fn named(param: &'static str) -> impl Fn(ApiError) -> ApiError {
    move |error| error.rename("messages", param).rename("input", param)
}

/// The first elements of a vector, at length 1 again.
pub(crate) fn shortened(mut vector: Vec<f32>, dimensions: Option<u32>) -> Result<Vec<f32>, ApiError> {
    let Some(dimensions) = dimensions.map(|count| count as usize) else { return Ok(vector) };
    if dimensions > vector.len() {
        return Err(invalid("dimensions", format!("{dimensions}, where this model's vectors have {}.", vector.len())));
    }
    vector.truncate(dimensions);
    let length = vector.iter().map(|element| element * element).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|element| *element /= length);
    }
    Ok(vector)
}
