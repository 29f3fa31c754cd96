//! The answers of `GET /v1/models` and `GET /v1/models/{id}`.

use serde::Serialize;

/// One model.
#[derive(Debug, Clone, Serialize)]
pub struct Model {
    /// Its catalog name.
    pub id: String,
    /// `model`
    pub object: &'static str,
    /// Unix time in seconds; when a model file was made is not known here, so it is the time of the answer.
    pub created: u64,
    /// `hearth`
    pub owned_by: &'static str,
}

impl Model {
    /// The model `id`.
    pub fn new(id: String, created: u64) -> Self {
        Self { id, object: "model", created, owned_by: "hearth" }
    }
}

/// All models, the default first.
#[derive(Debug, Clone, Serialize)]
pub struct Models {
    /// `list`
    pub object: &'static str,
    /// The models.
    pub data: Vec<Model>,
}
