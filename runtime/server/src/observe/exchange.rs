//! A request and its answer, from the head of the one to the end of the other's body.

use std::{
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header::HOST};
use tokio::sync::watch;

use super::{Observed, Told, last_word::Form};
use crate::{
    Observe, Peer, log, metrics,
    trace::{Parent, Traces},
};

/// Characters of a path in a log.
const PATH_MAX: usize = 512;

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The answer left whole.
    Complete,
    /// The client went away before.
    Aborted,
    /// The answer's body failed.
    Failed,
    /// The server stopped before.
    Cut,
}

impl Outcome {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
            Self::Cut => "cut",
        }
    }
}

/// A request and its answer. However it ends, it is told once: when it is dropped.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) id: String,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) method: Method,
    pub(crate) path: String,
    /// The host that the client asked for.
    pub(crate) host: Option<String>,
    pub(crate) version: Version,
    pub(crate) parent: Option<Parent>,
    pub(crate) begun: SystemTime,
    started: Instant,
    /// `None` until there is an answer.
    pub(crate) status: Option<StatusCode>,
    pub(crate) told: Told,
    /// Of the answer's body.
    pub(crate) bytes: u64,
    pub(crate) outcome: Outcome,
    traces: Option<Traces>,
    cut: watch::Receiver<bool>,
}

impl Exchange {
    /// Begins with a request's head. Its id is the client's if that is a sane one; the handler finds it in `x-request-id` in any case.
    pub(crate) fn begin<B>(request: &mut Request<B>, observe: &Observe, cut: &watch::Receiver<bool>) -> Self {
        let id = log::request_id(request.headers());
        if let Ok(value) = HeaderValue::from_str(&id) {
            request.headers_mut().insert(log::REQUEST_ID, value);
        }
        let uri = request.uri();
        let host = uri.host().map(str::to_owned).or_else(|| Some(request.headers().get(HOST)?.to_str().ok()?.chars().take(256).collect()));
        metrics::http::begun();
        Self {
            peer: request.extensions().get::<Peer>().map(|peer| peer.0),
            method: request.method().clone(),
            path: uri.path().chars().take(PATH_MAX).collect(),
            host,
            version: request.version(),
            parent: observe.traces.as_ref().and_then(|_| Parent::read(request.headers())),
            begun: SystemTime::now(),
            started: Instant::now(),
            status: None,
            told: Told::default(),
            bytes: 0,
            outcome: Outcome::Aborted,
            traces: observe.traces.clone(),
            cut: cut.clone(),
            id,
        }
    }

    /// The span in which the request is handled: what is logged meanwhile bears the request's id.
    pub(crate) fn span(&self) -> tracing::Span {
        tracing::info_span!("request", id = self.id)
    }

    /// Goes on with the answer, until its body ends.
    pub(crate) fn answered<B: http_body::Body>(mut self, mut response: Response<B>) -> Response<Observed<B>> {
        self.status = Some(response.status());
        self.told.take(response.headers_mut());
        if let Ok(value) = HeaderValue::from_str(&self.id) {
            response.headers_mut().insert(log::REQUEST_ID, value);
        }
        let form = Form::of(response.headers());
        let length = declared(response.headers());
        response.map(|body| Observed::new(body, self, form, length))
    }

    pub(crate) fn duration(&self) -> Duration {
        self.started.elapsed()
    }

    /// To wait for the end of the drain.
    pub(crate) fn cut(&self) -> watch::Receiver<bool> {
        self.cut.clone()
    }
}

/// The length that a head declares of the body behind it.
fn declared(fields: &HeaderMap) -> Option<u64> {
    fields.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.outcome == Outcome::Aborted && *self.cut.borrow() {
            self.outcome = Outcome::Cut;
        }
        log::access(self);
        metrics::http::ended(self);
        if let Some(traces) = &self.traces {
            traces.exchange(self);
        }
    }
}
