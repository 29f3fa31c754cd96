//! Streams that the end of the drain cuts say so, as far as they can.

use std::time::Duration;

use hearth_server::Options;

use super::world::{Server, data, line};

/// All that a client gets of a stream at `path` that has sent `piece` when the drain is over.
async fn cut(path: &str, piece: &'static str, id: &str) -> String {
    let mut server = Server::start(Options { drain: Duration::from_millis(50), ..Options::default() }).await;
    let pieces = server.next_stream();
    let mut client = server.connect().await;
    client.send(&format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\n\r\n")).await;
    client.head().await;
    pieces.send(data(piece)).unwrap();
    client.until(piece).await;
    server.stop();
    let rest = client.rest().await;
    server.ended().await;
    assert_eq!(line(id).await["outcome"], "cut");
    rest
}

#[tokio::test]
async fn events_end_with_an_error_that_each_api_s_clients_know() {
    let rest = cut("/stream", "data: {\"x\":1}\n\n", "cut-1").await;
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "it is the stream's proper end: {rest}");
    let event = rest.split("event: error\ndata: ").nth(1).unwrap_or_else(|| panic!("{rest}"));
    let data: serde_json::Value = serde_json::from_str(event.split("\n\n").next().unwrap()).unwrap();
    assert_eq!((&data["type"], &data["error"]["code"]), (&"error".into(), &"server_stopping".into()));
}

#[tokio::test]
async fn lines_end_with_a_document() {
    let rest = cut("/lines", "{\"x\":1}\n", "cut-2").await;
    assert!(rest.contains("{\"error\":\"the server stops") && rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
}

#[tokio::test]
async fn a_stream_that_stands_in_an_event_is_cut_visibly() {
    let rest = cut("/stream", "data: {\"x\":", "cut-3").await;
    assert!(!rest.contains("error") && !rest.ends_with("0\r\n\r\n"), "{rest}");
}
