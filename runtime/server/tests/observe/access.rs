//! Each request has one access line, whatever becomes of it.

use hearth_server::Options;

use super::world::{Server, data, field, line, lines, trailers};

#[tokio::test]
async fn a_whole_answer_tells_what_the_handler_told_and_the_client_sees_none_of_it() {
    let server = Server::start(Options::default()).await;
    let answer = server.ask("/whole?secret=1", "x-request-id: mine-1\r\n").await;
    assert!(!answer.contains("hearth-log"), "{answer}");
    assert_eq!((field(&answer, "x-request-id"), field(&answer, "x-seen-id")), (Some("mine-1"), Some("mine-1")));
    let line = line("mine-1").await;
    for (name, value) in [
        ("method", serde_json::json!("GET")),
        ("path", "/whole".into()),
        ("status", 200.into()),
        ("outcome", "complete".into()),
        ("bytes", 2.into()),
        ("key", "0011".into()),
        ("model", "smollm2".into()),
        ("prompt_tokens", 12.into()),
        ("cached_tokens", 4.into()),
        ("completion_tokens", 7.into()),
        ("ttft_ms", 31.25.into()),
        ("finish", "stop".into()),
    ] {
        assert_eq!(line[name], value, "{name} in {line}");
    }
    assert!(line["duration_ms"].is_number() && line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert!(!line.to_string().contains("secret"));
}

#[tokio::test]
async fn a_stream_tells_it_in_trailers_of_which_the_client_sees_its_own() {
    let server = Server::start(Options::default()).await;
    let pieces = server.next_stream();
    let mut client = server.connect().await;
    client.send("GET /stream HTTP/1.1\r\nhost: a\r\nte: trailers\r\nx-request-id: stream-1\r\n\r\n").await;
    client.head().await;
    pieces.send(data("data: 1\n\n")).unwrap();
    client.until("data: 1\n\n").await;
    assert_eq!(lines("stream-1").len(), 0, "it is written when the body has ended");
    pieces.send(trailers(&[("hearth-log-completion-tokens", "9"), ("hearth-log-finish", "length")])).unwrap();
    drop(pieces);
    assert_eq!(client.until("0\r\n\r\n").await, "\r\n0\r\n\r\n");
    let line = line("stream-1").await;
    assert_eq!((&line["completion_tokens"], &line["finish"], &line["outcome"]), (&9.into(), &"length".into(), &"complete".into()));
    assert_eq!((&line["model"], &line["bytes"]), (&"smollm2".into(), &9.into()));
    // The connection is good for the next.
    client.get("/whole").await;
    assert_eq!(client.head().await.0, 200);
}

#[tokio::test]
async fn whoever_goes_away_is_aborted_with_an_answer_or_without() {
    let server = Server::start(Options::default()).await;
    let pieces = server.next_stream();
    let mut reading = server.connect().await;
    reading.send("GET /stream HTTP/1.1\r\nhost: a\r\nx-request-id: gone-1\r\n\r\n").await;
    reading.head().await;
    pieces.send(data("data: 1\n\n")).unwrap();
    reading.until("data: 1").await;
    let mut waiting = server.connect().await;
    waiting.send("GET /hang HTTP/1.1\r\nhost: a\r\nx-request-id: gone-2\r\n\r\n").await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    drop((reading, waiting));
    let (reading, waiting) = (line("gone-1").await, line("gone-2").await);
    assert_eq!((&reading["outcome"], &reading["status"], &reading["bytes"]), (&"aborted".into(), &200.into(), &9.into()));
    assert_eq!((&waiting["outcome"], waiting.get("status")), (&"aborted".into(), None));
}

#[tokio::test]
async fn failures_refusals_and_the_server_s_own_answers_have_theirs() {
    let server = Server::start(Options { requests: 1, wait: std::time::Duration::from_millis(20), ..Options::default() }).await;
    let pieces = server.next_stream();
    let mut holding = server.connect().await;
    holding.send("GET /stream HTTP/1.1\r\nhost: a\r\nx-request-id: own-hold\r\n\r\n").await;
    holding.head().await;
    server.ask("/whole", "x-request-id: own-busy\r\n").await;
    pieces.send(Err("broken on purpose")).unwrap();
    holding.rest().await;
    for (path, id) in [("/panic", "own-panic"), ("/refused", "own-refused"), ("/health/live", "own-live"), ("/metrics", "own-metrics")] {
        server.ask(path, &format!("x-request-id: {id}\r\n")).await;
    }
    for (id, status, outcome) in [
        ("own-busy", 503, "complete"),
        ("own-hold", 200, "failed"),
        ("own-panic", 500, "complete"),
        ("own-refused", 429, "complete"),
        ("own-live", 200, "complete"),
        ("own-metrics", 200, "complete"),
    ] {
        let line = line(id).await;
        assert_eq!((&line["status"], &line["outcome"]), (&status.into(), &outcome.into()), "{line}");
    }
}

#[tokio::test]
async fn an_id_that_is_not_sane_is_replaced() {
    let server = Server::start(Options::default()).await;
    for fields in
        ["", "x-request-id: two words\r\n", &format!("x-request-id: {}\r\n", "x".repeat(129)), "x-request-id: a\r\nx-request-id: b\r\n"]
    {
        let answer = server.ask("/whole", fields).await;
        let id = field(&answer, "x-request-id").unwrap();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{answer}");
        assert_eq!(field(&answer, "x-seen-id"), Some(id), "the handler knows it by the same");
        line(id).await;
    }
}

#[tokio::test]
async fn head_and_pipelined_requests_have_one_each() {
    let server = Server::start(Options::default()).await;
    let mut client = server.connect().await;
    client.send("HEAD /whole HTTP/1.1\r\nhost: a\r\nx-request-id: p-1\r\n\r\nGET /whole HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-request-id: p-2\r\n\r\n").await;
    client.rest().await;
    for (id, bytes) in [("p-1", 0), ("p-2", 2)] {
        let line = line(id).await;
        assert_eq!((&line["bytes"], &line["outcome"]), (&bytes.into(), &"complete".into()), "{line}");
    }
}
