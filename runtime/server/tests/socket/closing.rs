//! How sockets end: each close code, lost connections, and the end of the server.

use std::time::{Duration, Instant};

use hearth_server::{Options, SocketOptions};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::{
    Bytes, Message,
    protocol::{
        CloseFrame,
        frame::{
            Frame,
            coding::{Data, OpCode},
        },
    },
};

use crate::{
    common::SOON,
    world::{Socket, World, opening},
};

fn options(socket: SocketOptions) -> Options {
    Options { socket, ..Options::default() }
}

#[tokio::test]
async fn a_client_that_closes_gets_its_code_back_and_takes_its_chats_along() {
    let world = World::start(Options::default()).await;
    let mut socket = world.socket().await;
    socket.open("a", json!({})).await;
    let asked = world.asked().await;
    socket.frame(Message::Close(Some(CloseFrame { code: 1000.into(), reason: "".into() }))).await;
    assert_eq!(socket.closed().await.0, 1000);
    world.alive.becomes(0).await;
    assert!(asked.is_dropped());
}

#[tokio::test]
async fn what_is_no_message_closes_with_its_code() {
    let world = World::start(options(SocketOptions { message_bytes: 1000, ..SocketOptions::default() })).await;
    let raw =
        |data: Data, fin: bool, bytes: &'static [u8]| Message::Frame(Frame::message(Bytes::from_static(bytes), OpCode::Data(data), fin));
    let large = json!({"type": "open", "id": "a", "body": {"x": "x".repeat(2000)}}).to_string();
    for (frames, code) in [
        (vec![Message::binary(&b"{}"[..])], 1003),
        (vec![raw(Data::Text, true, b"\"\xff\"")], 1007),
        (vec![raw(Data::Text, false, b"\"\xc3"), raw(Data::Continue, true, b"\"")], 1007),
        (vec![Message::text(large.clone())], 1009),
        (vec![raw(Data::Text, false, &[b' '; 600]), raw(Data::Continue, true, &[b' '; 600])], 1009),
        (vec![raw(Data::Continue, true, b"")], 1002),
        (vec![raw(Data::Reserved(3), true, b"")], 1002),
    ] {
        let mut socket = world.socket().await;
        socket.open("a", json!({})).await;
        let asked = world.asked().await;
        for frame in frames {
            socket.frame(frame).await;
        }
        assert_eq!(socket.closed().await.0, code);
        world.alive.becomes(0).await;
        assert!(asked.is_dropped());
    }
    // A client must mask its frames.
    let mut client = world.client().await;
    client.send(&opening("/ws", "a", "")).await;
    assert_eq!(client.head().await.0, 101);
    client.socket.write_all(&[0x81, 2, b'{', b'}']).await.unwrap();
    let mut close = [0; 4];
    client.socket.read_exact(&mut close).await.unwrap();
    assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, 1002));
}

#[tokio::test]
async fn a_message_far_too_large_is_refused_before_it_has_come() {
    let world = World::start(Options::default()).await;
    let mut client = world.client().await;
    client.send(&opening("/ws", "a", "")).await;
    assert_eq!(client.head().await.0, 101);
    // A masked text of 2^62 bytes is announced; none of them comes.
    client.socket.write_all(&[0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]).await.unwrap();
    let mut close = [0; 4];
    tokio::time::timeout(SOON, client.socket.read_exact(&mut close)).await.unwrap().unwrap();
    assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, 1009));
}

#[tokio::test]
async fn silence_is_asked_about_and_then_ends() {
    let short = Duration::from_millis(100);
    let world = World::start(options(SocketOptions { ping: short, ..SocketOptions::default() })).await;
    // One that answers pings, as any library does while it reads.
    let mut alive = world.socket().await;
    alive.open("a", json!({})).await;
    let asked = world.asked().await;
    let start = Instant::now();
    while start.elapsed() < short * 8 {
        assert!(matches!(alive.next().await, Message::Ping(_)));
    }
    asked.say("late");
    assert_eq!(alive.heard().await["data"]["piece"]["text"], "late");
    // One that does not.
    let mut client = world.client().await;
    client.send(&opening("/ws", "a", "")).await;
    assert_eq!(client.head().await.0, 101);
    let rest = client.bytes().await;
    assert_eq!(rest[..2], [0x89, 0], "a ping");
    let code = u16::from_be_bytes([rest[4], rest[5]]);
    assert_eq!((rest[2], code), (0x88, 1011));
}

