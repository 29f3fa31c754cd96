//! A Redis that goes away and comes back behind a server under load, in both shapes: what docs/store.md says of it.

use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use hearth_tests::{Key, Keys, Redis, Response, Scratch, Server, Shape, Surroundings, request_with, test_data};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
const CONVERSATIONS: &str = "/v1/conversations";
/// Long enough for a slow machine; the store itself leaves Redis alone for 5 s at most.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_chat_goes_on_without_redis_and_all_else_comes_back_with_it() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    for shape in Shape::ALL {
        let Some(mut redis) = Redis::start("a-password-of-redis") else { return };
        let scratch = Scratch::new("outage");
        let environment = [("HEARTH_REDIS_URL", redis.url())];
        let keys = Keys::amid(&scratch.join("state"), &environment.each_ref().map(|(name, value)| (*name, value.as_str())));
        let [known, unseen] = ["known", "unseen"].map(|name| keys.create(name, &[]));
        let limited = keys.create("limited", &["--requests-per-minute", "3"]);
        let surroundings = Surroundings {
            environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
            state: Some(scratch.join("state")),
            ..Surroundings::default()
        };
        let flags: &[&str] = match shape {
            Shape::Native => &["--context", "512", "--keys", "required"],
            Shape::Wasm => &["--context", "512", "--variable", "keys=required"],
        };
        let server = Server::start_amid(&surroundings, shape, &model, flags);
        server.wait();
        let load = Load::new(shape, server.address, known);
        assert_eq!(load.ask(&limited, "GET", "/v1/models", None).status, 200, "{shape:?}: a key that is seen");
        thread::scope(|scope| {
            let load = &load;
            for _ in 0..4 {
                scope.spawn(|| load.chat());
            }
            for _ in 0..2 {
                scope.spawn(|| load.keep());
            }
            // However a check ends, the clients do, for who waits for them would wait for ever.
            let _over = Over(&load.over);
            load.grow("chats and conversations", || load.chats.load(Relaxed) >= 8 && load.kept.lock().unwrap().len() >= 8);

            redis.kill();
            load.grow("a refusal to keep", || load.refused.load(Relaxed) > 0);
            let (chats, refused) = (load.chats.load(Relaxed), load.refused.load(Relaxed));
            load.grow("chats without Redis", || load.chats.load(Relaxed) >= chats + 8 && load.refused.load(Relaxed) >= refused + 4);
            away(load, &limited, &unseen);

            redis.restart();
            let kept = load.kept.lock().unwrap().len();
            load.grow("conversations with Redis again", || load.kept.lock().unwrap().len() >= kept + 4);
            assert_eq!(load.ask(&unseen, "GET", "/v1/models", None).status, 200, "{shape:?}: every key is known again");
        });
        let kept = load.kept.into_inner().unwrap();
        for (id, words) in &kept {
            let found = ask(server.address, &load.key, "GET", &format!("{CONVERSATIONS}/{id}/items"), None);
            assert_eq!(found.json()["data"][0]["content"][0]["text"], words.as_str(), "{shape:?}: what was acknowledged is there");
        }
        eprintln!("{shape:?}: {:?} chats, {} conversations kept, {:?} refused", load.chats, kept.len(), load.refused);
    }
}

/// What is so while Redis is away.
fn away(load: &Load, limited: &Key, unseen: &Key) {
    let shape = load.shape;
    let refused = load.ask(unseen, "GET", "/v1/models", None);
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (503, &json!("store_failed")), "{shape:?}: a key nobody has seen");
    assert!(!refused.json().to_string().contains("a-password-of-redis"), "{shape:?}: {}", refused.json());
    let stored = json!({"input": "Hello", "max_output_tokens": 2}).to_string();
    let refused = load.ask(&load.key, "POST", "/v1/responses", Some(&stored));
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (503, &json!("store_failed")),
        "{shape:?}: a response that is to be kept"
    );
    let fleeting = json!({"input": "Hello", "max_output_tokens": 2, "store": false}).to_string();
    assert_eq!(load.ask(&load.key, "POST", "/v1/responses", Some(&fleeting)).status, 200, "{shape:?}: a response that is not");
    assert_eq!(load.ask(&load.key, "GET", "/health", None).status, 200, "{shape:?}");
    // This process counts by itself: more than three in a minute are refused, be the minute a new one meanwhile.
    let refused = (0..8).map(|_| load.ask(limited, "GET", "/v1/models", None)).find(|answer| answer.status != 200);
    let refused = refused.unwrap_or_else(|| panic!("{shape:?}: nothing is limited without Redis"));
    assert!(refused.status == 429 && refused.header("retry-after").is_some(), "{shape:?}: {refused:?}");
}

/// Clients that ask until it is over.
struct Load {
    shape: Shape,
    address: SocketAddr,
    key: Key,
    over: AtomicBool,
    chats: AtomicUsize,
    /// Conversations that were not kept, as the store was away.
    refused: AtomicUsize,
    /// Those that were: their ids and words.
    kept: Mutex<Vec<(String, String)>>,
}

impl Load {
    fn new(shape: Shape, address: SocketAddr, key: Key) -> Self {
        let (over, chats, refused, kept) = Default::default();
        Self { shape, address, key, over, chats, refused, kept }
    }

    fn ask(&self, key: &Key, method: &str, path: &str, body: Option<&str>) -> Response {
        ask(self.address, key, method, path, body)
    }

    /// Chats, none of which may fail.
    fn chat(&self) {
        let body = json!({"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4}).to_string();
        while !self.over.load(Relaxed) {
            let answer = self.ask(&self.key, "POST", CHAT, Some(&body));
            assert_eq!(answer.status, 200, "{:?}: a chat needs no Redis: {}", self.shape, String::from_utf8_lossy(&answer.body));
            self.chats.fetch_add(1, Relaxed);
        }
    }

    /// Keeps conversations, each of which is kept or said to be not.
    fn keep(&self) {
        for number in 0.. {
            if self.over.load(Relaxed) {
                return;
            }
            let words = format!("{:?} says {number}", thread::current().id());
            let body = json!({"items": [{"role": "user", "content": words}]}).to_string();
            let answer = self.ask(&self.key, "POST", CONVERSATIONS, Some(&body));
            let said = answer.json();
            match answer.status {
                200 => self.kept.lock().unwrap().push((text(&said["id"]), words)),
                503 if said["error"]["code"] == "store_failed" => {
                    self.refused.fetch_add(1, Relaxed);
                    thread::sleep(Duration::from_millis(20));
                }
                status => panic!("{:?}: {status} {said}", self.shape),
            }
        }
    }

    /// Waits until the load has come so far.
    fn grow(&self, what: &str, done: impl Fn() -> bool) {
        let deadline = Instant::now() + SOON;
        while !done() {
            assert!(Instant::now() < deadline, "{:?}: no {what} within {SOON:?}", self.shape);
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Ends the load with the scope that it lives in.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn ask(address: SocketAddr, key: &Key, method: &str, path: &str, body: Option<&str>) -> Response {
    let bearer = format!("Bearer {}", key.token);
    request_with(address, method, path, &[("authorization", &bearer)], body.map(str::as_bytes)).expect("an answer")
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}
