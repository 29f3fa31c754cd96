//! The bounds that a server keeps.

use std::time::Duration;

/// Bounds on what clients may hold. All have working defaults: `Options { drain: …, ..Options::default() }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Connections open at once; further ones get a 503 and are closed.
    pub connections: usize,
    /// Requests being answered at once, each from its head to the end of its response's body.
    pub requests: usize,
    /// How long a request waits for its turn when `requests` others are being answered, before it gets a 503.
    pub wait: Duration,
    /// How long a client may take to send the head of a request, and how long an HTTP/1.1 connection is kept alive between two.
    pub header_timeout: Duration,
    /// The largest head of a request, in bytes (at least 8 KiB); larger ones get a 431.
    pub header_bytes: usize,
    /// How long a connection may stay without any request in flight; the bound for HTTP/2 and for a client that connects and stays silent.
    pub idle: Duration,
    /// How long responses may go on after the shutdown was asked for; what is still open then is cut.
    pub drain: Duration,
    /// Paths that are answered even when `requests` others are: a probe must not fail because the house is full.
    pub unlimited: &'static [&'static str],
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 1024,
            requests: 512,
            wait: Duration::from_secs(2),
            header_timeout: Duration::from_secs(30),
            header_bytes: 64 * 1024,
            idle: Duration::from_secs(60),
            drain: Duration::from_secs(30),
            unlimited: &["/health", "/v1/health"],
        }
    }
}