#[tokio::test]
async fn a_socket_without_use_is_closed_but_not_while_it_answers() {
    let world = World::start(options(SocketOptions { idle: Duration::from_millis(200), ..SocketOptions::default() })).await;
    let unused = world.socket().await;
    let mut used = world.socket().await;
    used.open("a", json!({})).await;
    let asked = world.asked().await;
    assert_eq!(unused.closed().await.0, 1001);
    tokio::time::sleep(Duration::from_millis(300)).await;
    asked.say("late");
    asked.done();
    assert_eq!(used.turn("a").await.len(), 2);
    assert_eq!(used.closed().await.0, 1001);
}

#[tokio::test]
async fn a_lost_connection_leaves_nothing_behind() {
    // As many permits as chats: were one lost, the next round would not get its.
    let world = World::start(Options { requests: 4, sockets: 2, wait: Duration::from_millis(500), ..Options::default() }).await;
    for round in 0..4 {
        let mut sockets = Vec::new();
        for _ in 0..2 {
            // The place of the round before is free once the server has noticed.
            let mut socket = loop {
                let mut client = world.client().await;
                client.send(&opening("/ws", "a", "")).await;
                match client.head().await.0 {
                    101 => {
                        break Socket(
                            tokio_tungstenite::WebSocketStream::from_raw_socket(
                                client.socket,
                                tokio_tungstenite::tungstenite::protocol::Role::Client,
                                None,
                            )
                            .await,
                        );
                    }
                    status => assert_eq!(status, 503),
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            };
            for id in ["a", "b"] {
                socket.open(id, json!({})).await;
                world.asked().await.say("begun");
                assert!(["event", "error"].contains(&socket.heard().await["type"].as_str().unwrap()));
            }
            for id in ["a", "b"] {
                socket.open(id, json!({"do": "endless"})).await;
            }
            sockets.push(socket);
        }
        for socket in sockets {
            let tcp = socket.0.into_inner();
            if round % 2 == 0 {
                // A reset, in place of an end.
                tcp.set_zero_linger().unwrap();
            }
            drop(tcp);
        }
        world.alive.becomes(0).await;
    }
    let mut client = world.client().await;
    client.get("/elsewhere").await;
    assert_eq!(client.response().await.0, 404);
}

#[tokio::test]
async fn a_server_that_stops_lets_answers_end() {
    let mut world = World::start(Options::default()).await;
    let idle = world.socket().await;
    let mut busy = world.socket().await;
    busy.open("a", json!({})).await;
    let asked = world.asked().await;
    world.stop();
    assert_eq!(idle.closed().await.0, 1001);
    busy.open("b", json!({})).await;
    let refused = busy.heard().await;
    assert_eq!((&refused["status"], &refused["error"]["code"]), (&json!(503), &json!("shutting_down")));
    asked.say("last words");
    asked.done();
    assert_eq!(busy.turn("a").await.len(), 2);
    assert_eq!(busy.closed().await.0, 1001);
    world.ended().await;
}

#[tokio::test]
async fn the_deadline_cuts_sockets_too_and_they_are_told() {
    let mut world = World::start(Options { drain: Duration::from_millis(100), ..Options::default() }).await;
    let mut socket = world.socket().await;
    socket.open("a", json!({})).await;
    let asked = world.asked().await;
    let alive = world.alive.clone();
    world.stop();
    assert_eq!(socket.heard().await["error"]["code"], "server_stopping");
    assert_eq!(socket.closed().await.0, 1001);
    world.ended().await;
    alive.becomes(0).await;
    assert!(asked.is_dropped());
}
