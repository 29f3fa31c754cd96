//! Disconnects, permits and the limit of connections.

mod common;

use std::time::Duration;

use common::Server;
use hearth_server::Options;

fn one_request() -> Options {
    Options { requests: 1, wait: Duration::from_millis(50), ..Options::default() }
}

#[tokio::test]
async fn a_client_that_goes_takes_its_body_and_permit_along() {
    let server = Server::start(one_request()).await;
    let chunks = server.next_stream();
    let mut client = server.connect().await;
    client.get("/stream").await;
    chunks.send(Some("begun")).unwrap();
    client.until("begun").await;
    drop(client);
    // No further chunk is sent: the going alone must be noticed.
    server.alive.becomes(0).await;
    assert!(chunks.is_closed());
    assert_eq!(server.status("/").await, 200);
}

#[tokio::test]
async fn a_client_that_goes_before_the_answer_drops_the_handler() {
    let server = Server::start(one_request()).await;
    let mut client = server.connect().await;
    client.get("/hang").await;
    server.alive.becomes(1).await;
    drop(client);
    server.alive.becomes(0).await;
    assert_eq!(server.status("/").await, 200);
}

#[tokio::test]
async fn a_permit_is_held_until_the_body_ends() {
    let server = Server::start(one_request()).await;
    let chunks = server.next_stream();
    let mut first = server.connect().await;
    first.get("/stream").await;
    first.head().await;
    let mut second = server.connect().await;
    second.get("/").await;
    let (status, head, body) = second.response().await;
    assert_eq!(status, 503, "the head of the first response has gone, its body not");
    assert!(head.contains("retry-after: 1\r\n"), "{head}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["error"]["code"], "server_busy");
    assert_eq!(body["error"]["type"], "unavailable_error");
    assert_eq!(server.status("/health").await, 200, "a probe needs no permit");
    drop(chunks);
    first.until("0\r\n\r\n").await;
    second.get("/").await;
    assert_eq!(second.response().await.0, 200, "on the connection that was refused before");
}

#[tokio::test]
async fn a_request_waits_its_turn_within_the_bound() {
    let server = Server::start(Options { requests: 1, wait: Duration::from_secs(60), ..Options::default() }).await;
    let chunks = server.next_stream();
    let mut first = server.connect().await;
    first.get("/stream").await;
    first.head().await;
    let mut second = server.connect().await;
    second.get("/").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(chunks);
    assert_eq!(second.response().await.0, 200);
}

#[tokio::test]
async fn a_panic_gives_the_permit_back() {
    let server = Server::start(one_request()).await;
    for _ in 0..3 {
        assert_eq!(server.status("/panic").await, 500);
    }
    assert_eq!(server.status("/").await, 200);
}

#[tokio::test]
async fn connections_over_the_limit_are_told_so() {
    let server = Server::start(Options { connections: 1, ..Options::default() }).await;
    let mut first = server.connect().await;
    first.get("/").await;
    assert_eq!(first.response().await.0, 200);
    let mut second = server.connect().await;
    second.get("/").await;
    let (status, head, body) = second.response().await;
    assert_eq!(status, 503);
    assert!(head.contains("retry-after: 1\r\n") && head.contains("connection: close\r\n"), "{head}");
    assert!(serde_json::from_str::<serde_json::Value>(&body).unwrap()["error"]["message"].is_string());
    assert_eq!(second.rest().await, "");
    drop(first);
    // The server notices the going in its own time.
    for attempt in 0.. {
        if server.status("/").await == 200 {
            break;
        }
        assert!(attempt < 1000, "the first connection's place was never free again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
