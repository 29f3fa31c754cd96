//! Clients that keep a server waiting are ended, and those that are only slow are not.

use std::time::{Duration, Instant};

use hearth_server::{Options, Tls};
use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use crate::{
    authority::{Authority, connect, usual},
    common::SOON,
    world::{Folder, World},
};

/// Stands for the 30 seconds of a server, and for the second between two bytes.
const LIMIT: Duration = Duration::from_millis(500);
const STEP: Duration = Duration::from_millis(100);

fn options() -> Options {
    Options { header_timeout: LIMIT, body_timeout: LIMIT, write_timeout: LIMIT, requests: 1, ..Options::default() }
}

/// Sends a byte a step until the server closes; fails when it does not.
async fn drip(socket: &mut TcpStream, byte: u8) {
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < SOON, "a client that sends a byte at a time is never ended");
        if socket.write_all(&[byte]).await.is_err() {
            return;
        }
        let mut buffer = [0; 1024];
        if let Ok(Ok(0) | Err(_)) = timeout(STEP, socket.read(&mut buffer)).await {
            return;
        }
    }
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_not_waited_for() {
    let world = World::start(options()).await;
    let mut client = world.connect().await;
    client.send("GET / HTTP/1.1\r\nx-slow: ").await;
    drip(&mut client.socket, b'x').await;
    assert_eq!(world.status().await, 200);
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_not_waited_for() {
    let world = World::start(options()).await;
    let mut client = world.connect().await;
    client.send("POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\n").await;
    world.alive.becomes(1).await;
    drip(&mut client.socket, b'x').await;
    world.alive.becomes(0).await;
    // A silent one gets to read why.
    let mut client = world.connect().await;
    client.send("POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhalf").await;
    let (status, _, body) = client.response().await;
    assert!(status == 400 && body.contains("too slow"), "{status} {body}");
    assert_eq!(world.status().await, 200, "the one permit is free");
}

#[tokio::test]
async fn a_slow_network_is_no_slow_client() {
    let world = World::start(options()).await;
    let mut client = world.connect().await;
    client.send("POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 40960\r\n\r\n").await;
    for _ in 0..20 {
        sleep(STEP).await;
        client.send(&"x".repeat(2048)).await;
    }
    let (status, _, body) = client.response().await;
    assert_eq!((status, &body[..]), (200, "read 40960"), "four times as long as silence would have been waited for");
}

/// A connection of a client that takes little at a time.
async fn narrow(world: &World) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(world.address).await.unwrap()
}

#[tokio::test]
async fn who_reads_nothing_or_next_to_nothing_loses_the_answer() {
    let world = World::start(options()).await;
    let request = b"GET /endless HTTP/1.1\r\nhost: test\r\n\r\n";
    let mut deaf = narrow(&world).await;
    deaf.write_all(request).await.unwrap();
    world.alive.becomes(1).await;
    world.alive.becomes(0).await;
    assert_eq!(world.status().await, 200, "the one permit is free, though the client holds its end open");

    let mut slow = narrow(&world).await;
    slow.write_all(request).await.unwrap();
    world.alive.becomes(1).await;
    let start = Instant::now();
    while world.alive.count() > 0 {
        assert!(start.elapsed() < SOON, "a client that reads a byte at a time is never ended");
        let _ = slow.read_u8().await;
        sleep(STEP).await;
    }
}

#[tokio::test]
async fn who_reads_steadily_keeps_the_answer() {
    let world = World::start(options()).await;
    let mut client = narrow(&world).await;
    client.write_all(b"GET /endless HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let mut buffer = vec![0; 64 * 1024];
    for _ in 0..20 {
        sleep(STEP).await;
        timeout(SOON, client.read_exact(&mut buffer)).await.unwrap().unwrap();
    }
    assert_eq!(world.alive.count(), 1);
}

/// Over HTTP/2 the socket looks well while one of its streams is never taken: that one alone is ended.
#[tokio::test]
async fn a_stream_that_nobody_takes_is_ended_alone() {
    let world = World::start(Options { requests: 3, ..options() }).await;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(65_535).initial_connection_window_size(1 << 24);
    let (client, connection) = builder.handshake::<_, bytes::Bytes>(TcpStream::connect(world.address).await.unwrap()).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let mut endless = async || {
        let request = Request::get(format!("http://{}/endless", world.address)).body(()).unwrap();
        client.send_request(request, true).unwrap().0.await.unwrap().into_body()
    };
    let (mut taken, mut left) = (endless().await, endless().await);
    world.alive.becomes(2).await;
    // One is read all the time, the other fills its window and stays.
    let reading = tokio::spawn(async move {
        while let Some(chunk) = taken.data().await {
            let length = chunk.expect("it is never ended").len();
            taken.flow_control().release_capacity(length).unwrap();
            sleep(Duration::from_millis(5)).await;
        }
    });
    world.alive.becomes(1).await;
    let ended = timeout(SOON, async {
        loop {
            match left.data().await {
                Some(Ok(_)) => {}
                ended => return ended,
            }
        }
    });
    let reset = ended.await.unwrap().expect("no proper end").unwrap_err();
    assert!(reset.is_reset(), "{reset}");
    sleep(2 * LIMIT).await;
    assert_eq!(world.alive.count(), 1, "who takes his answer keeps it");
    reading.abort();
}

/// A client that opens no window at all, for an answer that is whole.
#[tokio::test]
async fn a_window_that_never_opens_holds_no_permit() {
    let world = World::start(options()).await;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(0);
    let (mut client, connection) = builder.handshake::<_, bytes::Bytes>(TcpStream::connect(world.address).await.unwrap()).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(format!("http://{}/", world.address)).body(()).unwrap();
    let answer = client.send_request(request, true).unwrap().0.await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    assert!(timeout(SOON, body.data()).await.unwrap().unwrap().unwrap_err().is_reset());
    assert_eq!(world.status().await, 200, "the one permit is free");
}

#[tokio::test]
async fn the_same_holds_within_tls() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let (certificate, key) = authority.issue();
    let tls = Tls::files(&folder.write("cert.pem", &certificate), &folder.write("key.pem", &key)).unwrap();
    let world = World::start(Options { tls: Some(tls), ..options() }).await;
    // A handshake that comes byte by byte.
    let mut client = world.connect().await;
    client.send("\u{16}\u{3}\u{1}\u{2}").await;
    drip(&mut client.socket, 1).await;
    let mut deaf = connect(&usual(&authority.pem()), world.address, "localhost").await.unwrap();
    deaf.write_all(b"GET /endless HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    world.alive.becomes(1).await;
    world.alive.becomes(0).await;
}
