//! Which path is what, and which methods it takes.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};

use crate::{
    Body, completions, models,
    page::{self, Asset},
    ports::Ports,
    wire::{ApiError, chat::quoted, error::ErrorType},
};

enum Route {
    Page(&'static Asset),
    Health,
    Models,
    Model(String),
    Chat,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/health" | "/v1/health" => Some(Self::Health),
            "/v1/models" => Some(Self::Models),
            "/v1/chat/completions" => Some(Self::Chat),
            _ => match path.strip_prefix("/v1/models/") {
                // A model's name may have slashes in it.
                Some(name) if !name.is_empty() => decode(name).map(Self::Model),
                _ => page::asset(path).map(Self::Page),
            },
        }
    }

    fn methods(&self) -> &'static str {
        match self {
            Self::Chat => "POST",
            _ => "GET, HEAD",
        }
    }
}

/// The answer to any request. One to HEAD is the one to GET: the server leaves out its body, and says its length.
pub(crate) async fn answer<P: Ports, B: http_body::Body<Data = Bytes>>(ports: P, request: Request<B>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let Some(route) = Route::of(path) else { return not_found(&parts.method, path).response() };
    let methods = route.methods();
    if !methods.split(", ").any(|method| method == parts.method.as_str()) {
        return not_allowed(&parts.method, path, methods).response();
    }
    let answer = match route {
        Route::Page(asset) => Ok(page::get(asset, &parts.headers)),
        Route::Health => Ok(models::health(ports).await),
        Route::Models => Ok(models::list(ports).await),
        Route::Model(name) => models::one(ports, name).await,
        Route::Chat => completions::post(ports, body).await,
    };
    answer.unwrap_or_else(|error| error.response())
}

fn not_found(method: &Method, path: &str) -> ApiError {
    let message = format!("There is nothing at {} here ({method}). The API is at /v1/chat/completions and /v1/models.", quoted(path));
    ApiError::new(StatusCode::NOT_FOUND, ErrorType::InvalidRequest, message).code("unknown_url")
}

fn not_allowed(method: &Method, path: &str, methods: &'static str) -> ApiError {
    let message = format!("{} does not take {method}: use {methods}.", quoted(path));
    let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, ErrorType::InvalidRequest, message).code("method_not_allowed");
    ApiError { allow: Some(methods), ..error }
}

/// Undoes percent-encoding; `None` where it is broken or no UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || (rest.next()? as char).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}
