//! The handler that the server calls: routes to components, and what the host itself answers when there is none or it fails.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use hearth_server::BodyError;
use http::{HeaderValue, Request, Response, StatusCode, header, uri};

use http_body_util::BodyExt;
use wasmtime_wasi_http::WasiBody;

use crate::{
    app::{App, AppError, routes::Routes},
    guest::{ComponentError, Failure, Guest, GuestBody, Runtime},
};

/// An application that serves requests.
pub struct Service {
    routes: Routes,
    components: Vec<Result<Arc<Guest>, ComponentError>>,
}

impl Service {
    /// Compiles and checks the components of `app`. One that cannot serve is kept with its reason: its routes answer 500, the others live on. Takes seconds and blocks.
    ///
    /// # Errors
    /// A route that is malformed.
    pub fn load(
        app: &App,
        runtime: &Runtime,
        mut variables: BTreeMap<String, BTreeMap<String, String>>,
        store: Option<&hearth_store::Store>,
    ) -> Result<Self, AppError> {
        let mut service = Self { routes: Routes::default(), components: Vec::new() };
        let index = |id: &str| app.components.iter().position(|component| component.id == id);
        for trigger in &app.triggers {
            let missing = || AppError::NoSuchComponent { route: trigger.route.clone(), component: trigger.component.clone() };
            service.routes.add(&trigger.route, index(&trigger.component).ok_or_else(missing)?)?;
        }
        for component in &app.components {
            let variables = variables.remove(&component.id).unwrap_or_default();
            service.components.push(Guest::load(runtime, component, variables, store.cloned()).map(Arc::new));
        }
        Ok(service)
    }

    /// The components that cannot serve, and why.
    pub fn failures(&self) -> impl Iterator<Item = &ComponentError> {
        self.components.iter().filter_map(|component| component.as_ref().err())
    }

    /// Whether no component can serve.
    pub fn is_dead(&self) -> bool {
        self.components.iter().all(Result::is_err)
    }

    /// Answers one request.
    pub async fn call<B>(&self, request: Request<B>) -> Response<GuestBody>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<wasmtime_wasi_http::Error>,
    {
        let Some(target) = self.routes.find(request.uri().path()) else {
            return refusal(StatusCode::NOT_FOUND, "invalid_request_error", "not_found", "no route of this application matches the path");
        };
        let guest = match &self.components[target] {
            Ok(guest) => guest,
            Err(error) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "component_unavailable", &error.to_string()),
        };
        let id = guest.shared.id.clone();
        match guest.answer(normalized(request)).await {
            Ok(response) => response,
            Err(failure) => {
                tracing::error!(component = %id, "no response: {failure}");
                let (status, kind, code) = match failure {
                    Failure::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "server_error", "overloaded"),
                    Failure::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, "server_error", "timeout"),
                    Failure::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "server_error", "component_failed"),
                };
                let message = match failure {
                    // What a guest says when it fails is for the operator's log, not for a stranger.
                    Failure::Failed(_) => format!("the component '{id}' failed; the server's log says why"),
                    failure => format!("the component '{id}' gave no response: {failure}"),
                };
                let mut response = refusal(status, kind, code, &message);
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                }
                response
            }
        }
    }
}

impl hearth_server::Handler for Service {
    type Body = GuestBody;

    async fn handle(&self, request: Request<hearth_server::RequestBody>) -> Response<GuestBody> {
        let failed = |error| match error {
            BodyError::Connection(error) => wasmtime_wasi_http::Error::Hyper(error),
            BodyError::Slow => wasmtime_wasi_http::Error::ConnectionReadTimeout,
            BodyError::Large => wasmtime_wasi_http::Error::HttpRequestBodySize(None),
        };
        self.call(request.map(|body| body.map_err(failed))).await
    }
}

/// The request as a guest expects it: with the scheme and authority that HTTP/1.1 leaves to the `Host` field.
fn normalized<B>(request: Request<B>) -> Request<WasiBody>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<wasmtime_wasi_http::Error>,
{
    let (mut parts, body) = request.into_parts();
    let mut pieces = std::mem::take(&mut parts.uri).into_parts();
    if pieces.authority.is_none() {
        let host = parts.headers.get(header::HOST).and_then(|host| uri::Authority::try_from(host.as_bytes()).ok());
        pieces.authority = Some(host.unwrap_or_else(|| uri::Authority::from_static("localhost")));
    }
    pieces.scheme.get_or_insert(uri::Scheme::HTTP);
    pieces.path_and_query.get_or_insert_with(|| uri::PathAndQuery::from_static("/"));
    parts.uri = uri::Uri::from_parts(pieces).unwrap_or_default();
    Request::from_parts(parts, body.map_err(Into::into).boxed_unsync())
}

/// An answer of the host itself, in OpenAI's error envelope.
fn refusal(status: StatusCode, kind: &str, code: &str, message: &str) -> Response<GuestBody> {
    let envelope = serde_json::json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
    let mut response = Response::new(GuestBody::full(envelope.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
