//! The way to the other server: its address, this server's key there, and what is done when it does not answer.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::{
    circuit::{Circuit, Pass},
    failure,
};
use crate::{
    ident,
    nn::knows,
    ports::{Incoming, NnError, Outbound, OutboundError, Ports, Settings, Timeouts},
    settings,
};

/// How many Hearths a request has come through.
const HOPS: HeaderName = HeaderName::from_static("x-hearth-hops");

const CONNECT: Duration = Duration::from_secs(5);
/// Longer than a request may wait in the other's queue by default.
const FIRST_BYTE: usize = 150;
const IDLE: Duration = Duration::from_secs(60);
/// Bytes of a refusal that are read.
const REFUSAL_MAX: usize = 64 << 10;

/// How many Hearths a request has come through. What cannot be read was written by one.
pub(crate) fn hops(headers: &HeaderMap) -> u8 {
    headers.get(HOPS).map_or(0, |value| value.to_str().ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1))
}

/// The way to the other server.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// Without a slash at its end.
    url: String,
    /// Marked as a secret, which is not printed.
    key: Option<HeaderValue>,
    timeouts: Timeouts,
    circuit: Circuit,
}

impl Link {
    /// As the settings have it, if they do.
    pub(crate) async fn of<S: Settings>(settings: &S) -> Option<Self> {
        let url = settings.get("fallback_url").await?.trim().trim_end_matches('/').to_owned();
        if url.is_empty() {
            return None;
        }
        let key = settings.get("fallback_key").await.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        let key = key.and_then(|key| HeaderValue::try_from(format!("Bearer {key}")).ok()).map(|mut key| {
            key.set_sensitive(true);
            key
        });
        let seconds = settings::number(settings, "fallback_timeout").await.filter(|seconds| *seconds > 0).unwrap_or(FIRST_BYTE);
        let timeouts = Timeouts { connect: CONNECT, first_byte: Duration::from_secs(seconds as u64), idle: IDLE };
        Some(Self { circuit: Circuit::of(&url), url, key, timeouts })
    }

    /// The other server's address, by which it is told from others.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Asks it. Nothing of the client's own request goes there but what `body` holds.
    ///
    /// # Errors
    /// The other's refusal, or that there was none, in the contract's form.
    pub(super) async fn ask<P: Ports>(&self, ports: &P, method: Method, path: &str, body: Bytes) -> Result<Exchange, NnError> {
        let pass = self.circuit.admit(ports.counters(), ident::now()).await.map_err(|seconds| {
            let message = format!("The server that computes this does not answer and is left alone for now: ask again in {seconds} s.");
            NnError { data: json!({"kind": "fallback_down", "message": message, "retry_after": seconds}).to_string() }
        })?;
        let mut exchange = Exchange { link: self.clone(), pass, body: Box::pin(futures::stream::empty()), tail: Vec::new(), at: 0 };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(HOPS, "1")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, ident::FINGERPRINT);
        let request = self.key.iter().fold(request, |request, key| request.header(header::AUTHORIZATION, key));
        let Ok(request) = request.body(body) else { return Err(failed("its address, the setting 'fallback_url', is no URL")) };
        let response = match ports.outbound().send(request, self.timeouts).await {
            Ok(response) => response,
            Err(OutboundError { message }) => return Err(exchange.failed(ports, &message).await),
        };
        if response.status() != StatusCode::OK {
            return Err(match refusal(response).await {
                // It is well, whatever it says.
                Ok(error) => {
                    self.circuit.succeeded(ports.counters(), &exchange.pass).await;
                    error
                }
                Err(reason) => exchange.failed(ports, &reason).await,
            });
        }
        self.circuit.succeeded(ports.counters(), &exchange.pass).await;
        exchange.pass = Pass::renewed();
        exchange.body = response.into_body();
        Ok(exchange)
    }
}

/// An answer that comes.
pub(super) struct Exchange {
    link: Link,
    pass: Pass,
    body: Incoming,
    /// What has come, and how much of it was read.
    tail: Vec<u8>,
    at: usize,
}

impl Exchange {
    /// The next line of the answer, of at most `max` bytes; `None` at its end.
    ///
    /// # Errors
    /// That it broke off.
    pub(super) async fn line<P: Ports>(&mut self, ports: &P, max: usize) -> Result<Option<Vec<u8>>, NnError> {
        let mut searched = self.at;
        loop {
            if let Some(end) = self.tail[searched..].iter().position(|byte| *byte == b'\n') {
                let end = searched + end;
                let line = self.tail[self.at..end].to_vec();
                self.at = end + 1;
                return Ok(Some(line));
            }
            self.tail.drain(..self.at);
            self.at = 0;
            searched = self.tail.len();
            match self.body.next().await {
                Some(Ok(piece)) if self.tail.len() + piece.len() <= max => self.tail.extend_from_slice(&piece),
                Some(Ok(_)) => return Err(failed(&format!("a piece of its answer has more than {max} bytes"))),
                Some(Err(OutboundError { message })) => return Err(self.failed(ports, &message).await),
                None if self.tail.is_empty() => return Ok(None),
                None => return Err(self.failed(ports, "its answer broke off").await),
            }
        }
    }

    /// The other server failed.
    pub(super) async fn failed<P: Ports>(&mut self, ports: &P, reason: &str) -> NnError {
        self.link.circuit.failed(ports.counters(), &self.pass, ident::now()).await;
        failed(reason)
    }

    /// The whole answer, of at most `max` bytes.
    ///
    /// # Errors
    /// That it broke off, or is longer.
    pub(super) async fn whole<P: Ports>(&mut self, ports: &P, max: usize) -> Result<Vec<u8>, NnError> {
        let mut whole = std::mem::take(&mut self.tail);
        while let Some(piece) = self.body.next().await {
            match piece {
                Ok(piece) if whole.len() + piece.len() <= max => whole.extend_from_slice(&piece),
                Ok(_) => return Err(failed(&format!("its answer has more than {max} bytes"))),
                Err(OutboundError { message }) => return Err(self.failed(ports, &message).await),
            }
        }
        Ok(whole)
    }
}

fn failed(reason: &str) -> NnError {
    failure("fallback_failed", format!("The server that this request was passed on to failed: {reason}. Ask again."))
}

/// What the other server's refusal means here. One that has to do with this server's own key there, or with its limits, is none of the client's.
///
/// # Errors
/// Why it is no answer of the other server, but of a proxy whose server is gone.
async fn refusal(response: Response<Incoming>) -> Result<NnError, String> {
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(Ok(piece)) = body.next().await
        && bytes.len() + piece.len() <= REFUSAL_MAX
    {
        bytes.extend_from_slice(&piece);
    }
    let error = serde_json::from_slice::<Value>(&bytes).unwrap_or_default()["error"].take();
    if error["kind"].as_str().is_some_and(knows) {
        return Ok(NnError { data: error.to_string() });
    }
    Ok(match head.status {
        status @ (StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT) => return Err(format!("it is not there ({status})")),
        StatusCode::UNAUTHORIZED => failed("it refuses this server's key, the setting 'fallback_key'"),
        StatusCode::FORBIDDEN => failed("this server's key there, the setting 'fallback_key', is not for this"),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            let seconds = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u32>().ok()).unwrap_or(1);
            let message = format!("The server that computes this has too much to do: ask again in {seconds} s.");
            NnError { data: json!({"kind": "queue_full", "message": message, "retry_after": seconds}).to_string() }
        }
        status => failed(&format!("it answered {status}, which no Hearth of this version does")),
    })
}
