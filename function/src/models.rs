//! Which models there are, and the choice of one for a request; `GET /health` asks whether the default is there.

use http::{Response, StatusCode};
use serde::Serialize;

use crate::{
    Body, keys,
    nn::{self, Outputs},
    ports::{Graph, Nn, Ports},
    remote::{self, Link},
    respond, settings,
    wire::{
        ApiError,
        error::ErrorType,
        table::{Field, Kind, Table, quoted},
    },
};

/// The models that are served to the caller, the default first: a key may be for some of them only, and knows of no others.
pub(crate) async fn served<P: Ports>(ports: &P) -> Vec<String> {
    let mut served = settings::names(ports.settings(), "models").await;
    let caller = ports.caller();
    if served.is_empty() {
        // With no list the host alone knows what there is.
        return caller.models().to_vec();
    }
    served.retain(|name| caller.may_use(name));
    served
}

/// Those, and the models of the other server that are not here.
pub(crate) async fn reached<P: Ports>(ports: &P) -> Vec<String> {
    let mut names = served(ports).await;
    for name in remote::names(ports).await {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The model that a request asks for by name, or the default, with its name.
pub(crate) async fn load<P: Ports>(ports: &P, wanted: Option<&str>) -> Result<(String, <P::Nn as Nn>::Graph), ApiError> {
    let served = served(ports).await;
    if let Some(name) = wanted
        && !ports.caller().may_use(name)
    {
        return Err(not_allowed(name, &served));
    }
    let elsewhere = Link::of(ports.settings()).await.is_some();
    let model = match wanted {
        // The other server is asked for it, and knows whether it is there.
        Some(name) if elsewhere => name.to_owned(),
        None if elsewhere && served.is_empty() => remote::names(ports).await.into_iter().next().ok_or_else(nowhere)?,
        wanted => choose(&served, wanted)?,
    };
    let graph = ports.nn().load_by_name(&model).await.map_err(|error| describe(nn::api_error(&error), &model, &served))?;
    Ok((model, graph))
}

fn choose(served: &[String], wanted: Option<&str>) -> Result<String, ApiError> {
    match wanted {
        None => served.first().cloned().ok_or_else(none_configured),
        // With no list the host alone knows what there is.
        Some(name) if served.is_empty() || served.iter().any(|known| known == name) => Ok(name.to_owned()),
        Some(name) => Err(not_found(name, served)),
    }
}

/// Asks a model, the one of that name or the default, what is answered at once. Returns the model's name too.
pub(crate) async fn ask<P: Ports>(ports: &P, wanted: Option<&str>, request: &impl Serialize) -> Result<(String, Outputs), ApiError> {
    let (model, graph) = load(ports, wanted).await?;
    let mut context = graph.init_execution_context().map_err(|error| nn::api_error(&error))?;
    let outputs = nn::compute(&mut context, nn::document(request)?).await?;
    Ok((model, outputs))
}

/// An error of loading `model`, in this service's words where they say more than the host's.
fn describe(error: ApiError, model: &str, served: &[String]) -> ApiError {
    match error.code {
        Some("model_not_found") => not_found(model, served),
        Some("loading") => ApiError { message: "Loading model".to_owned(), ..error },
        _ => error,
    }
}

/// 404 for a model that is not served.
pub(crate) fn not_found(name: &str, served: &[String]) -> ApiError {
    let others = match served {
        [] => String::new(),
        names => format!(" The models here are: {}.", names.join(", ")),
    };
    let message = format!("The model {} does not exist or is not served here.{others}", quoted(name));
    ApiError { param: Some("model".to_owned()), ..ApiError::new(StatusCode::NOT_FOUND, ErrorType::InvalidRequest, message) }
        .code("model_not_found")
}

/// 403 for a model that the key is not for, be it there or not.
fn not_allowed(name: &str, served: &[String]) -> ApiError {
    let message = format!("The key is not for the model {}: it is for {}.", quoted(name), served.join(", "));
    ApiError { param: Some("model".to_owned()), ..keys::forbidden("model_not_allowed", message) }
}

fn nowhere() -> ApiError {
    let message =
        "No model is here, and the server that computes does not say which it has: it does not answer, or refuses this server's key.";
    ApiError { retry_after: Some(5), ..ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorType::Unavailable, message) }
        .code("fallback_down")
}

fn none_configured() -> ApiError {
    let message = "No model is configured: name one in the setting 'models'.";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorType::Unavailable, message).code("no_model")
}

/// The answer of `GET /health`.
pub(crate) static HEALTH: Table = Table {
    name: "Health",
    plural: "answers",
    about: "That the default model can answer.",
    fields: &[Field::new("status", Kind::Word(&["ok"]), "Always 'ok'; otherwise the status is 503.").required()],
    open: false,
};

/// `GET /health`: 200 once the default model can answer, here where it is to be here: who answers in its stead meanwhile is no reason to send this server more. The 503 is llama.cpp's, number and all, which load balancers' and clients' checks know.
pub(crate) async fn health<P: Ports>(ports: &P) -> Response<Body> {
    if !served(ports).await.is_empty() {
        ports.caller().stay();
    }
    let Err(error) = load(ports, None).await else { return respond::json(StatusCode::OK, r#"{"status":"ok"}"#.to_owned()) };
    let document = serde_json::json!({"error": {"message": error.message, "type": ErrorType::Unavailable, "code": 503}});
    ApiError { status: StatusCode::SERVICE_UNAVAILABLE, ..error }.response_with(document.to_string())
}
