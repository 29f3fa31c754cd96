//! One request: its permit, its handler, its panic; and the ticket that its response's body holds.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use futures::FutureExt;
use http::{HeaderValue, Method, Request, Response, header::CONTENT_LENGTH};
use http_body::Body;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};
use tracing::Instrument;

use crate::{
    Options, Peer, RequestBody,
    body::{Answers, ServedBody},
    health,
    limits::Rates,
    metrics,
    observe::{Exchange, Observed},
    refuse, socket,
};

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) handler: Arc<dyn Answers>,
    pub(crate) options: Options,
    /// Tied to the bodies, not to the connections: a permit is free again when its response has ended.
    pub(crate) requests: Arc<Semaphore>,
    /// WebSockets that may be open.
    pub(crate) sockets: Arc<Semaphore>,
    /// Requests a second of each client.
    pub(crate) rates: Rates,
    /// Whether the server is to end.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Whether the drain is over.
    pub(crate) cut: watch::Receiver<bool>,
}

impl Shared {
    pub(crate) fn new(handler: Arc<dyn Answers>, options: Options, stopping: watch::Receiver<bool>, cut: watch::Receiver<bool>) -> Self {
        Self {
            handler,
            requests: Arc::new(Semaphore::new(options.requests)),
            sockets: Arc::new(Semaphore::new(options.sockets)),
            rates: Rates::new(options.rate_per_address),
            options,
            stopping,
            cut,
        }
    }

    /// Begins to observe a request.
    pub(crate) fn exchange<B>(&self, request: &mut Request<B>) -> Exchange {
        Exchange::begin(request, &self.options.observe, &self.cut)
    }
}

/// What a request holds until its response has ended.
pub(crate) struct Ticket {
    _permit: Option<OwnedSemaphorePermit>,
    _busy: Busy,
}

/// Whether a connection has requests in flight, and since when not.
#[derive(Debug)]
pub(crate) struct Activity(Mutex<(usize, Instant)>);

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new((0, Instant::now()))))
    }

    /// Since when no request is in flight; `None` while one is.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.0 == 0).then_some(state.1)
    }

    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
        Busy(Arc::clone(self))
    }
}

/// One request in flight, or one socket.
pub(crate) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = (state.0 - 1, Instant::now());
    }
}

/// Observes the answer to a request, which is its own where a request is about the server alone, and 503 where the drain ends before there is any.
pub(crate) async fn observed<B>(
    shared: &Shared,
    mut request: Request<B>,
    answer: impl AsyncFnOnce(Request<B>) -> Response<ServedBody>,
) -> Response<Observed<ServedBody>> {
    let exchange = shared.exchange(&mut request);
    let mut cut = exchange.cut();
    let stopping = *shared.stopping.borrow();
    let head = request.method() == Method::HEAD;
    let response = async {
        if request.uri().path() == metrics::PATH {
            return own(head, metrics::answer(&request, &shared.options).await);
        }
        if let Some(response) = health::answer(&request, stopping, shared.options.ready) {
            return own(head, response);
        }
        tokio::select! {
            biased;
            response = answer(request) => response,
            Ok(_) = cut.wait_for(|cut| *cut) => refuse::stopping(),
        }
    };
    let response = response.instrument(exchange.span()).await;
    exchange.answered(response)
}

/// An answer of the server's own.
fn own(head: bool, response: Response<ServedBody>) -> Response<ServedBody> {
    if !head {
        return response;
    }
    without_body(response).map(|_| ServedBody::whole(""))
}

/// Answers one request: never fails, at worst with a 500 or 503.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    activity: Arc<Activity>,
    request: Request<RequestBody>,
) -> Result<Response<ServedBody>, Infallible> {
    let busy = activity.begin();
    if let Some(Peer(client)) = request.extensions().get()
        && let Err(wait) = shared.rates.take(client.ip())
    {
        metrics::http::refused("rate");
        tracing::debug!(%client, limit = shared.options.rate_per_address, "refused a request: its address sends more a second than the limit");
        return Ok(refuse::rate(shared.options.rate_per_address, wait));
    }
    if request.body().size_hint().lower() > shared.options.body_bytes {
        return Ok(refuse::large(shared.options.body_bytes));
    }
    let permit = if shared.options.unlimited.contains(&request.uri().path()) {
        None
    } else {
        match timeout(shared.options.wait, Arc::clone(&shared.requests).acquire_owned()).await {
            Ok(Ok(permit)) => Some(permit),
            _ => {
                metrics::http::refused("requests");
                tracing::warn!(limit = shared.options.requests, "refused a request: as many as the limit are being answered");
                return Ok(refuse::busy());
            }
        }
    };
    let (head, version) = (request.method() == Method::HEAD, request.version());
    // The call itself stands inside the block too: a handler may do its work before it returns its future.
    let handled = AssertUnwindSafe(async { shared.handler.answer(request).await }).catch_unwind().await;
    let mut response = match handled {
        Ok(response) => response,
        Err(panic) => {
            let what = panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
            tracing::error!(panic = what.unwrap_or_default(), "the handler panicked; the client got a 500");
            return Ok(refuse::broken());
        }
    };
    socket::complete(&mut response, version);
    let ticket = Ticket { _permit: permit, _busy: busy };
    Ok(if head { without_body(response) } else { response.map(|body| ServedBody::handler(body, ticket)) })
}

/// A response to HEAD: the headers that GET would get, its length included, and the body dropped unread.
fn without_body<B: Body>(mut response: Response<B>) -> Response<ServedBody> {
    if let Some(length) = response.body().size_hint().exact()
        && !response.headers().contains_key(CONTENT_LENGTH)
    {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response.map(|_| ServedBody::whole(""))
}
