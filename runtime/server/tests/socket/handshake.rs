//! Who may open a socket, and how: over HTTP/1.1 and HTTP/2.

use bytes::Bytes;
use hearth_server::{Options, SocketOptions};
use http::{Method, Request};
use serde_json::json;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    common::SOON,
    world::{World, opening},
};

#[tokio::test]
async fn what_opens_no_socket_gets_an_answer_that_says_why() {
    let world = World::start(Options::default()).await;
    let fine = opening("/ws", "a", "");
    for (request, status, expected) in [
        ("GET /ws HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), 426, "websocket"),
        (opening("/elsewhere", "a", ""), 404, "nothing here"),
        (opening("/old", "a", ""), 426, "something newer"),
        (fine.replace("version: 13", "version: 8"), 426, "not 13"),
        (fine.replace("sec-websocket-version: 13\r\n", ""), 426, "not 13"),
        (fine.replace("dGhl", "x"), 400, "sec-websocket-key"),
        (fine.replace("sec-websocket-key", "x-key"), 400, "sec-websocket-key"),
        (fine.replace("GET", "PUT"), 404, "nothing here"),
    ] {
        let mut client = world.client().await;
        client.send(&request).await;
        let (found, head, body) = client.response().await;
        assert!(found == status && body.contains(expected), "{request}{head}{body}");
        assert_eq!(head.contains("\r\nupgrade: websocket\r\n"), status == 426 && !expected.contains("13"), "{head}");
        assert_eq!(head.contains("sec-websocket-version: 13"), expected.contains("13"), "{head}");
        client.get("/elsewhere").await;
        assert_eq!(client.response().await.0, 404, "the connection goes on");
    }
}

#[tokio::test]
async fn a_page_of_another_site_opens_nothing() {
    let socket = SocketOptions { origins: vec!["https://friend.example".to_owned()], ..SocketOptions::default() };
    let world = World::start(Options { socket, ..Options::default() }).await;
    for (origin, status) in [
        ("http://me.example:81", 101),
        ("https://friend.example", 101),
        ("http://evil.example", 403),
        ("http://me.example", 403),
        ("http://me.example.evil.example:81", 403),
        ("null", 403),
        ("http://me.example:81\r\norigin: http://evil.example", 403),
    ] {
        let mut client = world.client().await;
        client.send(&opening("/ws", "me.example:81", &format!("origin: {origin}\r\n"))).await;
        let (found, head) = client.head().await;
        assert_eq!(found, status, "{origin}: {head}");
    }
    let mut client = world.client().await;
    client.send(&opening("/ws", "me.example:81", "origin: http://evil.example\r\n")).await;
    let body = client.response().await.2;
    assert!(body.contains("--allow-origin") && body.contains("origin_not_allowed"), "{body}");
}

/// RFC 8441: a socket is a stream of an HTTP/2 connection beside others.
#[tokio::test]
async fn opens_over_http2() {
    let mut world = World::start(Options::default()).await;
    let tcp = TcpStream::connect(world.address).await.unwrap();
    let (client, connection) = h2::client::handshake(tcp).await.unwrap();
    let connection = tokio::spawn(async move {
        let _ = connection.await;
    });
    let mut client = client.ready().await.unwrap();
    // The server's settings come with its first answer.
    let request = |method: Method, path: &str| Request::builder().method(method).uri(format!("http://me.example{path}")).body(()).unwrap();
    let (plain, _) = client.send_request(request(Method::GET, "/elsewhere"), true).unwrap();
    assert_eq!(plain.await.unwrap().status(), 404);
    assert!(client.is_extended_connect_protocol_enabled());
    let connect = |origin: &'static str| {
        let mut request = request(Method::CONNECT, "/ws");
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        request.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
        request.headers_mut().insert("origin", origin.parse().unwrap());
        request
    };
    let (refused, _) = client.send_request(connect("http://evil.example"), false).unwrap();
    assert_eq!(refused.await.unwrap().status(), 403);

    let open = Bytes::from_static(b"\x81\xac\0\0\0\0{\"type\":\"open\",\"id\":\"a\",\"body\":{\"turns\":[]}}");
    assert_eq!(open.len(), 6 + 0x2c, "one masked frame");
    let mut streams = Vec::new();
    for _ in 0..2 {
        let (response, mut stream) = client.send_request(connect("http://me.example"), false).unwrap();
        let response = timeout(SOON, response).await.unwrap().unwrap();
        assert_eq!(response.status(), 200);
        stream.send_data(open.clone(), false).unwrap();
        let asked = world.asked().await;
        assert_eq!(asked.headers.get("host"), None);
        asked.say("hello");
        let mut body = response.into_body();
        let data = timeout(SOON, body.data()).await.unwrap().unwrap().unwrap();
        assert_eq!(data.last(), Some(&b'}'));
        let text = json!({"type": "event", "id": "a", "data": {"piece": {"role": "r", "text": "hello"}}}).to_string();
        assert_eq!(&data[2..], text.as_bytes());
        streams.push((stream, body, asked));
    }
    world.alive.becomes(2).await;
    // A stream that is reset takes its own chat along.
    let (mut first, _, asked) = streams.remove(0);
    first.send_reset(h2::Reason::CANCEL);
    world.alive.becomes(1).await;
    assert!(asked.is_dropped());
    // The end of the server waits for the other's answer.
    world.stop();
    let (_second, mut body, asked) = streams.remove(0);
    asked.done();
    let mut rest = Vec::new();
    while let Some(Ok(data)) = timeout(SOON, body.data()).await.expect("the stream ends") {
        rest.extend(data);
    }
    let close = rest.windows(4).any(|window| window[0] == 0x88 && window[2..] == 1001_u16.to_be_bytes());
    assert!(close, "{rest:?}");
    drop((client, body));
    world.ended().await;
    let _ = timeout(SOON, connection).await.expect("the connection ends");
}
