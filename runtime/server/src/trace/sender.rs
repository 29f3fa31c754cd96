//! The thread that sends spans to the collector.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use serde_json::{Value, json};
use ureq::Agent;

use super::{Message, told};

/// Spans of one request to the collector, and how long the first of them waits for others.
const BATCH: usize = 256;
const WAIT: Duration = Duration::from_secs(2);
/// How long the collector may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long it is left alone after it failed. What comes meanwhile is dropped when the queue is full.
const PAUSE: Duration = Duration::from_secs(10);

pub(super) struct Sender {
    url: String,
    headers: HeaderMap,
    agent: Agent,
    spans: Vec<Value>,
    /// Until when the collector is left alone.
    paused: Option<Instant>,
}

impl Sender {
    /// Requests have `headers` beside those of their own.
    pub(super) fn new(url: String, mut headers: HeaderMap) -> Self {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let config = Agent::config_builder().timeout_global(Some(TIMEOUT)).max_redirects(0).http_status_as_error(true).build();
        Self { url, headers, agent: config.into(), spans: Vec::new(), paused: None }
    }

    /// Runs until the last [`super::Traces`] is gone.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        let mut due = Instant::now() + WAIT;
        loop {
            match messages.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Message::Span(span)) => {
                    self.spans.push(span);
                    if self.spans.len() < BATCH {
                        continue;
                    }
                    self.send();
                }
                Ok(Message::Flush(done)) => {
                    self.send();
                    // Who waited may have given up.
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => self.send(),
                Err(RecvTimeoutError::Disconnected) => return self.send(),
            }
            due = Instant::now() + WAIT;
        }
    }

    /// Sends what is there. A batch that the collector does not take is dropped.
    fn send(&mut self) {
        let spans = std::mem::take(&mut self.spans);
        if spans.is_empty() {
            return;
        }
        let count = spans.len();
        if self.paused.is_some_and(|until| Instant::now() < until) {
            return told("dropped", count);
        }
        let mut request = self.agent.post(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        match request.send(document(spans).to_string()) {
            Ok(_) => {
                self.paused = None;
                told("sent", count);
            }
            Err(error) => {
                tracing::warn!(url = self.url, %error, spans = count, "the collector of traces took none; it is left alone for {} s", PAUSE.as_secs());
                self.paused = Some(Instant::now() + PAUSE);
                told("dropped", count);
            }
        }
    }
}

/// An `ExportTraceServiceRequest`.
fn document(spans: Vec<Value>) -> Value {
    let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let version = env!("CARGO_PKG_VERSION");
    let service = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
    json!({"resourceSpans": [{
        "resource": {"attributes": [
            attribute("service.name", service.as_deref().unwrap_or("hearth")),
            attribute("service.version", version),
            {"key": "process.pid", "value": {"intValue": std::process::id().to_string()}},
        ]},
        "scopeSpans": [{"scope": {"name": env!("CARGO_PKG_NAME"), "version": version}, "spans": spans}],
    }]})
}
