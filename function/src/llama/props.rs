//! `GET /props`: what llama.cpp's clients ask before anything else. There are no slots here, so none are counted.

use http::Response;
use serde_json::{Value, json};

use super::completion::{settings, usual};
use crate::{
    Body, ident, models,
    ports::Ports,
    respond,
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Table},
    },
};

/// What may stand behind the path's question mark.
pub(crate) static QUERY: Table = Table {
    name: "PropsQuery",
    plural: "queries",
    about: "Which model.",
    fields: &[Field::new("model", Kind::Text, "A name of /v1/models. Without it, or empty, it is the default.")],
    open: true,
};

/// Answers with what a model says of itself, and the settings of requests that say none.
pub(crate) async fn get<P: Ports>(ports: &P, mut query: Fields) -> Result<Response<Body>, ApiError> {
    let wanted = query.text("model").filter(|name| !name.is_empty());
    let (model, mut outputs) = models::ask(ports, wanted.as_deref(), &json!({"describe": true})).await?;
    let description = outputs.json::<Value>("description")?.unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(respond::document(&json!({
        "default_generation_settings": {"n_ctx": description["context_length"], "params": settings(&usual()?)},
        "model_alias": model,
        "model_path": model,
        "chat_template": text(&description["chat_template"]),
        "bos_token": text(&description["begin"]),
        "eos_token": text(&description["end"][0]),
        "modalities": {"vision": false, "audio": false},
        "build_info": ident::FINGERPRINT,
    })))
}
