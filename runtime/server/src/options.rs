//! The bounds that a server keeps.

use std::{net::IpAddr, time::Duration};

use crate::{Network, Observe, Tls};

/// Bounds on what clients may hold. All have working defaults: `Options { drain: …, ..Options::default() }`.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections open at once. A further one takes the place of the one that has idled longest, and gets a 503 where all are busy.
    pub connections: usize,
    /// Connections of one address (of IPv6: of one /64) open at once, in the same way; 0 is no limit. Trusted proxies have none.
    pub connections_per_address: usize,
    /// Requests a second of one address (of IPv6: of one /64), each turn on a WebSocket counted as one; further ones get a 429. 0 is no limit.
    pub rate_per_address: u32,
    /// Proxies whose word is taken for where a request comes from (`x-forwarded-for`, `x-forwarded-proto`).
    pub trusted_proxies: Vec<Network>,
    /// Requests being answered at once, each from its head to the end of its response's body.
    pub requests: usize,
    /// How long a request waits for its turn when `requests` others are being answered, before it gets a 503.
    pub wait: Duration,
    /// How long a client may take to send the head of a request, and how long an HTTP/1.1 connection is kept alive between two.
    pub header_timeout: Duration,
    /// The largest head of a request, in bytes (at least 8 KiB); larger ones get a 431.
    pub header_bytes: usize,
    /// Header fields of a request; more get a 431.
    pub headers: usize,
    /// The largest body of a request, in bytes; larger ones get a 413, or end in an error where the client did not announce them. What a handler takes may be less.
    pub body_bytes: u64,
    /// How long a client may keep a handler waiting for a request's body. Each kibibyte that comes earns a second back, so that slow networks are no matter.
    pub body_timeout: Duration,
    /// How long a client may take nothing of what is sent to it, in the same way.
    pub write_timeout: Duration,
    /// How long a connection may stay without any request in flight; the bound for HTTP/2 and for a client that connects and stays silent.
    pub idle: Duration,
    /// WebSockets open at once, of the connections; further ones get a 503.
    pub sockets: usize,
    /// Bounds of each WebSocket.
    pub socket: SocketOptions,
    /// How long connections are still taken after the shutdown was asked for, while `ready` says 503.
    pub notice: Duration,
    /// How long responses may go on after that; what is still open then is cut, streams of events with an event that says so.
    pub drain: Duration,
    /// Paths that are answered even when `requests` others are: a probe must not fail because the house is full.
    pub unlimited: &'static [&'static str],
    /// TLS on all connections; without it, plain HTTP.
    pub tls: Option<Tls>,
    /// Those of them at which the handler says that it is ready. The server says 503 in its place once it shall end.
    pub ready: &'static [&'static str],
    /// What the server tells of itself.
    pub observe: Observe,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_address: 512,
            rate_per_address: 1000,
            trusted_proxies: Vec::new(),
            requests: 512,
            wait: Duration::from_secs(2),
            header_timeout: Duration::from_secs(30),
            header_bytes: 64 * 1024,
            headers: 100,
            body_bytes: 32 << 20,
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            sockets: 512,
            socket: SocketOptions::default(),
            notice: Duration::ZERO,
            drain: Duration::from_secs(30),
            unlimited: &["/health", "/v1/health", "/health/ready"],
            tls: None,
            ready: &["/health", "/v1/health", "/health/ready"],
            observe: Observe::default(),
        }
    }
}

impl Options {
    /// Whether an address is that of a trusted proxy.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}

/// Bounds on what the client of one WebSocket may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketOptions {
    /// The largest message of a client, in bytes: the body of a request and what is around it. A larger one closes the socket with 1009.
    pub message_bytes: usize,
    /// Chats of one socket, those that are being answered and those that can be continued.
    pub chats: usize,
    /// Bytes of all conversations that a socket keeps.
    pub conversation_bytes: usize,
    /// After how long a silence the client is asked whether it is there; after three times as long it counts as gone.
    pub ping: Duration,
    /// How long a socket may stay without a message and without an answer under way.
    pub idle: Duration,
    /// Origins (`https://chat.example`) whose pages may open sockets, beside those of the server's own.
    pub origins: Vec<String>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            message_bytes: (4 << 20) + 4096,
            chats: 16,
            conversation_bytes: 4 << 20,
            ping: Duration::from_secs(20),
            idle: Duration::from_secs(15 * 60),
            origins: Vec::new(),
        }
    }
}
