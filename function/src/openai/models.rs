//! `GET /v1/models` and `GET /v1/models/{id}`, for OpenAI's clients and for Anthropic's, whose fields stand beside the others.

use http::Response;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Body, ident, models, ports::Ports, respond, wire::ApiError};

/// One model.
#[derive(Debug, Serialize)]
struct Model {
    /// Its catalog name.
    id: String,
    object: &'static str,
    /// Unix time in seconds; when a model file was made is not known here, so it is the time of the answer.
    created: u64,
    owned_by: &'static str,
    /// What Anthropic calls `object`.
    r#type: &'static str,
    /// Its name once more.
    display_name: String,
    /// The same time as `created`.
    created_at: String,
    /// Of one model and of the default, where it could be asked: the contract's description of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<Value>,
    /// vLLM's name of the context's length.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_model_len: Option<Value>,
}

/// All models, the default first.
#[derive(Debug, Serialize)]
struct Models {
    object: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_id: Option<String>,
    /// There is one page.
    has_more: bool,
    data: Vec<Model>,
}

impl Model {
    fn new(id: String, created: u64) -> Self {
        let (display_name, created_at) = (id.clone(), ident::date(created));
        Self {
            id,
            object: "model",
            created,
            owned_by: "hearth",
            r#type: "model",
            display_name,
            created_at,
            meta: None,
            max_model_len: None,
        }
    }

    /// Adds what the model says of itself, where it is there to be asked.
    async fn describe<P: Ports>(&mut self, ports: &P) {
        if let Ok((_, mut outputs)) = models::ask(ports, Some(&self.id), &json!({"describe": true})).await {
            self.meta = outputs.json::<Value>("description").ok().flatten();
            self.max_model_len = self.meta.as_ref().and_then(|meta| meta.get("context_length")).cloned();
        }
    }
}

/// `GET /v1/models`. Nothing is asked of models but the default, which is always loaded: it would load those that are loaded only when they are wanted.
pub(crate) async fn list<P: Ports>(ports: &P) -> Response<Body> {
    let created = ident::now();
    let mut data: Vec<_> = models::reached(ports).await.into_iter().map(|name| Model::new(name, created)).collect();
    if let Some(default) = data.first_mut() {
        default.describe(ports).await;
    }
    let [first_id, last_id] = [data.first(), data.last()].map(|model| model.map(|model| model.id.clone()));
    respond::document(&Models { object: "list", first_id, last_id, has_more: false, data })
}

/// `GET /v1/models/{id}`, which tells more of the model where it is there to be asked.
pub(crate) async fn one<P: Ports>(ports: &P, name: String) -> Result<Response<Body>, ApiError> {
    let served = models::reached(ports).await;
    if !served.contains(&name) {
        return Err(models::not_found(&name, &served));
    }
    let mut model = Model::new(name, ident::now());
    model.describe(ports).await;
    Ok(respond::document(&model))
}
