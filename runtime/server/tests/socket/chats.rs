//! What is said over a socket: chats side by side, their conversations, their ends.

use hearth_server::{Options, Peer};
use serde_json::{Value, json};

use crate::world::World;

fn event(id: &str, text: &str) -> Value {
    json!({"type": "event", "id": id, "data": {"piece": {"role": "r", "text": text}}})
}

fn done(id: &str) -> Value {
    json!({"type": "done", "id": id})
}

#[tokio::test]
async fn chats_go_side_by_side() {
    let world = World::start(Options::default()).await;
    let mut socket = world.socket().await;
    socket.open("a", json!({"turns": ["for a"], "heat": 0.10})).await;
    let a = world.asked().await;
    assert_eq!(a.body, json!({"stream": true, "heat": 0.10, "turns": ["for a"]}));
    a.say("1");
    assert_eq!(socket.heard().await, event("a", "1"), "each event at once, none waits for the next");
    socket.open("b", json!({"turns": ["for b"], "stream": false})).await;
    let b = world.asked().await;
    assert_eq!(b.body, json!({"stream": true, "turns": ["for b"]}));
    for (asked, id, text) in [(&b, "b", "2"), (&a, "a", "3"), (&b, "b", "4")] {
        asked.say(text);
        assert_eq!(socket.heard().await, event(id, text));
    }
    b.done();
    assert_eq!(socket.heard().await, done("b"));
    world.alive.becomes(1).await;
    a.say("5");
    a.done();
    assert_eq!(socket.turn("a").await, [event("a", "5"), done("a")]);
    world.alive.becomes(0).await;
    socket.is_quiet().await;
}

#[tokio::test]
async fn continue_sends_the_whole_conversation() {
    let world = World::start(Options::default()).await;
    let mut socket = world.socket().await;
    socket.open("a", json!({"turns": [{"q": "\u{e9}\\\""}], "heat": 1})).await;
    let asked = world.asked().await;
    asked.say("Par");
    asked.say("is");
    asked.done();
    socket.turn("a").await;

    let more = |text: &str| json!({"type": "continue", "id": "a", "turns": [{"q": text}]});
    let history = json!([{"q": "\u{e9}\\\""}, {"role": "r", "text": "Paris"}, {"q": "2"}]);
    socket.send(more("2")).await;
    let asked = world.asked().await;
    assert_eq!(asked.body, json!({"stream": true, "heat": 1, "turns": history}));
    // A failure leaves no trace of its turn.
    asked.say("lost");
    drop(asked);
    let heard = socket.turn("a").await;
    assert_eq!((&heard[0], &heard[1]["type"]), (&event("a", "lost"), &json!("error")));

    let mut hotter = more("2");
    hotter["body"] = json!({"heat": 2, "new": [1]});
    socket.send(hotter).await;
    let asked = world.asked().await;
    assert_eq!(asked.body, json!({"stream": true, "heat": 2, "new": [1], "turns": history}));
    // What was said until a cancellation stays.
    asked.say("half an");
    assert_eq!(socket.heard().await, event("a", "half an"));
    socket.send(json!({"type": "cancel", "id": "a"})).await;
    assert_eq!(socket.heard().await, json!({"type": "cancelled", "id": "a"}));
    socket.send(more("3")).await;
    let asked = world.asked().await;
    assert_eq!(asked.body["turns"][3], json!({"role": "r", "text": "half an"}));
    assert_eq!(asked.body["turns"][4], json!({"q": "3"}));
    assert_eq!(asked.body["heat"], 2);
    // Nothing said, nothing kept.
    asked.done();
    assert_eq!(socket.turn("a").await, [json!({"type": "done", "id": "a", "kept": false})]);
    socket.send(more("4")).await;
    assert_eq!(world.asked().await.body["turns"].as_array().unwrap().len(), 5);

    // `open` begins anew, and so does `close`.
    socket.send(json!({"type": "cancel", "id": "a"})).await;
    assert_eq!(socket.turn("a").await.last().unwrap()["type"], "error", "it had ended: its answer was dropped by the test");
    socket.open("a", json!({"turns": ["anew"], "do": "echo"})).await;
    assert_eq!(socket.turn("a").await, [json!({"type": "event", "id": "a", "data": {"piece": {"text": "1"}}}), done("a")]);
    socket.send(json!({"type": "close", "id": "a"})).await;
    assert_eq!(socket.heard().await, json!({"type": "closed", "id": "a"}));
    socket.send(more("5")).await;
    let error = socket.heard().await;
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!("a"), &json!("invalid_message")));
    assert!(error["error"]["message"].as_str().unwrap().contains("open it"), "{error}");
}

