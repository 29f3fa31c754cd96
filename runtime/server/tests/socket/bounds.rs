//! What the client of a socket may hold: permits, chats, bytes, time.

use futures::SinkExt;
use std::{sync::atomic::Ordering, time::Duration};

use hearth_server::{Options, SocketOptions};
use serde_json::json;
use tokio_tungstenite::tungstenite::{
    Bytes, Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use crate::world::{World, opening};

#[tokio::test]
async fn a_chat_holds_a_permit_and_a_socket_none() {
    let world = World::start(Options { requests: 1, wait: Duration::from_millis(50), ..Options::default() }).await;
    let (mut first, mut second) = (world.socket().await, world.socket().await);
    first.open("a", json!({})).await;
    let asked = world.asked().await;
    asked.say("begun");
    first.heard().await;
    for (socket, id) in [(&mut second, "a"), (&mut first, "b")] {
        socket.open(id, json!({})).await;
        let heard = socket.heard().await;
        assert_eq!((&heard["id"], &heard["status"], &heard["error"]["code"]), (&json!(id), &json!(503), &json!("server_busy")));
        assert_eq!(heard["retry_after"], 1);
    }
    asked.done();
    assert_eq!(first.turn("a").await.len(), 1);
    // As soon as the client hears of the end, the place is free.
    second.open("a", json!({})).await;
    let asked = world.asked().await;
    second.send(json!({"type": "cancel", "id": "a"})).await;
    assert_eq!(second.heard().await["type"], "cancelled");
    assert!(asked.is_dropped());
    let mut client = world.client().await;
    client.get("/elsewhere").await;
    assert_eq!(client.response().await.0, 404, "two sockets are open and the only permit is free");
}

#[tokio::test]
async fn chats_and_their_bytes_are_bounded() {
    let socket = SocketOptions { chats: 2, conversation_bytes: 1000, ..SocketOptions::default() };
    let world = World::start(Options { socket, ..Options::default() }).await;
    let mut socket = world.socket().await;
    for id in ["a", "b"] {
        socket.open(id, json!({"turns": ["x".repeat(300)], "do": "echo"})).await;
        assert_eq!(socket.turn(id).await[1], json!({"type": "done", "id": id}));
    }
    socket.open("c", json!({"turns": []})).await;
    let heard = socket.heard().await;
    let text = heard["error"]["message"].as_str().unwrap();
    assert!(heard["id"] == "c" && text.contains("2 chats") && text.contains("close"), "{heard}");
    socket.send(json!({"type": "continue", "id": "a", "turns": ["x".repeat(500)]})).await;
    let heard = socket.heard().await;
    let text = heard["error"]["message"].as_str().unwrap();
    assert!(heard["id"] == "a" && text.contains("1000 bytes") && text.contains("close"), "{heard}");
    // A conversation may grow up to the bound by itself.
    socket.send(json!({"type": "continue", "id": "a", "turns": ["x".repeat(250)]})).await;
    assert_eq!(socket.turn("a").await[1], json!({"type": "done", "id": "a"}));
    // An answer may be longer than what is kept; then it is not kept.
    socket.send(json!({"type": "close", "id": "b"})).await;
    socket.heard().await;
    socket.open("b", json!({"turns": ["x"]})).await;
    let asked = world.asked().await;
    for _ in 0..20 {
        asked.say(&"y".repeat(100));
    }
    asked.done();
    let heard = socket.turn("b").await;
    assert_eq!((heard.len(), heard.last().unwrap()), (21, &json!({"type": "done", "id": "b", "kept": false})));
    socket.send(json!({"type": "continue", "id": "a", "turns": ["z"]})).await;
    assert_eq!(socket.turn("a").await[0]["data"]["piece"]["text"], "5", "the other chat is as it was");
    // While a chat is being answered, it is not asked again.
    socket.open("b", json!({"turns": []})).await;
    let asked = world.asked().await;
    for again in [json!({"type": "open", "id": "b", "body": {}}), json!({"type": "continue", "id": "b", "turns": [1]})] {
        socket.send(again).await;
        let heard = socket.heard().await;
        assert!(heard["error"]["message"].as_str().unwrap().contains("being answered"), "{heard}");
    }
    asked.done();
}

#[tokio::test]
async fn sockets_are_bounded() {
    let world = World::start(Options { sockets: 1, ..Options::default() }).await;
    let socket = world.socket().await;
    let mut client = world.client().await;
    client.send(&opening("/ws", "a", "")).await;
    let (status, head, body) = client.response().await;
    assert!(status == 503 && head.contains("retry-after: 1\r\n") && body.contains("server_busy"), "{head}{body}");
    drop(socket);
    for attempt in 0.. {
        let mut client = world.client().await;
        client.send(&opening("/ws", "a", "")).await;
        if client.head().await.0 == 101 {
            break;
        }
        assert!(attempt < 1000, "the place was never free again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn fragments_make_a_message_and_pings_come_between() {
    let world = World::start(Options::default()).await;
    let mut socket = world.socket().await;
    let text = json!({"type": "open", "id": "\u{1f525}", "body": {"turns": ["\u{e9}"], "do": "echo"}}).to_string();
    let bytes = Bytes::from(text.into_bytes());
    for at in 0..bytes.len() {
        let data = OpCode::Data(if at == 0 { Data::Text } else { Data::Continue });
        socket.frame(Message::Frame(Frame::message(bytes.slice(at..at + 1), data, at + 1 == bytes.len()))).await;
        if at == 20 {
            socket.frame(Message::Ping(Bytes::from_static(b"are you there"))).await;
            assert_eq!(socket.next().await, Message::Pong(Bytes::from_static(b"are you there")));
        }
    }
    assert_eq!(socket.turn("\u{1f525}").await.len(), 2);
}

#[tokio::test]
async fn a_hundred_sockets_at_once_each_get_their_own() {
    let world = std::sync::Arc::new(World::start(Options { requests: 8, wait: Duration::from_secs(20), ..Options::default() }).await);
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let world = world.clone();
            tokio::spawn(async move {
                let mut socket = world.socket().await;
                for turns in 1..=3 {
                    let list = vec![number; turns * (number % 3 + 1)];
                    socket.open("a", json!({"turns": list, "do": "echo"})).await;
                    assert_eq!(socket.turn("a").await[0]["data"]["piece"]["text"], list.len().to_string());
                }
                socket
            })
        })
        .collect();
    let mut sockets = Vec::new();
    for task in tasks {
        sockets.push(task.await.unwrap());
    }
    for socket in &mut sockets {
        socket.is_quiet().await;
    }
    world.alive.becomes(0).await;
}

#[tokio::test]
async fn a_slow_reader_slows_its_own_answers_alone() {
    let world = World::start(Options::default()).await;
    let (mut slow, mut quick) = (world.socket().await, world.socket().await);
    slow.open("a", json!({"do": "endless"})).await;
    slow.open("b", json!({"do": "endless"})).await;
    // The kernel's buffers take some; then no more is asked for.
    let mut before = 0;
    for attempt in 0.. {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let polls = world.polls.load(Ordering::Relaxed);
        if polls > 0 && polls == before {
            break;
        }
        assert!(attempt < 100, "still reading after {polls} chunks that nobody took");
        before = polls;
    }
    quick.open("a", json!({"turns": [], "do": "echo"})).await;
    assert_eq!(quick.turn("a").await.len(), 2);
    world.alive.becomes(2).await;
    // What it says is heard all the same: a cancellation stops the answer now, and not when the backlog is read.
    slow.send(json!({"type": "cancel", "id": "a"})).await;
    world.alive.becomes(1).await;
    // A flood of messages whose replies it does not take is not read on either.
    let flood = async {
        loop {
            slow.0.send(Message::text(r#"{"type":"ping"}"#)).await.unwrap();
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(2), flood).await.is_err());
    drop(slow);
    world.alive.becomes(0).await;
}

#[tokio::test]
async fn a_reader_that_never_reads_is_given_up() {
    let socket = SocketOptions { ping: Duration::from_millis(100), ..SocketOptions::default() };
    let world = World::start(Options { socket, ..Options::default() }).await;
    let mut slow = world.socket().await;
    slow.open("a", json!({"do": "endless"})).await;
    world.alive.becomes(1).await;
    world.alive.becomes(0).await;
}
