//! What a key may use: requests and tokens a minute, and answers at the same time.

use hearth_function::keys::{self, Created, Limits, New, Scope};
use http::Method;
use serde_json::{Value, json};

use crate::{
    keys::bearer,
    world::{Answer, Fate, Step, World, failure, frame, hello, wait},
};

fn limited(world: &World, limits: Limits) -> Created {
    wait(keys::create(world, New { name: "test".into(), scopes: vec![Scope::Chat], limits, ..New::default() })).unwrap()
}

fn post(world: &World, path: &str, key: &Created, body: &Value) -> Answer {
    world.send_with(Method::POST, path, &[("authorization", &bearer(key))], body.to_string())
}

fn chat(world: &World, key: &Created, more: Value) -> Answer {
    post(world, "/v1/chat/completions", key, &hello(more))
}

/// Waits until a minute has some seconds left, so that none ends within a test.
fn settle() {
    let second = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() % 60;
    while second() > 54 {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

fn count(world: &World, what: &str) -> u64 {
    world.counts().iter().filter(|(key, _)| key.contains(what)).map(|(_, count)| count).sum()
}

#[test]
fn requests_beyond_a_minute_s_are_refused_with_what_openai_s_clients_read() {
    settle();
    let world = World::obliging().setting("keys", "required");
    let key = limited(&world, Limits { requests_per_minute: Some(2), ..Limits::default() });
    for left in ["1", "0"] {
        let answer = chat(&world, &key, json!({}));
        assert_eq!(answer.status, 200);
        assert_eq!((answer.header("x-ratelimit-limit-requests"), answer.header("x-ratelimit-remaining-requests")), ("2", left));
        let reset = answer.header("x-ratelimit-reset-requests");
        assert!(reset == "1m0s" || reset.strip_suffix('s').is_some_and(|seconds| (1..60).contains(&seconds.parse().unwrap())), "{reset}");
        assert_eq!(answer.header("x-ratelimit-limit-tokens"), "", "there is no such limit");
    }
    let answer = chat(&world, &key, json!({}));
    assert_eq!((answer.status.as_u16(), answer.error().1), (429, json!("rate_limit_exceeded")));
    assert_eq!(answer.json()["error"]["type"], "rate_limit_error");
    assert!((1..=60).contains(&answer.header("retry-after").parse::<u32>().unwrap()));
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), "0");
    assert_eq!(answer.header("hearth-log-key"), key.key.id);
    assert_eq!(post(&world, "/v1/messages", &key, &json!({})).anthropic_error().0, "rate_limit_error");
    assert!(post(&world, "/api/chat", &key, &json!({})).ollama_error().contains("2 requests a minute"));
    // Another key has its own.
    assert_eq!(chat(&world, &limited(&world, Limits::default()), json!({})).status, 200);
}

#[test]
fn tokens_are_counted_as_they_were_in_the_end() {
    settle();
    let limits = Limits { tokens_per_minute: Some(1000), ..Limits::default() };
    // Each of them has 7 tokens of prompt and 3 of answer.
    let world = World::several(vec![vec![Step::Text("one"), Step::End("two", "stop")]; 4]).setting("keys", "required");
    let key = limited(&world, limits);
    let used = || count(&world, "/tokens/") - count(&world, "/returned/");
    let answer = chat(&world, &key, json!({"max_tokens": 500}));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-ratelimit-limit-tokens"), "1000");
    assert!(answer.header("x-ratelimit-remaining-tokens").parse::<u64>().unwrap() < 500, "before it was known");
    assert_eq!(used(), 10);
    // Also of a stream.
    assert_eq!(chat(&world, &key, json!({"stream": true})).status, 200);
    assert_eq!(used(), 20);
    // And with other APIs.
    assert_eq!(post(&world, "/api/generate", &key, &json!({"prompt": "x"})).status, 200);
    assert_eq!(used(), 30);
    // What is asked for and cannot fit is refused before anything is computed, and costs nothing.
    let computes = world.computes();
    let answer = chat(&world, &key, json!({"max_tokens": 980}));
    assert_eq!((answer.status.as_u16(), answer.error().1), (429, json!("rate_limit_exceeded")));
    assert!(answer.message().contains("970 are left"), "{}", answer.message());
    assert!((1..=60).contains(&answer.header("retry-after").parse::<u32>().unwrap()));
    assert_eq!((used(), world.computes()), (30, computes));
    assert_eq!(chat(&world, &key, json!({})).status, 200);
}

