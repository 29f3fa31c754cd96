//! Which pages may open a socket. A browser asks no one before it opens one for a page of another site, and sends cookies and network position along (cross-site
//! WebSocket hijacking): what protects is the `origin` header, which a page cannot change.

use http::{
    HeaderMap, Uri,
    header::ORIGIN,
    uri::{Authority, Scheme},
};

/// Whether a client may open a socket to `host`: it is no page (no origin), a page of the same host and port, or one of `allowed`.
pub(super) fn may_open(headers: &HeaderMap, host: Option<&str>, allowed: &[String]) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (None, _) => return true,
        (Some(origin), None) => origin.to_str().unwrap_or_default(),
        (Some(_), Some(_)) => return false,
    };
    let Some((scheme, name, port)) = parts(origin) else { return false };
    if allowed.iter().any(|allowed| parts(allowed).is_some_and(|allowed| allowed == (scheme.clone(), name.clone(), port))) {
        return true;
    }
    // The scheme is not compared: where a proxy ends TLS, this side does not see it.
    host.and_then(|host| host.parse::<Authority>().ok())
        .is_some_and(|host| host.host().eq_ignore_ascii_case(&name) && host.port_u16().or_else(|| default_port(&scheme)) == port)
}

/// Checks an origin for [`SocketOptions::origins`](crate::SocketOptions::origins).
///
/// # Errors
/// What is wrong with it, and an example.
pub fn parse_origin(origin: &str) -> Result<String, String> {
    let whole = |uri: Uri| uri.scheme().is_some() && uri.host().is_some() && uri.path_and_query().is_none_or(|path| path == "/");
    if origin.parse::<Uri>().is_ok_and(whole) && !origin.ends_with('/') {
        return Ok(origin.to_owned());
    }
    Err("an origin is a scheme and a host, and a port where it is not the usual one, such as https://chat.example".to_owned())
}

/// Scheme, host in lower case and port of an origin; `null`, which sandboxed pages send, has none.
fn parts(origin: &str) -> Option<(Scheme, String, Option<u16>)> {
    let uri: Uri = origin.parse().ok()?;
    let scheme = uri.scheme()?.clone();
    let port = uri.port_u16().or_else(|| default_port(&scheme));
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

fn default_port(scheme: &Scheme) -> Option<u16> {
    match scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_same_host_or_of_the_list() {
        let allowed = ["https://chat.example".to_owned()];
        for (origin, host, expected) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", true),
            ("http://LocalHost:8080", "localhost:8080", true),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("https://a.example", "a.example", true),
            ("https://a.example", "a.example:443", true),
            ("https://a.example:443", "a.example", true),
            ("https://chat.example", "a.example", true),
            ("https://CHAT.example:443", "a.example", true),
            ("http://chat.example", "a.example", false),
            ("https://chat.example:444", "a.example", false),
            ("https://evil.example", "a.example", false),
            ("https://a.example.evil.example", "a.example", false),
            ("http://127.0.0.1:8081", "127.0.0.1:8080", false),
            ("http://a.example", "a.example:443", false),
            ("null", "a.example", false),
            ("", "a.example", false),
            ("a.example", "a.example", false),
            ("file://", "a.example", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, origin.parse().unwrap());
            assert_eq!(may_open(&headers, Some(host), &allowed), expected, "{origin} to {host}");
            headers.append(ORIGIN, origin.parse().unwrap());
            assert!(!may_open(&headers, Some(host), &allowed), "{origin} twice");
        }
        assert!(may_open(&HeaderMap::new(), None, &[]));
        for (origin, fine) in [
            ("https://a.example:8443", true),
            ("http://[::1]", true),
            ("a.example", false),
            ("https://a.example/", false),
            ("*", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(parse_origin(origin).is_ok(), fine, "{origin}");
        }
    }
}
