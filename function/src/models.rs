//! Which models there are: `GET /v1/models`, `GET /v1/models/{id}`, the choice of one for a chat, and `GET /health`, which asks whether the default is there.

use http::{Response, StatusCode};

use crate::{
    Body, ident, nn,
    ports::{Nn, Ports, Settings},
    respond, settings,
    wire::{
        ApiError,
        chat::quoted,
        error::ErrorType,
        models::{Model, Models},
    },
};

/// The models that are served, the default first.
pub(crate) async fn served<S: Settings>(settings: &S) -> Vec<String> {
    settings::names(settings, "models").await
}

/// The model for a chat that asks for `wanted`.
pub(crate) fn choose(served: &[String], wanted: Option<&str>) -> Result<String, ApiError> {
    match wanted {
        None => served.first().cloned().ok_or_else(none_configured),
        // With no list the host alone knows what there is.
        Some(name) if served.is_empty() || served.iter().any(|known| known == name) => Ok(name.to_owned()),
        Some(name) => Err(not_found(name, served)),
    }
}

/// An error of loading `model`, in this service's words where they say more than the host's.
pub(crate) fn describe(error: ApiError, model: &str, served: &[String]) -> ApiError {
    match error.code {
        Some("model_not_found") => not_found(model, served),
        Some("loading") => ApiError { message: "Loading model".to_owned(), ..error },
        _ => error,
    }
}

fn not_found(name: &str, served: &[String]) -> ApiError {
    let others = match served {
        [] => String::new(),
        names => format!(" The models here are: {}.", names.join(", ")),
    };
    let message = format!("The model {} does not exist or is not served here.{others}", quoted(name));
    ApiError { param: Some("model".to_owned()), ..ApiError::new(StatusCode::NOT_FOUND, ErrorType::InvalidRequest, message) }
        .code("model_not_found")
}

fn none_configured() -> ApiError {
    let message = "No model is configured: name one in the setting 'models'.";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorType::Unavailable, message).code("no_model")
}

/// `GET /v1/models`
pub(crate) async fn list<P: Ports>(ports: P) -> Response<Body> {
    let created = ident::now();
    let data = served(ports.settings()).await.into_iter().map(|name| Model::new(name, created)).collect();
    respond::json(StatusCode::OK, serde_json::to_string(&Models { object: "list", data }).unwrap_or_default())
}

/// `GET /v1/models/{id}`
pub(crate) async fn one<P: Ports>(ports: P, name: String) -> Result<Response<Body>, ApiError> {
    let served = served(ports.settings()).await;
    if !served.contains(&name) {
        return Err(not_found(&name, &served));
    }
    let model = Model::new(name, ident::now());
    Ok(respond::json(StatusCode::OK, serde_json::to_string(&model).unwrap_or_default()))
}

/// `GET /health`: 200 once the default model can answer. The 503 is llama.cpp's, number and all, which load balancers' and clients' checks know.
pub(crate) async fn health<P: Ports>(ports: P) -> Response<Body> {
    let served = served(ports.settings()).await;
    let state = match served.first() {
        None => Err(none_configured()),
        Some(model) => match ports.nn().load_by_name(model).await {
            Ok(_) => Ok(()),
            Err(error) => Err(describe(nn::api_error(&error), model, &served)),
        },
    };
    let Err(error) = state else { return respond::json(StatusCode::OK, r#"{"status":"ok"}"#.to_owned()) };
    let document = serde_json::json!({"error": {"message": error.message, "type": ErrorType::Unavailable, "code": 503}});
    ApiError { status: StatusCode::SERVICE_UNAVAILABLE, ..error }.response_with(document.to_string())
}
