//! Which hosts browsers are told to reach by TLS alone from now on (RFC 6797).

use http::{HeaderValue, Request, header::HOST, uri::Authority};

/// A year, as the lists of such hosts ask for.
pub(crate) const VALUE: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Whether the host that was asked for is one to say so of: a name, which addresses are not, and not `localhost`, whose other ports would be bound by it.
pub(crate) fn applies<B>(request: &Request<B>) -> bool {
    let header = || request.headers().get(HOST)?.to_str().ok()?.parse::<Authority>().ok();
    let Some(authority) = request.uri().authority().cloned().or_else(header) else { return false };
    let host = authority.host().to_ascii_lowercase();
    let is_address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
    !is_address && host != "localhost" && !host.ends_with(".localhost")
}
