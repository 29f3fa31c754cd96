//! The server's own measures: of requests, connections, sockets, and what it refuses itself.

use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex, PoisonError},
};

use http::Method;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::observe::{Exchange, Outcome};

const REQUESTS: &str = "hearth_http_requests_total";
const DURATION: &str = "hearth_http_request_duration_seconds";
const IN_FLIGHT: &str = "hearth_http_requests_in_flight";
const REFUSALS: &str = "hearth_http_refusals_total";
const CONNECTIONS: &str = "hearth_http_connections";
const SOCKETS: &str = "hearth_http_websockets";

/// Its histograms with their buckets.
pub(super) const HISTOGRAMS: &[(&str, &[f64])] =
    &[(DURATION, &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0])];

/// Routes that are told apart. The handlers of this project have fewer; another's that names each request a route of its own does not fill the memory.
const ROUTES_MAX: usize = 100;
static ROUTES: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

pub(super) fn describe() {
    describe_counter!(
        REQUESTS,
        "Requests that were answered or broke off, by the pattern of their path, their method and the class of their status."
    );
    describe_histogram!(DURATION, Unit::Seconds, "From a request's head to the end of its answer's body.");
    describe_gauge!(IN_FLIGHT, "Requests that are being answered.");
    describe_counter!(REFUSALS, "What the server refused before any handler saw it, by reason.");
    describe_gauge!(CONNECTIONS, "Open connections.");
    describe_gauge!(SOCKETS, "Open WebSockets.");
}

/// Something was refused: one of this crate's own few reasons.
pub(crate) fn refused(reason: &'static str) {
    counter!(REFUSALS, "reason" => reason).increment(1);
}

/// Counts something while it is there.
pub(crate) struct Here(&'static str);

impl Here {
    pub(crate) fn connection() -> Self {
        gauge!(CONNECTIONS).increment(1.0);
        Self(CONNECTIONS)
    }

    pub(crate) fn socket() -> Self {
        gauge!(SOCKETS).increment(1.0);
        Self(SOCKETS)
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        gauge!(self.0).decrement(1.0);
    }
}

/// A request has begun.
pub(crate) fn begun() {
    gauge!(IN_FLIGHT).increment(1.0);
}

/// It has ended.
pub(crate) fn ended(exchange: &Exchange) {
    gauge!(IN_FLIGHT).decrement(1.0);
    let (handler, method) = (route(exchange.told.route.as_deref(), ROUTES_MAX), method(&exchange.method));
    let status = match exchange.status.map(|status| status.as_u16() / 100) {
        Some(1) => "1xx",
        Some(2) => "2xx",
        Some(3) => "3xx",
        Some(4) => "4xx",
        Some(5) => "5xx",
        _ => "none",
    };
    counter!(REQUESTS, "handler" => handler.clone(), "method" => method, "status" => status).increment(1);
    if exchange.outcome == Outcome::Complete {
        histogram!(DURATION, "handler" => handler, "method" => method).record(exchange.duration().as_secs_f64());
    }
}

/// The route that a handler told, of the first so many that were ever told.
fn route(told: Option<&str>, most: usize) -> String {
    let Some(told) = told else { return "other".to_owned() };
    let mut routes = ROUTES.lock().unwrap_or_else(PoisonError::into_inner);
    if !routes.contains(told) {
        if routes.len() >= most {
            return "other".to_owned();
        }
        routes.insert(told.to_owned());
    }
    told.to_owned()
}

/// A client may name any method.
fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "CONNECT" => "CONNECT",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_few_whatever_is_sent() {
        assert_eq!(method(&Method::from_bytes(b"BREW").unwrap()), "other");
        assert_eq!((route(None, 2), route(Some("/a"), 2), route(Some("/b"), 2)), ("other".into(), "/a".into(), "/b".into()));
        assert_eq!((route(Some("/c"), 2), route(Some("/a"), 2)), ("other".into(), "/a".into()));
    }
}
