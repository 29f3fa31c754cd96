//! HTTP/2 with prior knowledge.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{SOON, Server};
use h2::client::SendRequest;
use hearth_server::Options;
use http::{Method, Request};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

async fn connect(server: &Server) -> (SendRequest<Bytes>, JoinHandle<()>) {
    let socket = TcpStream::connect(server.address).await.unwrap();
    let (client, connection) = h2::client::handshake(socket).await.unwrap();
    let task = tokio::spawn(async move {
        let _ = connection.await;
    });
    (client.ready().await.unwrap(), task)
}

fn request(method: Method, path: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("http://test{path}")).body(()).unwrap()
}

#[tokio::test]
async fn serves_streams_side_by_side() {
    let server = Server::start(Options::default()).await;
    let chunks = server.next_stream();
    let (mut client, _connection) = connect(&server).await;
    let (slow, _) = client.send_request(request(Method::GET, "/stream"), true).unwrap();
    let mut slow = slow.await.unwrap().into_body();
    let (quick, _) = client.send_request(request(Method::GET, "/"), true).unwrap();
    let quick = quick.await.unwrap();
    assert_eq!(quick.headers()["content-length"], "5");
    assert_eq!(quick.into_body().data().await.unwrap().unwrap(), "hello");
    chunks.send(Some("token")).unwrap();
    assert_eq!(timeout(SOON, slow.data()).await.unwrap().unwrap().unwrap(), "token");
    let (head, _) = client.send_request(request(Method::HEAD, "/"), true).unwrap();
    let head = head.await.unwrap();
    assert_eq!(head.headers()["content-length"], "5");
    assert!(head.into_body().data().await.is_none());
}

#[tokio::test]
async fn a_reset_stream_or_lost_connection_drops_the_body() {
    let server = Server::start(Options::default()).await;
    let (first, second) = (server.next_stream(), server.next_stream());
    let (mut client, connection) = connect(&server).await;
    let (response, mut stream) = client.send_request(request(Method::GET, "/stream"), false).unwrap();
    let response = response.await.unwrap();
    let (other, _) = client.send_request(request(Method::GET, "/stream"), true).unwrap();
    let other = other.await.unwrap();
    server.alive.becomes(2).await;
    stream.send_reset(h2::Reason::CANCEL);
    server.alive.becomes(1).await;
    assert!(first.is_closed() && !second.is_closed());
    let (_hanging, _) = client.send_request(request(Method::GET, "/hang"), true).unwrap();
    server.alive.becomes(2).await;
    connection.abort();
    drop((client, response, other));
    server.alive.becomes(0).await;
}

#[tokio::test]
async fn drains_and_cuts() {
    let mut server = Server::start(Options { drain: Duration::from_millis(200), ..Options::default() }).await;
    let (ending, _endless) = (server.next_stream(), server.next_stream());
    let (mut client, _connection) = connect(&server).await;
    let (first, _) = client.send_request(request(Method::GET, "/stream"), true).unwrap();
    let mut first = first.await.unwrap().into_body();
    let (second, _) = client.send_request(request(Method::GET, "/stream"), true).unwrap();
    let mut second = second.await.unwrap().into_body();
    server.stop();
    ending.send(Some("last words")).unwrap();
    drop(ending);
    assert_eq!(timeout(SOON, first.data()).await.unwrap().unwrap().unwrap(), "last words");
    assert!(timeout(SOON, first.data()).await.unwrap().is_none(), "ended as it should");
    assert!(timeout(SOON, second.data()).await.unwrap().is_none_or(|frame| frame.is_err()), "cut");
    let alive = server.alive.clone();
    server.ended().await;
    alive.becomes(0).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = Server::start(Options { idle: Duration::from_millis(100), ..Options::default() }).await;
    let (_client, connection) = connect(&server).await;
    timeout(SOON, connection).await.expect("the server closes").unwrap();
}