#[tokio::test]
async fn cancel_drops_the_body_and_nothing_else() {
    let world = World::start(Options::default()).await;
    let mut socket = world.socket().await;
    socket.open("a", json!({"turns": [1]})).await;
    let a = world.asked().await;
    socket.open("b", json!({"turns": [2]})).await;
    let b = world.asked().await;
    world.alive.becomes(2).await;
    socket.send(json!({"type": "cancel", "id": "a"})).await;
    assert_eq!(socket.heard().await, json!({"type": "cancelled", "id": "a"}));
    world.alive.becomes(1).await;
    assert!(a.is_dropped() && !b.is_dropped());
    // What there is nothing of is not cancelled, nor is it an error: its end may have crossed the message.
    for id in ["a", "never"] {
        socket.send(json!({"type": "cancel", "id": id})).await;
    }
    socket.is_quiet().await;
    b.say("still here");
    b.done();
    assert_eq!(socket.turn("b").await, [event("b", "still here"), done("b")]);
    socket.open("c", json!({"turns": [3]})).await;
    let c = world.asked().await;
    socket.send(json!({"type": "close", "id": "c"})).await;
    assert_eq!(socket.heard().await, json!({"type": "closed", "id": "c"}));
    world.alive.becomes(0).await;
    assert!(c.is_dropped());
}

#[tokio::test]
async fn failures_are_errors_of_their_chat() {
    let world = World::start(Options::default()).await;
    let mut socket = world.socket().await;
    for (body, expected) in [
        (json!({"do": "refuse", "status": 400}), json!({"status": 400, "error": {"message": "refused", "code": "c"}, "retry_after": 7})),
        (json!({"do": "refuse", "status": 503}), json!({"status": 503, "error": {"message": "refused", "code": "c"}, "retry_after": 7})),
        (json!({"do": "junk"}), json!({"status": 500, "error": {"message": "Internal Server Error", "code": "failed"}})),
        (json!({"do": "whole"}), json!({"status": 502, "error": {"code": "no_stream"}})),
        (json!({"do": "panic"}), json!({"status": 500, "error": {"code": "internal"}})),
        (json!({"do": "refuse", "status": 404, "turns": "none"}), json!({"status": 404})),
    ] {
        socket.open("a", body).await;
        let heard = socket.heard().await;
        assert_eq!((&heard["type"], &heard["id"]), (&json!("error"), &json!("a")));
        for (name, value) in expected.as_object().unwrap() {
            match value.as_object() {
                Some(object) => object.iter().for_each(|(inner, value)| assert_eq!(&heard[name][inner], value, "{heard}")),
                None => assert_eq!(&heard[name], value, "{heard}"),
            }
        }
    }
    // What fails once the status has gone: an event that says so, a panic, an end too early, no UTF-8.
    for (chunk, expected) in [
        (Some("data: {\"error\":{\"message\":\"late\",\"code\":\"d\"}}\n\n"), "d"),
        (None, "internal"),
        (Some("data: not the end"), "internal"),
    ] {
        socket.open("a", json!({})).await;
        let asked = world.asked().await;
        match chunk {
            Some(chunk) => asked.send(chunk),
            None => asked.panic(),
        }
        drop(asked);
        let heard = socket.heard().await;
        assert_eq!((&heard["type"], &heard["error"]["code"], heard.get("status")), (&json!("error"), &json!(expected), None), "{heard}");
    }
    world.alive.becomes(0).await;
    socket.open("a", json!({"turns": [], "do": "echo"})).await;
    assert_eq!(socket.turn("a").await.len(), 2);
}

#[tokio::test]
async fn events_keep_their_names_and_any_data() {
    let world = World::start(Options::default()).await;
    let mut socket = world.socket().await;
    socket.open("a", json!({})).await;
    let asked = world.asked().await;
    asked.send(": busy\n\nevent: x\ndata: {\"n\": 1e2,\ndata: \"n\":2}\n\nda");
    asked.send("ta: just \"text\"\n\n");
    asked.done();
    let heard = socket.turn("a").await;
    assert_eq!(heard[0], json!({"type": "event", "id": "a", "event": "x", "data": {"n": 2}}));
    assert_eq!(heard[1], json!({"type": "event", "id": "a", "data": "just \"text\""}));
}

#[tokio::test]
async fn a_request_has_what_the_opening_said() {
    let world = World::start(Options::default()).await;
    let mut socket = world
        .socket_with("authorization: Bearer one\r\nx-api-key: one\r\ncookie: c=1\r\nx-forwarded-for: 1.2.3.4\r\naccept-encoding: br\r\nsec-websocket-extensions: x\r\n")
        .await;
    let body = json!({"turns": ["\u{1f525}"]});
    socket.open("a", body).await;
    let asked = world.asked().await;
    assert!(matches!(asked.peer, Some(Peer(peer)) if peer.ip().is_loopback()));
    let header = |name: &str| asked.headers.get(name).map(|value| value.to_str().unwrap());
    for (name, value) in [
        ("authorization", Some("Bearer one")),
        ("x-api-key", Some("one")),
        ("cookie", Some("c=1")),
        ("x-forwarded-for", Some("1.2.3.4")),
        ("host", Some(world.address.to_string().as_str())),
        ("content-type", Some("application/json")),
        ("accept", Some("text/event-stream")),
        ("accept-encoding", None),
        ("connection", None),
        ("upgrade", None),
        ("sec-websocket-key", None),
        ("sec-websocket-extensions", None),
    ] {
        assert_eq!(header(name), value, "{name}");
    }
    assert_eq!(header("content-length"), Some(asked.body.to_string().len().to_string().as_str()));
    socket.send(json!({"type": "auth", "key": "two"})).await;
    socket.open("b", json!({})).await;
    let asked = world.asked().await;
    assert_eq!(asked.headers["authorization"], "Bearer two");
    assert!(!asked.headers.contains_key("x-api-key"), "the newer key takes its place");
}
