//! Which path is what, and which methods it takes.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use crate::{
    Body, anthropic, docs,
    endpoints::{Action, ENDPOINTS, Endpoint, GET, Group, POST},
    export,
    keys::{self, Caller, Need, Scope},
    limits, llama, models, ollama, openai, openapi,
    page::{self, Asset},
    ports::Ports,
    remote, socket, told,
    watched::Called,
    wire::{ApiError, error::ErrorType, fields::Fields, query, table::quoted},
};

enum Route {
    Page(&'static Asset),
    Socket,
    /// A model's compute, by its name.
    Nn(String),
    Docs(docs::Asset),
    /// With what stands for the segments in braces.
    Api(&'static Endpoint, Vec<String>),
}

/// What a path leads to, or the methods that the path takes where this is none of them, or nothing.
fn route(method: &Method, path: &str) -> Result<Route, Option<String>> {
    let page = page::asset(path).map(Route::Page).or_else(|| docs::asset(path).map(Route::Docs));
    if let Some(page) = page {
        return if takes(GET, method) { Ok(page) } else { Err(Some(GET.to_owned())) };
    }
    if path == socket::PATH {
        return if takes("GET", method) { Ok(Route::Socket) } else { Err(Some("GET".to_owned())) };
    }
    if let Some(name) = path.strip_prefix(remote::PATH).filter(|name| !name.is_empty()).and_then(decode) {
        return if takes(POST, method) { Ok(Route::Nn(name)) } else { Err(Some(POST.to_owned())) };
    }
    let mut methods = Vec::new();
    // Paths with more segments come first among the endpoints: what one of them leads to is no rest of another's.
    let mut found: Option<&str> = None;
    for endpoint in &ENDPOINTS {
        let matched = endpoint.paths.iter().find_map(|pattern| Some((*pattern, segments(pattern, path)?)));
        let Some((pattern, segments)) = matched.filter(|(pattern, _)| found.is_none_or(|found| found == *pattern)) else { continue };
        if takes(endpoint.methods, method) {
            return Ok(Route::Api(endpoint, segments));
        }
        found = Some(pattern);
        methods.push(endpoint.methods);
    }
    Err(found.map(|_| methods.join(", ")))
}

fn takes(methods: &str, method: &Method) -> bool {
    methods.split(", ").any(|name| name == method.as_str())
}

/// What of `path` stands for the segments in braces of `pattern`, decoded. The last may have slashes in it, as a model's name may.
fn segments(pattern: &str, path: &str) -> Option<Vec<String>> {
    let mut values = Vec::new();
    let (mut pattern, mut path) = (pattern, path);
    while let Some((before, rest)) = pattern.split_once('{') {
        path = path.strip_prefix(before)?;
        pattern = rest.split_once('}')?.1;
        let end = if pattern.is_empty() { path.len() } else { path.find('/').unwrap_or(path.len()) };
        let value = Some(&path[..end]).filter(|value| !value.is_empty())?;
        values.push(decode(value)?);
        path = &path[end..];
    }
    (pattern == path).then_some(values)
}

/// The answer to any request. One to HEAD is the one to GET: the server leaves out its body, and says its length.
pub(crate) async fn answer<P: Ports, B: http_body::Body<Data = Bytes>>(ports: P, request: Request<B>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    match route(&parts.method, path) {
        Ok(Route::Page(asset)) => told::route("/", page::get(asset, &parts.headers)),
        Ok(Route::Docs(asset)) => told::route("/docs", docs::get(asset)),
        Ok(Route::Socket) => told::route(socket::PATH, socket::describe()),
        Ok(Route::Nn(name)) => {
            let ports = match called(ports, &parts.headers, Need::Scope(Scope::Chat)).await {
                Ok(ports) => ports,
                Err(error) => return error.response(),
            };
            let answer = match limits::admit(&ports).await {
                Ok(()) => remote::post(&ports, &name, body).await,
                Err(error) => error.response(),
            };
            let mut response = told::route("/v1/nn/{graph}", answer);
            tell(ports.caller(), &mut response);
            response
        }
        Ok(Route::Api(endpoint, segments)) => {
            let ports = match called(ports, &parts.headers, endpoint.action.need()).await {
                Ok(ports) => ports,
                Err(error) => return endpoint.group.refusal(&error),
            };
            let answer = match limits::admit(&ports).await.and_then(|()| Asked::read(endpoint, segments, parts.uri.query())) {
                Ok(asked) => act(&ports, endpoint.action, asked, body).await,
                Err(error) => Err(error),
            };
            let mut response = told::route(endpoint.paths[0], answer.unwrap_or_else(|error| endpoint.group.refusal(&error)));
            tell(ports.caller(), &mut response);
            response
        }
        Err(Some(methods)) => Group::of(path).refusal(&not_allowed(&parts.method, path, methods)),
        Err(None) => Group::of(path).refusal(&not_found(&parts.method, path)),
    }
}

/// The ports of a request, once it is known whose it is.
async fn called<P: Ports>(ports: P, headers: &HeaderMap, need: Need) -> Result<Called<P>, ApiError> {
    let caller = keys::authenticate(&ports, headers, need).await?;
    Ok(Called::new(ports, caller.after(remote::hops(headers))))
}

/// What an answer's headers say of whose it is, and of who gave it.
fn tell(caller: &Caller, response: &mut Response<Body>) {
    let headers = response.headers_mut();
    limits::tell(&caller.used(), headers);
    if let Some(id) = caller.id().and_then(|id| HeaderValue::from_str(id).ok()) {
        headers.insert("hearth-log-key", id);
    }
    if let Some(served_by) = caller.served_by() {
        headers.insert("x-hearth-served-by", HeaderValue::from_static(served_by));
    }
    if caller.is_hit() {
        headers.insert("hearth-cache", HeaderValue::from_static("hit"));
    }
}

/// What a request's address says.
struct Asked {
    /// What stands for the segments in braces; as many as the endpoint's path has.
    segments: std::vec::IntoIter<String>,
    query: Fields,
}

impl Asked {
    /// A query that the endpoint does not know is let be.
    fn read(endpoint: &'static Endpoint, segments: Vec<String>, query: Option<&str>) -> Result<Self, ApiError> {
        let query = query::read(query.unwrap_or_default(), endpoint.query.unwrap_or(&query::NONE))?;
        Ok(Self { segments: segments.into_iter(), query })
    }

    fn segment(&mut self) -> String {
        self.segments.next().unwrap_or_default()
    }
}

async fn act<P: Ports, B: http_body::Body<Data = Bytes>>(
    ports: &P,
    action: Action,
    mut asked: Asked,
    body: B,
) -> Result<Response<Body>, ApiError> {
    use openai::{conversations, responses};
    let id = asked.segment();
    match action {
        Action::Health => Ok(models::health(ports).await),
        Action::OpenApi => Ok(openapi::get()),
        Action::Models => Ok(openai::list(ports).await),
        Action::Model => openai::one(ports, id).await,
        Action::ChatCompletions => openai::chat::post(ports, body).await,
        Action::CreateResponse => responses::post(ports, body).await,
        Action::Response => responses::get(ports, &id).await,
        Action::DeleteResponse => responses::delete(ports, &id).await,
        Action::InputItems => responses::input_items(ports, &id, asked.query).await,
        Action::CancelResponse => responses::cancel(ports, &id).await,
        Action::CreateConversation => conversations::post(ports, body).await,
        Action::Conversation => conversations::get(ports, &id).await,
        Action::UpdateConversation => conversations::update(ports, &id, body).await,
        Action::DeleteConversation => conversations::delete(ports, &id).await,
        Action::ConversationItems => conversations::items(ports, &id, asked.query).await,
        Action::AddItems => conversations::add(ports, &id, body).await,
        Action::Item => conversations::item(ports, &id, &asked.segment()).await,
        Action::DeleteItem => conversations::delete_item(ports, &id, &asked.segment()).await,
        Action::Export => export::get(ports).await,
        Action::Completions => openai::completions::post(ports, body).await,
        Action::Embeddings => openai::embeddings::post(ports, body).await,
        Action::Rerank => llama::rerank(ports, body).await,
        Action::LlamaCompletion => llama::completion(ports, body).await,
        Action::Props => llama::props(ports, asked.query).await,
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

fn not_allowed(method: &Method, path: &str, methods: String) -> ApiError {
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
