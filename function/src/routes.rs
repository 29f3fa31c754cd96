//! Which path is what, and which methods it takes.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};

use crate::{
    Body, anthropic, docs,
    endpoints::{Action, ENDPOINTS, Endpoint, GET, Group},
    llama, models, ollama, openai, openapi,
    page::{self, Asset},
    ports::Ports,
    socket,
    wire::{ApiError, error::ErrorType, table::quoted},
};

enum Route {
    Page(&'static Asset),
    Socket,
    Docs(docs::Asset),
    /// With the rest of the path that stands for its last segment.
    Api(&'static Endpoint, String),
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        if let Some(asset) = page::asset(path) {
            return Some(Self::Page(asset));
        }
        if let Some(asset) = docs::asset(path) {
            return Some(Self::Docs(asset));
        }
        if path == socket::PATH {
            return Some(Self::Socket);
        }
        ENDPOINTS.iter().find_map(|endpoint| {
            let rest = endpoint.paths.iter().find_map(|pattern| rest(pattern, path))?;
            Some(Self::Api(endpoint, rest))
        })
    }

    fn methods(&self) -> &'static str {
        match self {
            Self::Page(_) | Self::Docs(_) => GET,
            Self::Socket => "GET",
            Self::Api(endpoint, _) => endpoint.methods,
        }
    }
}

/// What of `path` stands for the last segment of `pattern`, decoded: empty where that has no braces. A model's name may have slashes in it.
fn rest(pattern: &str, path: &str) -> Option<String> {
    match pattern.split_once('{') {
        None => (pattern == path).then(String::new),
        Some((start, _)) => path.strip_prefix(start).filter(|rest| !rest.is_empty()).and_then(decode),
    }
}

/// The answer to any request. One to HEAD is the one to GET: the server leaves out its body, and says its length.
pub(crate) async fn answer<P: Ports, B: http_body::Body<Data = Bytes>>(ports: P, request: Request<B>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let Some(route) = Route::of(path) else { return Group::of(path).refusal(&not_found(&parts.method, path)) };
    let methods = route.methods();
    if !methods.split(", ").any(|method| method == parts.method.as_str()) {
        return Group::of(path).refusal(&not_allowed(&parts.method, path, methods));
    }
    match route {
        Route::Page(asset) => page::get(asset, &parts.headers),
        Route::Docs(asset) => docs::get(asset),
        Route::Socket => socket::describe(),
        Route::Api(endpoint, rest) => act(&ports, endpoint.action, rest, body).await.unwrap_or_else(|error| endpoint.group.refusal(&error)),
    }
}

async fn act<P: Ports, B: http_body::Body<Data = Bytes>>(
    ports: &P,
    action: Action,
    rest: String,
    body: B,
) -> Result<Response<Body>, ApiError> {
    match action {
        Action::Health => Ok(models::health(ports).await),
        Action::OpenApi => Ok(openapi::get()),
        Action::Models => Ok(openai::list(ports).await),
        Action::Model => openai::one(ports, rest).await,
        Action::ChatCompletions => openai::chat::post(ports, body).await,
        Action::Completions => openai::completions::post(ports, body).await,
        Action::Embeddings => openai::embeddings::post(ports, body).await,
        Action::Rerank => llama::rerank(ports, body).await,
        Action::Tokenize => llama::tokenize(ports, body).await,
        Action::Detokenize => llama::detokenize(ports, body).await,
        Action::ApplyTemplate => llama::apply_template(ports, body).await,
        Action::Messages => anthropic::post(ports, body).await,
        Action::CountTokens => anthropic::count(ports, body).await,
        Action::OllamaChat => ollama::chat(ports, body).await,
        Action::OllamaGenerate => ollama::generate(ports, body).await,
        Action::OllamaEmbed => ollama::embed(ports, body).await,
        Action::OllamaEmbeddings => ollama::embeddings(ports, body).await,
        Action::OllamaTags => Ok(ollama::tags(ports).await),
        Action::OllamaRunning => Ok(ollama::running(ports).await),
        Action::OllamaShow => ollama::show(ports, body).await,
        Action::OllamaVersion => Ok(ollama::version()),
    }
}

fn not_found(method: &Method, path: &str) -> ApiError {
    let message = format!(
        "There is nothing at {} here ({method}). The API is at /v1/chat/completions and /v1/models; /docs describes all of it.",
        quoted(path)
    );
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
