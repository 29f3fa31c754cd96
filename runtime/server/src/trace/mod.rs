//! Traces by OTLP over HTTP with JSON (opentelemetry.io/docs/specs/otlp), with the names of OpenTelemetry's conventions for HTTP and generative AI.
//!
//! Spans go into a bounded queue and leave in batches from a thread of their own. A collector that is slow or away costs spans and nothing else: they are counted and dropped.

mod headers;
mod parent;
mod sender;
mod span;

use std::{
    fmt,
    sync::{
        Arc,
        mpsc::{self, SyncSender},
    },
    time::Duration,
};

use metrics::{counter, describe_counter};
use serde_json::Value;

use crate::observe::Exchange;
pub(crate) use parent::Parent;
use sender::Sender;

/// Spans that may wait.
const QUEUE: usize = 2048;
const SPANS: &str = "hearth_otlp_spans_total";

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The endpoint is no address.
    #[error("--otlp-endpoint {0}: write the address of a collector that takes OTLP over HTTP, as http://127.0.0.1:4318")]
    Endpoint(String),
    /// The environment's header fields are none.
    #[error("{0}: write `name=value` for each header field of requests to the collector, with commas between, as authorization=Bearer%20…")]
    Headers(&'static str),
    /// There is no thread for it.
    #[error("no thread could be started that sends traces: {0}")]
    Thread(#[source] std::io::Error),
}

/// Where spans go. Clones share it.
#[derive(Clone)]
pub struct Traces(Arc<SyncSender<Message>>);

/// What the sending thread is told.
enum Message {
    Span(Value),
    /// Send what is there, and say so.
    Flush(mpsc::Sender<()>),
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Traces")
    }
}

impl Traces {
    /// Sends to the collector at `endpoint`, with the header fields of the environment; one without a path has `/v1/traces`.
    ///
    /// # Errors
    /// [`TraceError`]
    pub fn start(endpoint: &str) -> Result<Self, TraceError> {
        let url = address(endpoint).ok_or_else(|| TraceError::Endpoint(endpoint.to_owned()))?;
        let headers = headers::from_environment()?;
        let (sender, messages) = mpsc::sync_channel(QUEUE);
        let run = move || Sender::new(url, headers).run(&messages);
        std::thread::Builder::new().name("hearth-traces".to_owned()).spawn(run).map_err(TraceError::Thread)?;
        Ok(Self(Arc::new(sender)))
    }

    /// The span of a request that has ended. What asks how the server does is none of anybody's business in traces, and a parent that is not sampled has no samples below.
    pub(crate) fn exchange(&self, exchange: &Exchange) {
        let probes = ["/health", "/v1/health", crate::metrics::PATH];
        let probe = probes.contains(&exchange.path.as_str()) || exchange.path.starts_with("/health/");
        if probe || exchange.parent.as_ref().is_some_and(|parent| !parent.sampled) {
            return;
        }
        if self.0.try_send(Message::Span(span::of(exchange))).is_err() {
            told("dropped", 1);
        }
    }

    /// Waits until all spans so far were sent or given up, but not for longer than `limit`.
    pub(crate) async fn flush(&self, limit: Duration) {
        let (done, flushed) = mpsc::channel();
        if self.0.try_send(Message::Flush(done)).is_ok() {
            let _ = tokio::task::spawn_blocking(move || flushed.recv_timeout(limit)).await;
        }
    }
}

/// The address to post to.
fn address(endpoint: &str) -> Option<String> {
    let uri: http::Uri = endpoint.parse().ok()?;
    let known = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty());
    known.then(|| match uri.path() {
        "" | "/" => format!("{}/v1/traces", endpoint.trim_end_matches('/')),
        _ => endpoint.to_owned(),
    })
}

fn told(result: &'static str, spans: usize) {
    counter!(SPANS, "result" => result).increment(spans as u64);
}

pub(crate) fn describe() {
    describe_counter!(SPANS, "Spans that were sent to the collector, or dropped because it did not take them.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_without_a_path_get_the_usual_one() {
        assert_eq!(address("http://127.0.0.1:4318").unwrap(), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(address("https://c.example/").unwrap(), "https://c.example/v1/traces");
        assert_eq!(address("https://c.example/otlp/v1/traces").unwrap(), "https://c.example/otlp/v1/traces");
        for wrong in ["127.0.0.1:4318", "grpc://c.example", "", "http://"] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }
}
