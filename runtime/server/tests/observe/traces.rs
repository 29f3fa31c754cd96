//! Spans, as a collector gets them.

use std::{net::SocketAddr, time::Duration};

use hearth_server::{Options, Traces};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpListener, sync::mpsc, time::timeout};

use super::{
    common::{Client, SOON},
    world::{Server, data},
};

/// A collector on a free port that answers with `status`, and the requests that it gets: path and body.
async fn collector(status: &'static str) -> (SocketAddr, mpsc::UnboundedReceiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (sender, receiver) = mpsc::unbounded_channel();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut client = Client { socket, buffer: Vec::new() };
                let head = client.until("\r\n\r\n").await;
                assert!(head.to_ascii_lowercase().contains("content-type: application/json"), "{head}");
                let path = head.split(' ').nth(1).unwrap().to_owned();
                let length =
                    head.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap();
                let body = client.exactly(length).await;
                let _ = sender.send((path, serde_json::from_str(&body).unwrap()));
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
                let _ = client.socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    (address, receiver)
}

async fn server(collector: SocketAddr) -> Server {
    let mut options = Options { drain: Duration::from_millis(50), ..Options::default() };
    options.observe.traces = Some(Traces::start(&format!("http://{collector}")).unwrap());
    Server::start(options).await
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let found = span["attributes"].as_array().unwrap().iter().find(|attribute| attribute["key"] == key);
    found.map_or(&Value::Null, |attribute| attribute["value"].as_object().unwrap().values().next().unwrap())
}

#[tokio::test]
async fn a_chat_is_a_span_of_its_client_s_trace() {
    let (address, mut spans) = collector("200 OK").await;
    let mut server = server(address).await;
    let parent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: vendor=1\r\n";
    server.ask("/whole?q=1", parent).await;
    server.ask("/nothing", "").await;
    server.ask("/health/live", "").await;
    server.ask("/whole", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n").await;
    // Spans that wait leave with the server.
    server.stop();
    server.ended().await;
    let (path, document) = timeout(SOON, spans.recv()).await.unwrap().unwrap();
    assert_eq!(path, "/v1/traces");
    let resource = &document["resourceSpans"][0];
    assert_eq!(resource["resource"]["attributes"][0], serde_json::json!({"key": "service.name", "value": {"stringValue": "hearth"}}));
    let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 2, "probes and what is not sampled have none: {spans:?}");
    let chat = &spans[0];
    assert_eq!((&chat["name"], &chat["kind"]), (&"chat smollm2".into(), &2.into()));
    assert_eq!((&chat["traceId"], &chat["parentSpanId"]), (&"0af7651916cd43dd8448eb211c80319c".into(), &"b7ad6b7169203331".into()));
    assert_eq!(chat["traceState"], "vendor=1");
    let id = chat["spanId"].as_str().unwrap();
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let nanos = |name: &str| chat[name].as_str().unwrap().parse::<u64>().unwrap();
    assert!(nanos("endTimeUnixNano") >= nanos("startTimeUnixNano"));
    for (key, value) in [
        ("gen_ai.operation.name", Value::from("chat")),
        ("gen_ai.request.model", "smollm2".into()),
        ("gen_ai.usage.input_tokens", "12".into()),
        ("gen_ai.usage.output_tokens", "7".into()),
        ("gen_ai.response.time_to_first_chunk", 0.03125.into()),
        ("http.request.method", "GET".into()),
        ("http.route", "/v1/chat/completions".into()),
        ("http.response.status_code", "200".into()),
        ("url.path", "/whole".into()),
        ("server.address", "test".into()),
        ("server.port", "80".into()),
        ("client.address", "127.0.0.1".into()),
        ("error.type", Value::Null),
    ] {
        assert_eq!(attribute(chat, key), &value, "{key}");
    }
    assert_eq!(attribute(chat, "gen_ai.response.finish_reasons")["values"], serde_json::json!([{"stringValue": "stop"}]));
    assert_eq!((&spans[1]["name"], spans[1].get("parentSpanId")), (&"GET".into(), None));
    assert_ne!(spans[1]["traceId"], chat["traceId"]);
}

#[tokio::test]
async fn a_collector_that_is_away_or_refuses_costs_spans_and_nothing_else() {
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (refusing, mut got) = collector("503 Service Unavailable").await;
    for address in [away, refusing] {
        let mut server = server(address).await;
        for _ in 0..3 {
            assert!(server.ask("/whole", "").await.starts_with("HTTP/1.1 200 "));
        }
        server.stop();
        server.ended().await;
    }
    timeout(SOON, got.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_breaks_off_is_an_error() {
    let (address, mut spans) = collector("200 OK").await;
    let mut server = server(address).await;
    let pieces = server.next_stream();
    let mut client = server.connect().await;
    client.get("/stream").await;
    client.head().await;
    pieces.send(data("data: 1\n\n")).unwrap();
    client.until("data: 1").await;
    drop(client);
    pieces.closed().await;
    server.stop();
    server.ended().await;
    let (_, document) = timeout(SOON, spans.recv()).await.unwrap().unwrap();
    let span = &document["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!((attribute(span, "error.type"), &span["status"]["code"]), (&"aborted".into(), &2.into()));
}
