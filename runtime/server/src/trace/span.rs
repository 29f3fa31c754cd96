//! A request as a span: `chat MODEL` where a model answered (semantic conventions for generative AI), `GET /v1/models` elsewhere (those for HTTP).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Version;
use serde_json::{Value, json};

use crate::observe::{Exchange, Outcome};

/// OTLP's numbers for the kind of a server and for an error.
const SERVER: u32 = 2;
const ERROR: u32 = 2;

/// The span's JSON.
pub(super) fn of(exchange: &Exchange) -> Value {
    let told = &exchange.told;
    let mut attributes = Attributes::default();
    attributes.text("http.request.method", exchange.method.as_str());
    attributes.text("url.path", exchange.path.as_str());
    attributes.text("http.route", told.route.as_deref());
    attributes.number("http.response.status_code", exchange.status.map(|status| u64::from(status.as_u16())));
    attributes.text("network.protocol.version", if exchange.version == Version::HTTP_2 { "2" } else { "1.1" });
    let host = exchange.host.as_deref().map(split);
    attributes.text("server.address", host.map(|(host, _)| host));
    attributes.number("server.port", host.and_then(|(_, port)| port));
    attributes.text("client.address", exchange.peer.map(|peer| peer.ip().to_string()).as_deref());
    attributes.text("hearth.request_id", exchange.id.as_str());
    attributes.text("hearth.key", told.key.as_deref());
    let operation = told.operation.as_deref().unwrap_or("chat");
    if let Some(model) = &told.model {
        attributes.text("gen_ai.operation.name", operation);
        attributes.text("gen_ai.provider.name", "hearth");
        attributes.text("gen_ai.request.model", model.as_str());
        attributes.text("gen_ai.response.model", model.as_str());
        attributes.number("gen_ai.usage.input_tokens", told.prompt_tokens);
        attributes.number("gen_ai.usage.cache_read.input_tokens", told.cached_tokens);
        attributes.number("gen_ai.usage.output_tokens", told.completion_tokens);
        if let Some(finish) = &told.finish {
            let reasons: Vec<Value> = finish.split(',').map(|reason| json!({"stringValue": reason})).collect();
            attributes.any("gen_ai.response.finish_reasons", json!({"arrayValue": {"values": reasons}}));
        }
        if let Some(ms) = told.ttft_ms {
            attributes.any("gen_ai.response.time_to_first_chunk", json!({"doubleValue": ms / 1000.0}));
        }
    }
    let error = match (exchange.outcome, exchange.status) {
        (Outcome::Complete, Some(status)) if status.is_server_error() => Some(status.as_str().to_owned()),
        (Outcome::Complete, _) => None,
        (outcome, _) => Some(outcome.name().to_owned()),
    };
    attributes.text("error.type", error.as_deref());
    let name = match (&told.model, &told.route) {
        (Some(model), _) => format!("{operation} {model}"),
        (None, Some(route)) => format!("{} {route}", exchange.method),
        (None, None) => exchange.method.to_string(),
    };
    let mut span = json!({
        "traceId": exchange.parent.as_ref().map_or_else(|| id(32), |parent| parent.trace.clone()),
        "spanId": id(16),
        "name": name,
        "kind": SERVER,
        "startTimeUnixNano": nanos(exchange.begun, Duration::ZERO),
        "endTimeUnixNano": nanos(exchange.begun, exchange.duration()),
        "attributes": attributes.0,
        "status": if error.is_some() { json!({"code": ERROR}) } else { json!({}) },
    });
    if let Some(parent) = &exchange.parent {
        span["parentSpanId"] = parent.span.as_str().into();
        if let Some(state) = &parent.state {
            span["traceState"] = state.as_str().into();
        }
    }
    span
}

/// As many hexadecimal digits of an id, never all zero.
fn id(digits: usize) -> String {
    let mut bytes = [0; 16];
    let _ = getrandom::fill(&mut bytes);
    bytes[0] |= 1;
    format!("{:032x}", u128::from_be_bytes(bytes))[..digits].to_owned()
}

/// Whole numbers of 64 bits are texts in OTLP's JSON.
fn nanos(begun: SystemTime, after: Duration) -> String {
    let since = begun.duration_since(UNIX_EPOCH).unwrap_or_default();
    (since + after).as_nanos().to_string()
}

/// `host:port` apart; an address of IPv6 has colons within brackets.
fn split(host: &str) -> (&str, Option<u64>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
        _ => (host, None),
    }
}

#[derive(Default)]
struct Attributes(Vec<Value>);

impl Attributes {
    fn any(&mut self, key: &str, value: Value) {
        self.0.push(json!({"key": key, "value": value}));
    }

    fn text<'a>(&mut self, key: &str, text: impl Into<Option<&'a str>>) {
        if let Some(text) = text.into() {
            self.any(key, json!({"stringValue": text}));
        }
    }

    fn number(&mut self, key: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.any(key, json!({"intValue": number.to_string()}));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ids() {
        assert_eq!(split("a.example:80"), ("a.example", Some(80)));
        assert_eq!(split("a.example"), ("a.example", None));
        assert_eq!(split("[::1]:8080"), ("[::1]", Some(8080)));
        assert_eq!(split("[::1]"), ("[::1]", None));
        assert_eq!((id(32).len(), id(16).len()), (32, 16));
    }
}
