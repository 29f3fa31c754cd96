//! `POST /v1/nn/{graph}`: a model's compute over HTTP, for another Hearth whose requests this one answers. The body is the document of a request (`docs/wasi-nn.md`); the answer has a
//! line for the outputs of each compute. What a request may, and what is counted of it, is as with any other API.

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, Response};
use http_body::Frame;
use serde_json::{Map, Value, json};

use super::{Link, failure, line};
use crate::{
    Body,
    generate::Ending,
    keys::Caller,
    nn::{self, Tensors},
    ports::{Context, Graph, Nn, NnError, Ports},
    receive, respond, settings,
    told::{Operation, Told},
    wire::ApiError,
};

/// The path without the model's name.
pub(crate) const PATH: &str = "/v1/nn/";
/// Bytes that a client may be called by.
const CLIENT_MAX: usize = 512;

/// Answers a request's document.
pub(crate) async fn post<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, model: &str, body: B) -> Response<Body> {
    let answer = match receive::document(ports, body).await {
        Ok(document) => begin(ports, model, document).await,
        Err(error) => return error.response(),
    };
    answer.unwrap_or_else(|error| refusal(&error))
}

/// A refusal that the other side can read as the contract's, with the status for everybody else.
fn refusal(error: &NnError) -> Response<Body> {
    let api: ApiError = nn::api_error(error);
    api.response_with(json!({"error": line::document(error)}).to_string())
}

async fn begin<P: Ports>(ports: &P, model: &str, document: Bytes) -> Result<Response<Body>, NnError> {
    let mut document: Map<String, Value> =
        serde_json::from_slice(&document).map_err(|error| failure("invalid_request", format!("The body is no JSON object: {error}.")))?;
    let told = told(model, &document);
    let generates = told.as_ref().is_some_and(Told::generates);
    if told.is_some() {
        name_client(&mut document, ports.caller());
    }
    let not_found = || failure("model_not_found", format!("The model '{model}' is not served here."));
    if !ports.caller().may_use(model) {
        return Err(not_found());
    }
    let listed = settings::names(ports.settings(), "models").await;
    if !listed.is_empty() && !listed.iter().any(|name| name == model) && Link::of(ports.settings()).await.is_none() {
        return Err(not_found());
    }
    let graph = ports.nn().load_by_name(model).await?;
    let mut context = graph.init_execution_context()?;
    let document = nn::document(&document).map_err(|error| failure("internal", error.message))?;
    let first = context.compute(document).await?;
    let is_last = !generates || ends(&first);
    let state = State { context: Some(context), first: Some((first, is_last)), told: told.clone() };
    let lines = stream::unfold(state, |mut state| async move { Some((state.advance().await?, state)) });
    let mut response = respond::stream(respond::LINES, Body::Stream(Box::pin(lines.fuse())));
    if let Some(told) = told {
        told.begin(response.headers_mut());
    }
    Ok(response)
}

/// An answer that is being told.
struct State<C> {
    /// `None` once all was said.
    context: Option<C>,
    /// What was computed before the answer began, and whether it is all of it.
    first: Option<(Tensors, bool)>,
    told: Option<Told>,
}

impl<C: Context> State<C> {
    async fn advance(&mut self) -> Option<Frame<Bytes>> {
        let Some(context) = &mut self.context else {
            let mut trailers = HeaderMap::new();
            self.told.take()?.end(&mut trailers);
            return Some(Frame::trailers(trailers));
        };
        let computed = match self.first.take() {
            Some((outputs, is_last)) => {
                // The head leaves now, not with the second line.
                context.yield_now().await;
                Ok((outputs, is_last))
            }
            None => context.compute(Tensors::new()).await.map(|outputs| {
                let is_last = ends(&outputs);
                (outputs, is_last)
            }),
        };
        let line = match computed {
            Ok((outputs, is_last)) => {
                if is_last {
                    self.context = None;
                    self.tell(&outputs);
                }
                line::write(outputs)
            }
            Err(error) => {
                self.context = None;
                self.told.iter_mut().for_each(Told::fail);
                line::write_error(&error)
            }
        };
        Some(Frame::data(line.into()))
    }

    fn tell(&mut self, outputs: &Tensors) {
        let Some((told, (_, result))) = self.told.as_mut().zip(outputs.iter().find(|(name, _)| name == "result")) else { return };
        if let Ok(ending) = serde_json::from_slice::<Ending>(&result.data) {
            told.add(&ending, false);
        } else if let Ok(result) = serde_json::from_slice::<Value>(&result.data) {
            told.prompt(result["usage"]["prompt_tokens"].as_u64().unwrap_or(0));
        }
    }
}

/// Whether a generation has ended with these.
fn ends(outputs: &Tensors) -> bool {
    outputs.iter().any(|(name, _)| name == "result")
}

/// What the server is told of an answer to this document; of a question nothing.
fn told(model: &str, document: &Map<String, Value>) -> Option<Told> {
    let has = |name: &str| document.contains_key(name);
    let operation = match () {
        () if has("messages") => Operation::Chat,
        () if has("prompt") || has("tokens") => Operation::TextCompletion,
        () if has("input") => Operation::Embeddings,
        () => return None,
    };
    Some(Told::new(model, operation))
}

/// Says whose the request is: the key's holder's, among whose clients take turns as among others.
fn name_client(document: &mut Map<String, Value>, caller: &Caller) {
    let Some(id) = caller.id() else { return };
    let theirs = document.get("client").and_then(Value::as_str).map(|client| format!("{id}/{client}"));
    match (caller.limits().concurrent, theirs) {
        (None, Some(client)) if client.len() <= CLIENT_MAX => {
            document.insert("client".to_owned(), json!(client));
        }
        // A limit holds for all of them together.
        (limit, _) => {
            document.insert("client".to_owned(), json!(id));
            document.remove("client_limit");
            document.extend(limit.map(|limit| ("client_limit".to_owned(), json!(limit))));
        }
    }
}
