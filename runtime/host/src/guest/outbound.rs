//! Outgoing HTTP of guests: sent where the manifest says so, and otherwise refused, with the reason where the operator looks for it.

use std::{future::Future, time::Duration};

use hearth_server::{Outgoing, OutgoingError, OutgoingTimeouts};
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// The hooks of one component.
#[derive(Debug, Clone)]
pub(crate) struct Outbound {
    pub(crate) component: String,
    pub(crate) allowed: Vec<String>,
    pub(crate) outgoing: Outgoing,
}

/// What a guest waits for that says nothing of it.
const PATIENCE: Duration = Duration::from_secs(600);

type Outcome = Result<(), Error>;
type Sent = Result<(http::Response<WasiBody>, Box<dyn Future<Output = Outcome> + Send>), Error>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _outcome: Box<dyn Future<Output = Outcome> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let uri = request.uri();
        if allows(&self.allowed, uri) {
            let outgoing = self.outgoing.clone();
            let wanted = |timeout: fn(&RequestOptions) -> Option<Duration>| options.as_ref().and_then(timeout).unwrap_or(PATIENCE);
            let timeouts = OutgoingTimeouts {
                connect: wanted(|options| options.connect_timeout),
                first_byte: wanted(|options| options.first_byte_timeout),
                idle: wanted(|options| options.between_bytes_timeout),
            };
            return Box::new(async move {
                let response = outgoing.send(request, timeouts).await.map_err(error)?;
                // The connection drives itself, and what breaks it the body says.
                let driven = Box::new(std::future::ready(Ok(()))) as Box<dyn Future<Output = Outcome> + Send>;
                Ok((response.map(|body| body.map_err(error).boxed_unsync()), driven))
            });
        }
        let origin = format!("{}://{}", uri.scheme_str().unwrap_or("https"), uri.authority().map_or("", |authority| authority.as_str()));
        tracing::warn!(
            "component '{0}' may not call {origin}: to permit it, add allowed_outbound_hosts = [\"{origin}\"] to [component.{0}] of spin.toml",
            self.component
        );
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}

fn error(error: OutgoingError) -> Error {
    match error {
        OutgoingError::Refused => Error::ConnectionRefused,
        OutgoingError::ConnectTimeout => Error::ConnectionTimeout,
        OutgoingError::Unreachable => Error::DestinationUnavailable,
        OutgoingError::Tls => Error::TlsCertificateError,
        OutgoingError::NoTls => Error::ConfigurationError,
        OutgoingError::FirstByteTimeout | OutgoingError::IdleTimeout => Error::ConnectionReadTimeout,
        OutgoingError::Broken => Error::HttpResponseIncomplete,
    }
}

/// Whether one of Spin's patterns, `scheme://host:port` with `*` for a whole scheme, a leading host label or a port, covers `uri`.
fn allows(patterns: &[String], uri: &http::Uri) -> bool {
    let scheme = uri.scheme_str().unwrap_or("https");
    let host = uri.host().unwrap_or("");
    let port = uri.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
    patterns.iter().any(|pattern| {
        let Some((pattern_scheme, rest)) = pattern.split_once("://") else { return false };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (pattern_host, pattern_port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let scheme_fits = pattern_scheme == "*" || pattern_scheme == scheme;
        let host_fits = match pattern_host.strip_prefix('*') {
            Some("") => true,
            Some(suffix) => suffix.starts_with('.') && host.ends_with(suffix),
            None => pattern_host.eq_ignore_ascii_case(host),
        };
        let port_fits = match pattern_port {
            Some("*") => true,
            Some(text) => text.parse() == Ok(port),
            None => port == if scheme == "http" { 80 } else { 443 },
        };
        scheme_fits && host_fits && port_fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, uri, expected) in [
            ("https://example.com", "https://example.com/a", true),
            ("https://example.com", "http://example.com/a", false),
            ("https://example.com", "https://example.com:8443/", false),
            ("https://example.com/", "https://example.com/a", true),
            ("http://10.0.0.2:18789/", "http://10.0.0.2:18789/v1/models", true),
            ("https://example.com:*", "https://example.com:8443/", true),
            ("*://*:*", "http://anything:1/", true),
            ("https://*.example.com", "https://a.example.com/", true),
            ("https://*.example.com", "https://badexample.com/", false),
            ("https://*example.com", "https://badexample.com/", false),
            ("http://[::1]:80", "http://[::1]/", true),
            ("example.com", "https://example.com/", false),
        ] {
            assert_eq!(allows(&[pattern.to_owned()], &uri.parse().unwrap()), expected, "{pattern} {uri}");
        }
    }
}
