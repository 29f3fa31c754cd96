//! What there is to know of the models: `GET /api/tags`, `GET /api/ps`, `POST /api/show`; and `GET /api/version`.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::names::{MODEL, tagged, wanted};
use crate::{
    Body, ident, models,
    ports::Ports,
    receive, respond,
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Table},
    },
};

/// The fields of `/api/show`.
pub(crate) static SHOW: Table = Table {
    name: "OllamaShowRequest",
    plural: "requests",
    about: "A model to describe.",
    fields: &[
        MODEL,
        Field::new("name", Kind::Text, "The old form of 'model'."),
        Field::ignored("options"),
        Field::ignored("system"),
        Field::ignored("template"),
        Field::ignored("verbose"),
    ],
    open: false,
};

/// The version of Ollama whose API this is: clients ask for it to learn what there is.
const VERSION: &str = "0.13.0";

/// When a model that stays is unloaded.
const NEVER: &str = "9999-12-31T23:59:59Z";

#[derive(Debug, Default, Serialize)]
struct Details {
    parent_model: &'static str,
    /// Of the file; it is not known here.
    format: &'static str,
    family: String,
    families: Vec<String>,
    parameter_size: String,
    quantization_level: String,
}

/// `GET /api/tags`: the models that are served. Nothing is asked of them, as that would load those that are loaded only when they are wanted.
pub(crate) async fn tags<P: Ports>(ports: &P) -> Response<Body> {
    let modified_at = ident::timestamp();
    let models = models::reached(ports).await;
    let models = models.iter().map(|name| {
        json!({
            "name": tagged(name), "model": tagged(name), "modified_at": modified_at, "size": 0, "digest": digest(name), "details": Details::default()
        })
    });
    respond::document(&json!({"models": models.collect::<Vec<_>>()}))
}

/// `GET /api/ps`: the same models, as each answers whenever it is asked.
pub(crate) async fn running<P: Ports>(ports: &P) -> Response<Body> {
    let models = models::served(ports).await;
    let models = models.iter().map(|name| {
        json!({
            "name": tagged(name), "model": tagged(name), "size": 0, "digest": digest(name), "details": Details::default(), "expires_at": NEVER,
            "size_vram": 0
        })
    });
    respond::document(&json!({"models": models.collect::<Vec<_>>()}))
}

/// Stands for the sha256 of the model's file, which is not known here: clients tell models apart by it, and some cut it short.
fn digest(name: &str) -> String {
    let part = |index: u8| {
        let mut hasher = DefaultHasher::new();
        (index, name).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    };
    (0..4).map(part).collect()
}

/// What a model says of itself (`docs/wasi-nn.md`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Description {
    purpose: String,
    architecture: String,
    context_length: Option<u64>,
    embedding_length: Option<u64>,
    vocabulary: Option<u64>,
    parameters: Option<u64>,
    weights: Option<String>,
    chat_template: Option<String>,
    tool_format: Option<String>,
    reasoning: bool,
}

/// `POST /api/show`: what a model says of itself.
pub(crate) async fn show<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Response<Body>, ApiError> {
    let mut document = receive::json(ports, body).await?;
    if document["model"].is_null() && document["name"].is_string() {
        document["model"] = document["name"].take();
    }
    let mut fields = Fields::of(document, &SHOW)?;
    let wanted = wanted(ports, &mut fields).await;
    let (model, mut outputs) = models::ask(ports, wanted.name.as_deref(), &json!({"describe": true})).await?;
    let description: Description = outputs.json("description")?.unwrap_or_default();
    let family = description.architecture.clone();
    Ok(respond::document(&json!({
        "modelfile": format!("FROM {}\n", wanted.told(&model)),
        "parameters": "",
        "template": description.chat_template.as_deref().unwrap_or_default(),
        "details": Details {
            families: vec![family.clone()],
            family,
            parameter_size: description.parameters.map(size).unwrap_or_default(),
            quantization_level: description.weights.clone().unwrap_or_default(),
            ..Details::default()
        },
        "model_info": description.info(),
        "capabilities": description.capabilities(),
        "modified_at": ident::timestamp(),
    })))
}

impl Description {
    /// The facts with GGUF's names.
    fn info(&self) -> Map<String, Value> {
        let architecture = &self.architecture;
        let facts = [
            ("general.architecture".to_owned(), Some(json!(architecture))),
            ("general.parameter_count".to_owned(), self.parameters.map(Value::from)),
            (format!("{architecture}.context_length"), self.context_length.map(Value::from)),
            (format!("{architecture}.embedding_length"), self.embedding_length.map(Value::from)),
            (format!("{architecture}.vocab_size"), self.vocabulary.map(Value::from)),
        ];
        facts.into_iter().filter_map(|(name, fact)| Some((name, fact?))).collect()
    }

    fn capabilities(&self) -> Vec<&'static str> {
        if self.purpose == "embed" {
            return vec!["embedding"];
        }
        let capabilities = [("completion", true), ("tools", self.tool_format.is_some()), ("thinking", self.reasoning)];
        capabilities.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
    }
}

/// A number of parameters for people, as in `134.52M` and `8.0B`.
fn size(parameters: u64) -> String {
    match parameters as f64 {
        count if count >= 1e9 => format!("{:.1}B", count / 1e9),
        count if count >= 1e6 => format!("{:.2}M", count / 1e6),
        count => format!("{:.2}K", count / 1e3),
    }
}

/// `GET /api/version`.
pub(crate) fn version() -> Response<Body> {
    respond::document(&json!({"version": VERSION}))
}
