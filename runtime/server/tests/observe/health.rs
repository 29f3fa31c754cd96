//! Liveness is the server's word, readiness the handler's until the server shall end.

use std::time::Duration;

use hearth_server::Options;

use super::world::Server;

#[tokio::test]
async fn live_needs_no_handler_and_no_room() {
    let server = Server::start(Options { requests: 0, wait: Duration::from_millis(10), ..Options::default() }).await;
    let live = server.ask("/health/live", "").await;
    assert!(live.starts_with("HTTP/1.1 200 ") && live.ends_with(r#"{"status":"ok"}"#), "{live}");
    assert!(server.ask("/whole", "").await.starts_with("HTTP/1.1 503 "), "no room for others");
    let ready = server.ask("/health/ready", "").await;
    assert!(ready.starts_with("HTTP/1.1 200 ") && ready.contains("handler"), "readiness is the handler's: {ready}");
    let mut client = server.connect().await;
    client.send("HEAD /health/live HTTP/1.1\r\nhost: a\r\n\r\nPOST /health/live HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let rest = client.rest().await;
    assert!(rest.starts_with("HTTP/1.1 200 ") && rest.contains("HTTP/1.1 405 ") && rest.contains("allow: GET, HEAD"), "{rest}");
}

#[tokio::test]
async fn readiness_ends_with_the_notice_and_connections_after_it() {
    let mut server = Server::start(Options { notice: Duration::from_millis(600), ..Options::default() }).await;
    assert!(server.ask("/health", "").await.starts_with("HTTP/1.1 200 "));
    server.stop();
    tokio::time::sleep(Duration::from_millis(100)).await;
    for path in ["/health", "/v1/health", "/health/ready"] {
        let answer = server.ask(path, "").await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("server_stopping"), "{path} {answer}");
    }
    assert!(server.ask("/health/live", "").await.starts_with("HTTP/1.1 200 "));
    assert!(server.ask("/whole", "").await.starts_with("HTTP/1.1 200 "), "others are still answered");
    let address = server.address;
    server.ended().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
