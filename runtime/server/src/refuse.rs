//! Answers that are the server's own: full, or broken inside. Their bodies have the shape that OpenAI's clients read.

use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
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
pub(crate) fn json<B>(status: StatusCode, body: String) -> Response<ServedBody<B>> {
    let mut response = Response::new(ServedBody::whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// 503: as many requests are being answered as the server takes.
pub(crate) fn busy<B>() -> Response<ServedBody<B>> {
    let text = "The server is answering as many requests as it takes; try again in a moment";
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, envelope(text, "unavailable_error", "server_busy"));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// 405; the caller says what is allowed.
pub(crate) fn method<B>() -> Response<ServedBody<B>> {
    json(StatusCode::METHOD_NOT_ALLOWED, envelope("This path takes GET", "invalid_request_error", "method_not_allowed"))
}

/// 403: measures are for those who run the server.
pub(crate) fn metrics<B>() -> Response<ServedBody<B>> {
    let text = "Metrics are for this machine. Whoever runs the server can allow a network: --metrics-allow 10.0.0.0/8";
    json(StatusCode::FORBIDDEN, envelope(text, "permission_error", "metrics_not_allowed"))
}

/// 503: the server is to end.
pub(crate) fn stopping<B>() -> Response<ServedBody<B>> {
    let text = "The server stops; try again in a moment";
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, envelope(text, "unavailable_error", "server_stopping"));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// 500: the handler panicked.
pub(crate) fn broken<B>() -> Response<ServedBody<B>> {
    let text = "The request failed inside the server; its log says why";
    json(StatusCode::INTERNAL_SERVER_ERROR, envelope(text, "server_error", "internal"))
}

/// 403: a page of another site.
pub(crate) fn origin<B>() -> Response<ServedBody<B>> {
    let text = "Pages of this origin may not open a WebSocket here. Whoever runs the server can allow it: --allow-origin https://the.page";
    json(StatusCode::FORBIDDEN, envelope(text, "invalid_request_error", "origin_not_allowed"))
}

/// A request for a WebSocket that is malformed; `text` needs no escapes.
pub(crate) fn handshake<B>(status: StatusCode, text: &'static str) -> Response<ServedBody<B>> {
    json(status, envelope(text, "invalid_request_error", "invalid_handshake"))
}

/// 503: as many WebSockets are open as the server takes.
pub(crate) fn sockets<B>() -> Response<ServedBody<B>> {
    let text = "The server has as many WebSockets open as it takes; try again in a moment, or send requests by HTTP";
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, envelope(text, "unavailable_error", "server_busy"));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Tells a connection over the limit why it is closed. What the client had already sent is read, for closing over unread bytes would destroy the answer on its way.
pub(crate) async fn connection(mut socket: TcpStream) {
    let body = envelope("The server has as many connections as it takes; try again in a moment", "unavailable_error", "server_busy");
    let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n";
    let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let _ = timeout(PATIENCE, async {
        socket.write_all(answer.as_bytes()).await?;
        socket.shutdown().await?;
        let mut rest = [0; 4096];
        while socket.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    })
    .await;
}
