//! `GET /v1/models` and `GET /v1/models/{id}`.

use http::Response;
use serde::Serialize;

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
}

/// All models, the default first.
#[derive(Debug, Serialize)]
struct Models {
    object: &'static str,
    data: Vec<Model>,
}

impl Model {
    fn new(id: String, created: u64) -> Self {
        Self { id, object: "model", created, owned_by: "hearth" }
    }
}

/// `GET /v1/models`
pub(crate) async fn list<P: Ports>(ports: &P) -> Response<Body> {
    let created = ident::now();
    let data = models::served(ports.settings()).await.into_iter().map(|name| Model::new(name, created)).collect();
    respond::document(&Models { object: "list", data })
}

/// `GET /v1/models/{id}`
pub(crate) async fn one<P: Ports>(ports: &P, name: String) -> Result<Response<Body>, ApiError> {
    let served = models::served(ports.settings()).await;
    if !served.contains(&name) {
        return Err(models::not_found(&name, &served));
    }
    Ok(respond::document(&Model::new(name, ident::now())))
}
