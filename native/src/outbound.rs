//! The handler's port for other servers: HTTP/1.1, with TLS by the authorities that browsers trust.

use std::{error::Error as _, io::ErrorKind, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream;
use hearth_function::ports::{self, Incoming, OutboundError, Timeouts};
use http::{Request, Response};
use http_body_util::{BodyExt, BodyStream, Full};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// Sends requests. A chat is long, and the way to it is asked for again with each: no connection is kept, but TLS sessions are.
#[derive(Debug)]
pub(crate) struct Outbound(Option<ClientConfig>);

impl Default for Outbound {
    fn default() -> Self {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
        Self(builder.ok().map(|builder| builder.with_root_certificates(roots).with_no_client_auth()))
    }
}

impl ports::Outbound for Outbound {
    async fn send(&self, request: Request<Bytes>, timeouts: Timeouts) -> Result<Response<Incoming>, OutboundError> {
        let Some(config) = self.0.clone() else { return Err(failed("TLS cannot be set up here")) };
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(timeouts.connect));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        let answer = client.request(request.map(Full::new));
        let answer = tokio::time::timeout(timeouts.connect.saturating_add(timeouts.first_byte), answer).await;
        let response = answer.map_err(|_| failed("it does not answer in time"))?.map_err(|error| failed(reason(&error)))?;
        Ok(response.map(|body| pieces(body, timeouts.idle)))
    }
}

/// A body's pieces, each of which may be waited for so long.
fn pieces(body: hyper::body::Incoming, idle: Duration) -> Incoming {
    let body = BodyStream::new(body.map_err(|_| failed("the connection to it broke off")));
    Box::pin(stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        loop {
            let piece = match tokio::time::timeout(idle, futures::StreamExt::next(&mut body)).await {
                Ok(piece) => piece?,
                Err(_) => Err(failed("nothing more came from it in time")),
            };
            match piece.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => return Some((Ok(data), Some(body))),
                Ok(Err(_)) => {}
                Err(error) => return Some((Err(error), None)),
            }
        }
    }))
}

fn failed(message: &str) -> OutboundError {
    OutboundError { message: message.to_owned() }
}

/// Why there is no answer, without the address.
fn reason(error: &Error) -> &'static str {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<std::io::Error>() {
            match cause.kind() {
                ErrorKind::ConnectionRefused => return "it refuses connections",
                ErrorKind::TimedOut => return "it takes no connection in time",
                _ => {}
            }
            if cause.get_ref().is_some_and(|cause| cause.is::<rustls::Error>()) {
                return "TLS with it fails: see its certificate";
            }
        }
        source = cause.source();
    }
    if error.is_connect() { "it cannot be reached" } else { "the connection to it broke off" }
}
