//! Answers that are the server's own: full, beyond a limit, or broken inside. Their bodies have the shape that OpenAI's clients read.

use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use std::time::Duration;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use crate::body::ServedBody;

/// How long a refused client is given to take its refusal.
const PATIENCE: Duration = Duration::from_secs(1);

fn envelope(message: &str, kind: &str, code: &str) -> String {
    // The texts are this file's own and need no escapes.
    format!(r#"{{"error":{{"message":"{message}","type":"{kind}","param":null,"code":"{code}"}}}}"#)
}

/// A JSON document.
pub(crate) fn json(status: StatusCode, body: String) -> Response<ServedBody> {
    let mut response = Response::new(ServedBody::whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// 503: as many requests are being answered as the server takes.
pub(crate) fn busy() -> Response<ServedBody> {
    let text = "The server is answering as many requests as it takes; try again in a moment";
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, envelope(text, "unavailable_error", "server_busy"));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// 405; the caller says what is allowed.
pub(crate) fn method() -> Response<ServedBody> {
    json(StatusCode::METHOD_NOT_ALLOWED, envelope("This path takes GET", "invalid_request_error", "method_not_allowed"))
}

/// 403: measures are for those who run the server.
pub(crate) fn metrics() -> Response<ServedBody> {
    let text = "Metrics are for this machine. Whoever runs the server can allow a network: --metrics-allow 10.0.0.0/8";
    json(StatusCode::FORBIDDEN, envelope(text, "permission_error", "metrics_not_allowed"))
}

/// 503: the server is to end.
pub(crate) fn stopping() -> Response<ServedBody> {
    let text = "The server stops; try again in a moment";
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, envelope(text, "unavailable_error", "server_stopping"));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// 429: an address sends more requests a second than it may.
pub(crate) fn rate(limit: u32, wait: Duration) -> Response<ServedBody> {
    let text = format!("Your address has sent more than {limit} requests a second, the most that this server takes; send them more slowly");
    let mut response = json(StatusCode::TOO_MANY_REQUESTS, envelope(&text, "rate_limit_error", "rate_limit_exceeded"));
    let seconds = (wait.as_millis().div_ceil(1000) as u64).max(1);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// 413: a body that is larger than any that is taken.
pub(crate) fn large(limit: u64) -> Response<ServedBody> {
    let text = format!("The request's body has more than {limit} bytes, the most that this server takes");
    json(StatusCode::PAYLOAD_TOO_LARGE, envelope(&text, "invalid_request_error", "request_too_large"))
}

/// 431: more header fields than any client needs.
pub(crate) fn headers(limit: usize) -> Response<ServedBody> {
    let text = format!("The request has more than {limit} header fields, the most that this server takes");
    json(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, envelope(&text, "invalid_request_error", "too_many_headers"))
}

/// 400: for whom it is must be clear (RFC 9112, 3.2): a proxy and this server may otherwise take it for two different hosts.
pub(crate) fn host() -> Response<ServedBody> {
    let text = "A request of HTTP/1.1 has one header field Host";
    json(StatusCode::BAD_REQUEST, envelope(text, "invalid_request_error", "invalid_host"))
}

/// 431: a head that is larger than any that is taken.
pub(crate) fn head(limit: usize) -> Response<ServedBody> {
    let text = format!("The request's head has more than {limit} bytes, the most that this server takes");
    json(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, envelope(&text, "invalid_request_error", "head_too_large"))
}

/// 500: the handler panicked.
pub(crate) fn broken() -> Response<ServedBody> {
    let text = "The request failed inside the server; its log says why";
    json(StatusCode::INTERNAL_SERVER_ERROR, envelope(text, "server_error", "internal"))
}

/// 403: a page of another site.
pub(crate) fn origin() -> Response<ServedBody> {
    let text = "Pages of this origin may not open a WebSocket here. Whoever runs the server can allow it: --allow-origin https://the.page";
    json(StatusCode::FORBIDDEN, envelope(text, "invalid_request_error", "origin_not_allowed"))
}

/// A request for a WebSocket that is malformed; `text` needs no escapes.
pub(crate) fn handshake(status: StatusCode, text: &'static str) -> Response<ServedBody> {
    json(status, envelope(text, "invalid_request_error", "invalid_handshake"))
}

/// 503: as many WebSockets are open as the server takes.
pub(crate) fn sockets() -> Response<ServedBody> {
    let text = "The server has as many WebSockets open as it takes; try again in a moment, or send requests by HTTP";
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, envelope(text, "unavailable_error", "server_busy"));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Tells a connection over the limit why it is closed.
pub(crate) async fn connection(socket: impl AsyncRead + AsyncWrite + Unpin) {
    let body = envelope("The server has as many connections as it takes; try again in a moment", "unavailable_error", "server_busy");
    tell(socket, "503 Service Unavailable\r\nretry-after: 1", &body).await;
}

/// Tells a client that sends plain HTTP where TLS is spoken.
pub(crate) async fn plain(socket: impl AsyncRead + AsyncWrite + Unpin) {
    let body = envelope("This port speaks TLS: use https:// in place of http://", "invalid_request_error", "tls_required");
    tell(socket, "400 Bad Request", &body).await;
}

/// Answers in HTTP/1.1 and closes. What the client had already sent is read, for closing over unread bytes would destroy the answer on its way.
async fn tell(mut socket: impl AsyncRead + AsyncWrite + Unpin, status: &str, body: &str) {
    let answer =
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let _ = timeout(PATIENCE, async {
        socket.write_all(answer.as_bytes()).await?;
        socket.shutdown().await?;
        let mut rest = [0; 4096];
        while socket.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    })
    .await;
}
