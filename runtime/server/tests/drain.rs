//! The end of a server: what is under way finishes, up to a deadline.

mod common;

use std::time::Duration;

use common::Server;
use hearth_server::Options;
use tokio::net::TcpStream;

#[tokio::test]
async fn streams_under_way_finish_and_nothing_new_begins() {
    let mut server = Server::start(Options::default()).await;
    let chunks = server.next_stream();
    let mut client = server.connect().await;
    let mut idle = server.connect().await;
    idle.get("/").await;
    idle.response().await;
    client.get("/stream").await;
    chunks.send(Some("before")).unwrap();
    client.until("before").await;
    server.stop();
    assert_eq!(idle.rest().await, "", "a connection without requests is closed");
    assert!(TcpStream::connect(server.address).await.is_err(), "no one listens any more");
    chunks.send(Some("after")).unwrap();
    client.until("after").await;
    assert!(!server.has_ended());
    drop(chunks);
    client.until("\r\n0\r\n\r\n").await;
    assert_eq!(client.rest().await, "");
    server.ended().await;
}

#[tokio::test]
async fn the_deadline_cuts_what_is_left() {
    let mut server = Server::start(Options { drain: Duration::from_millis(100), ..Options::default() }).await;
    let chunks = server.next_stream();
    let mut streaming = server.connect().await;
    streaming.get("/stream").await;
    streaming.head().await;
    let mut hanging = server.connect().await;
    hanging.get("/hang").await;
    server.alive.becomes(2).await;
    let alive = server.alive.clone();
    server.stop();
    assert!(!streaming.rest().await.contains("0\r\n\r\n"), "a cut stream must not look whole");
    let refused = hanging.rest().await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("server_stopping"), "what was never answered is told so: {refused}");
    server.ended().await;
    alive.becomes(0).await;
    assert!(chunks.is_closed());
}
