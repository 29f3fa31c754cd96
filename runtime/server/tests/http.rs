//! HTTP/1.1 over raw sockets: keep-alive, junk, slow and large heads, HEAD, streaming, panics.

mod common;

use std::{sync::atomic::Ordering, time::Duration};

use common::Server;
use hearth_server::Options;

#[tokio::test]
async fn keeps_a_connection_for_the_next_request() {
    let server = Server::start(Options::default()).await;
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.get("/").await;
        let (status, _, body) = client.response().await;
        assert_eq!((status, body.as_str()), (200, "hello"));
    }
    server.alive.becomes(0).await;
    assert_eq!(server.handler.peers.load(Ordering::Relaxed), 3, "each request carries the client's address");
}

#[tokio::test]
async fn answers_pipelined_requests_in_order_and_junk_with_400() {
    let server = Server::start(Options::default()).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /health HTTP/1.1\r\nhost: a\r\n\r\n\x01\x02 junk\r\n\r\n").await;
    assert_eq!(client.response().await.2, "hello");
    assert_eq!(client.response().await.2, "ok");
    assert!(client.rest().await.starts_with("HTTP/1.1 400 "));
    assert_eq!(server.status("/").await, 200);
}

#[tokio::test]
async fn a_request_names_one_host() {
    let server = Server::start(Options::default()).await;
    let mut client = server.connect().await;
    for (head, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 200),
        ("GET / HTTP/1.0\r\n\r\n", 200),
    ] {
        client.send(head).await;
        assert_eq!(client.response().await.0, status, "{head}");
    }
}

#[tokio::test]
async fn closes_on_a_slow_head() {
    let server = Server::start(Options { header_timeout: Duration::from_millis(100), ..Options::default() }).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\nx-slow: ").await;
    let rest = client.rest().await;
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{rest}");
    assert_eq!(server.status("/").await, 200);
}

#[tokio::test]
async fn closes_on_silence_but_not_while_it_answers() {
    let server = Server::start(Options { idle: Duration::from_millis(100), ..Options::default() }).await;
    let mut silent = server.connect().await;
    let mut half_a_preface = server.connect().await;
    half_a_preface.send("PRI * HTTP/2").await;
    let chunks = server.next_stream();
    let mut busy = server.connect().await;
    busy.get("/stream").await;
    busy.head().await;
    assert_eq!(silent.rest().await, "");
    assert_eq!(half_a_preface.rest().await, "");
    tokio::time::sleep(Duration::from_millis(300)).await;
    chunks.send(Some("late")).unwrap();
    busy.until("late").await;
}

#[tokio::test]
async fn refuses_a_large_head_with_431() {
    let server = Server::start(Options { header_bytes: 8192, ..Options::default() }).await;
    let mut client = server.connect().await;
    client.send(&format!("GET / HTTP/1.1\r\nhost: a\r\nx-large: {}\r\n\r\n", "x".repeat(20_000))).await;
    assert_eq!(client.head().await.0, 431);
}

#[tokio::test]
async fn head_gets_the_headers_of_get_and_no_body() {
    let server = Server::start(Options::default()).await;
    let mut client = server.connect().await;
    client.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\nGET /health HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let (status, head) = client.head().await;
    assert_eq!(status, 200);
    assert!(head.contains("content-length: 5\r\n"), "{head}");
    assert_eq!(client.response().await.2, "ok", "the next response follows at once");
}

#[tokio::test]
async fn a_chunk_leaves_before_the_next_is_made() {
    let server = Server::start(Options::default()).await;
    let chunks = server.next_stream();
    let mut client = server.connect().await;
    client.get("/stream").await;
    client.head().await;
    for word in ["one", "two", "three"] {
        chunks.send(Some(word)).unwrap();
        client.until(word).await;
    }
    drop(chunks);
    client.until("\r\n0\r\n\r\n").await;
    server.alive.becomes(0).await;
}

#[tokio::test]
async fn a_panic_in_the_handler_is_a_500_and_the_connection_lives() {
    let server = Server::start(Options::default()).await;
    let mut client = server.connect().await;
    client.get("/panic").await;
    let (status, _, body) = client.response().await;
    assert_eq!(status, 500);
    assert!(body.starts_with(r#"{"error":{"message":"#) && body.contains(r#""type":"server_error""#), "{body}");
    assert!(!body.contains("on purpose"), "the client does not see the inside: {body}");
    client.get("/").await;
    assert_eq!(client.response().await.0, 200);
}

#[tokio::test]
async fn a_panic_in_a_body_cuts_the_response_visibly() {
    let server = Server::start(Options::default()).await;
    let chunks = server.next_stream();
    let mut client = server.connect().await;
    client.get("/stream").await;
    chunks.send(Some("begun")).unwrap();
    client.until("begun").await;
    chunks.send(None).unwrap();
    assert!(!client.rest().await.contains("\r\n0\r\n"), "a cut body must not look whole");
    server.alive.becomes(0).await;
    assert_eq!(server.status("/").await, 200);
}

#[tokio::test]
async fn behind_an_answer_before_the_body_follows_the_next_request() {
    let server = Server::start(Options::default()).await;
    let mut client = server.connect().await;
    for path in ["/", "/panic", "/metrics", "/health"] {
        client.send(&format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 30000\r\n\r\n")).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        client.send(&"x".repeat(30_000)).await;
        let (_, head, _) = client.response().await;
        assert!(!head.contains("connection: close"), "{path}: {head}");
    }
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nwords\r\n0\r\n\r\n").await;
    assert_eq!(client.response().await.2, "hello");
    client.get("/").await;
    assert_eq!(client.response().await.2, "hello");
}

#[tokio::test]
async fn says_that_it_closes_behind_a_body_that_it_does_not_read() {
    let server = Server::start(Options::default()).await;
    for (what, fields, sent) in [
        ("it is large", "content-length: 1000000", 200_000),
        ("it does not come", "content-length: 5", 2),
        ("the client waits for a word", "content-length: 5\r\nexpect: 100-continue", 0),
    ] {
        let mut client = server.connect().await;
        client.send(&format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n{}", "x".repeat(sent))).await;
        let (status, head, body) = client.response().await;
        assert_eq!((status, body.as_str()), (200, "hello"), "{what}");
        assert!(head.contains("connection: close\r\n"), "{what}: {head}");
    }
}
