//! Messages that are wrong, one by one and by chance.

use hearth_server::{
    Options,
    socket::{Conversation, Message, members},
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite;

use crate::world::World;

#[tokio::test]
async fn a_wrong_message_is_answered_with_the_cure() {
    let cases = [
        ("{", None, "not valid JSON"),
        ("", None, "not valid JSON"),
        ("[]", None, "no object"),
        ("{}", None, "no 'type'"),
        (r#"{"type":"chat","id":"a"}"#, Some("a"), "no message of type 'chat': use 'open'"),
        (r#"{"type":7}"#, None, "'type' is no text"),
        (r#"{"type":"open","body":{}}"#, None, "needs an 'id'"),
        (r#"{"type":"open","id":"","body":{}}"#, None, "'id'"),
        (r#"{"type":"open","id":"a"}"#, Some("a"), "needs a 'body'"),
        (r#"{"type":"open","id":"a","body":[]}"#, Some("a"), "'body' is JSON, but no object"),
        (r#"{"type":"open","id":"a","body":{},"boddy":1}"#, Some("a"), "takes no 'boddy'"),
        (r#"{"type":"open","type":"open","id":"a","body":{}}"#, Some("a"), "takes no 'type'"),
        (r#"{"type":"continue","id":"a","turns":[1]}"#, Some("a"), "keeps no chat"),
        (r#"{"type":"continue","id":"a","turns":[ ]}"#, Some("a"), "needs 'turns'"),
        (r#"{"type":"continue","id":"a","turns":[1],"body":{"turns":[]}}"#, Some("a"), "stands beside 'body'"),
        (r#"{"type":"auth","key":"a\nb"}"#, None, "needs a 'key'"),
    ];
    let world = World::start(Options::default()).await;
    for cases in cases.chunks(8) {
        let mut socket = world.socket().await;
        for (text, id, expected) in cases {
            socket.frame(tungstenite::Message::text(*text)).await;
            let heard = socket.heard().await;
            assert_eq!((&heard["type"], heard["id"].as_str(), &heard["status"]), (&json!("error"), *id, &json!(400)), "{text}: {heard}");
            assert_eq!((&heard["error"]["type"], &heard["error"]["code"]), (&json!("invalid_request_error"), &json!("invalid_message")));
            assert!(heard["error"]["message"].as_str().unwrap().contains(expected), "{text}: {heard}");
        }
        socket.open("a", json!({"turns": [], "do": "echo"})).await;
        assert_eq!(socket.turn("a").await.len(), 2, "the socket lives");
    }
}

#[tokio::test]
async fn a_client_that_is_wrong_again_and_again_is_closed() {
    let world = World::start(Options::default()).await;
    let mut socket = world.socket().await;
    let good = json!({"turns": [], "do": "echo"});
    for _ in 0..3 {
        for _ in 0..15 {
            socket.send(json!("?")).await;
            assert_eq!(socket.heard().await["status"], 400);
        }
        socket.open("a", good.clone()).await;
        assert_eq!(socket.turn("a").await.len(), 2, "an answer that goes well clears the count");
    }
    for _ in 0..16 {
        socket.send(json!("?")).await;
    }
    assert_eq!(socket.closed().await.0, 1008);
    // Guessing keys is no better.
    let mut socket = world.socket().await;
    for guess in 0..16 {
        socket.send(json!({"type": "auth", "key": guess.to_string()})).await;
        socket.open("a", json!({"do": "refuse", "status": 401})).await;
    }
    assert_eq!(socket.closed().await.0, 1008);
}

/// xorshift64*
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) as usize % bound.max(1)
    }
}

/// Messages made by chance out of fine ones: each is read or refused in few words, and what is read makes a body that is JSON with the same members.
#[test]
fn no_message_breaks_the_reader() {
    let seeds = [
        r#"{"type":"open","id":"a","body":{"turns":[{"r":"u","c":"\ud83d\udd25 \"]}"},[1,2.5e3,null]],"stream":false,"x":{"y":[[],{}]}}}"#,
        r#" { "type" : "continue" , "id" : "é" , "turns" : [ 1 , "," ] , "body" : { "heat" : -0 } } "#,
        r#"{"type":"auth","key":"sk-1"}"#,
    ];
    let words = [
        "null",
        "\"",
        "\\",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        " ",
        "\"turns\":[]",
        "\"type\":\"open\"",
        "\"id\":\"a\"",
        "\\u0000",
        "1e999",
        "[[[[[[[[",
    ];
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut read, mut refused) = (0, 0);
    for round in 0..50_000 {
        let mut text = seeds[round % seeds.len()].to_owned();
        for _ in 0..=dice.below(3) {
            let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let (a, b) = (starts[dice.below(starts.len())], starts[dice.below(starts.len())]);
            let range = a.min(b)..if dice.below(2) == 0 { a.min(b) } else { a.max(b) };
            let word = if dice.below(3) == 0 { text[a.min(b)..a.max(b)].to_owned() } else { words[dice.below(words.len())].to_owned() };
            text.replace_range(range, &word);
        }
        match Message::parse(&text, "turns") {
            Err(fault) => {
                refused += 1;
                assert!(fault.text.len() < 400, "{}", fault.text);
            }
            Ok(message) => {
                read += 1;
                let conversation = match message {
                    Message::Open { body, .. } => Conversation::new(&body, "turns"),
                    Message::Continue { body, more, .. } => Conversation::new(&[], "turns").and(&body, more),
                    _ => continue,
                };
                let body = conversation.request();
                let Ok(value) = serde_json::from_str::<Value>(&body) else {
                    // Numbers and escapes that are JSON and that not every reader takes are the handler's to judge.
                    assert!(members(&body).is_ok(), "{text} became {body}");
                    continue;
                };
                assert_eq!(value["stream"], true);
            }
        }
    }
    assert!(read > 3000 && refused > 10_000, "{read} read, {refused} refused");
}