#[test]
fn what_was_made_before_a_client_goes_was_had() {
    settle();
    let steps = (0..200).map(|_| Step::Text("x")).collect::<Vec<_>>();
    let world = World::new(steps).setting("keys", "required");
    let key = limited(&world, Limits { tokens_per_minute: Some(10_000), ..Limits::default() });
    let headers = [("authorization", &*bearer(&key))];
    let mut body = world.open_with(Method::POST, "/v1/chat/completions", &headers, hello(json!({"stream": true})).to_string()).into_body();
    for _ in 0..150 {
        frame(&mut body).unwrap();
    }
    drop(body);
    let used = count(&world, "/tokens/") - count(&world, "/returned/");
    assert!((100..400).contains(&used), "{used}");
}

#[test]
fn what_fails_costs_nothing() {
    settle();
    let world = World::new([Step::Fail(failure("queue_full", "busy"))]).setting("keys", "required");
    let key = limited(&world, Limits { tokens_per_minute: Some(1000), ..Limits::default() });
    assert_eq!(chat(&world, &key, json!({"max_tokens": 100})).status, 503);
    assert_eq!(count(&world, "/tokens/"), count(&world, "/returned/"));
}

#[test]
fn embeddings_count_too_and_questions_do_not() {
    settle();
    let world = World::obliging().setting("keys", "required");
    let key = limited(&world, Limits { tokens_per_minute: Some(1000), ..Limits::default() });
    assert_eq!(post(&world, "/tokenize", &key, &json!({"content": "x".repeat(9000)})).status, 200);
    assert_eq!(count(&world, "/tokens/"), 0);
    assert_eq!(post(&world, "/v1/embeddings", &key, &json!({"input": "x"})).status, 200);
    assert_eq!(count(&world, "/tokens/") - count(&world, "/returned/"), 9);
}

#[test]
fn where_counting_fails_the_chat_goes_on() {
    let world = World::obliging().setting("keys", "required");
    let limits = Limits { requests_per_minute: Some(1), tokens_per_minute: Some(1), concurrent: None };
    let key = limited(&world, limits);
    world.fates(|operation, _| if operation == "add" { Fate::Failed } else { Fate::Done });
    for _ in 0..3 {
        let answer = chat(&world, &key, json!({"max_tokens": 100}));
        assert_eq!((answer.status.as_u16(), answer.header("x-ratelimit-limit-requests")), (200, ""), "{}", answer.text());
    }
}

#[test]
fn the_model_is_told_whose_a_request_is_and_how_many_they_may_have() {
    let steps = || vec![Step::End("a", "stop")];
    let world = World::several([steps(), steps(), steps(), vec![Step::Fail(failure("client_busy", "enough"))]]).setting("keys", "required");
    let key = limited(&world, Limits { concurrent: Some(1), ..Limits::default() });
    assert_eq!(chat(&world, &key, json!({"n": 3})).status, 200);
    for request in world.requests() {
        assert_eq!((&request["client"], &request["client_limit"]), (&json!(key.key.id), &json!(1)));
    }
    let answer = chat(&world, &key, json!({}));
    assert_eq!((answer.status.as_u16(), answer.error().1, answer.header("retry-after")), (429, json!("rate_limit_exceeded"), "1"));
    // Nobody in particular has no limit.
    let open = World::new([Step::End("a", "stop")]);
    open.chat(&hello(json!({})));
    assert!(open.request().get("client").is_none() && open.request().get("client_limit").is_none());
}
