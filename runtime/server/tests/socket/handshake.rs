//! Who may open a socket, and how: over HTTP/1.1 and HTTP/2.

use std::time::Duration;

use bytes::Bytes;
use h2::{RecvStream, SendStream, client::SendRequest};
use hearth_server::{Options, SocketOptions};
use http::{Method, Request};
use serde_json::json;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

use crate::{
    common::SOON,
    world::{Asked, World, opening},
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

/// A client of HTTP/2 and of the streams of it that are sockets (RFC 8441).
struct Http2 {
    client: SendRequest<Bytes>,
    connection: JoinHandle<()>,
}

impl Http2 {
    async fn connect(world: &World) -> Self {
        let tcp = TcpStream::connect(world.address).await.unwrap();
        let (client, connection) = h2::client::handshake(tcp).await.unwrap();
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        let mut client = client.ready().await.unwrap();
        // The server's settings come before its first answer.
        let plain = Request::builder().uri("http://me.example/elsewhere").body(()).unwrap();
        let (plain, _) = client.send_request(plain, true).unwrap();
        assert_eq!(plain.await.unwrap().status(), 404);
        assert!(client.is_extended_connect_protocol_enabled());
        Self { client, connection }
    }

    async fn open(&mut self, path: &str, origin: &str) -> (u16, SendStream<Bytes>, RecvStream) {
        let mut request = Request::builder().method(Method::CONNECT).uri(format!("http://me.example{path}")).body(()).unwrap();
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        request.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
        request.headers_mut().insert("origin", origin.parse().unwrap());
        let (response, stream) = self.client.send_request(request, false).unwrap();
        let response = timeout(SOON, response).await.unwrap().unwrap();
        (response.status().as_u16(), stream, response.into_body())
    }

    /// A socket with a chat that has begun.
    async fn chat(&mut self, world: &World) -> (SendStream<Bytes>, RecvStream, Asked) {
        let (status, mut stream, mut body) = self.open("/ws", "http://me.example").await;
        assert_eq!(status, 200);
        let open = Bytes::from_static(b"\x81\xac\0\0\0\0{\"type\":\"open\",\"id\":\"a\",\"body\":{\"turns\":[]}}");
        assert_eq!(open.len(), 6 + 0x2c, "one masked frame");
        stream.send_data(open, false).unwrap();
        let asked = world.asked().await;
        asked.say("hello");
        let data = timeout(SOON, body.data()).await.unwrap().unwrap().unwrap();
        let text = json!({"type": "event", "id": "a", "data": {"piece": {"role": "r", "text": "hello"}}}).to_string();
        assert_eq!(&data[2..], text.as_bytes());
        (stream, body, asked)
    }
}

#[tokio::test]
async fn opens_over_http2() {
    let mut world = World::start(Options::default()).await;
    let mut http2 = Http2::connect(&world).await;
    for (path, origin, expected) in
        [("/ws", "http://evil.example", 403), ("/elsewhere", "http://me.example", 404), ("/page", "http://me.example", 404)]
    {
        assert_eq!(http2.open(path, origin).await.0, expected, "{path}");
    }
    let (mut first, _, asked) = http2.chat(&world).await;
    let (_second, mut body, other) = http2.chat(&world).await;
    world.alive.becomes(2).await;
    // A stream that is reset takes its own chat along.
    first.send_reset(h2::Reason::CANCEL);
    world.alive.becomes(1).await;
    assert!(asked.is_dropped());
    // The end of the server waits for the other's answer.
    world.stop();
    other.done();
    let mut rest = Vec::new();
    while let Some(Ok(data)) = timeout(SOON, body.data()).await.expect("the stream ends") {
        rest.extend(data);
    }
    assert!(rest.windows(4).any(|window| window[0] == 0x88 && window[2..] == 1001_u16.to_be_bytes()), "{rest:?}");
    drop(http2.client);
    world.ended().await;
    timeout(SOON, http2.connection).await.expect("the connection ends").unwrap();
}

#[tokio::test]
async fn a_socket_keeps_its_connection_and_goes_with_it() {
    let world = World::start(Options { idle: Duration::from_millis(100), ..Options::default() }).await;
    let mut socket = world.socket().await;
    let mut http2 = Http2::connect(&world).await;
    let (stream, body, asked) = http2.chat(&world).await;
    asked.done();
    tokio::time::sleep(Duration::from_millis(400)).await;
    socket.is_quiet().await;
    assert!(!http2.connection.is_finished(), "no connection with a socket idles");
    drop((stream, body));
    let (_stream, _body, asked) = http2.chat(&world).await;
    http2.connection.abort();
    world.alive.becomes(0).await;
    assert!(asked.is_dropped());
}
