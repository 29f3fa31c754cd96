//! What is not here, or is refused here, is computed by another server: both handlers are real, and the way between them is scripted.

use std::time::Duration;

use hearth_function::keys::{self, Created, Limits, New, Scope};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    keys::bearer,
    other::Way,
    world::{Answer, Step, World, events, failure, frame, hello, wait},
};

/// A server with the model `large` alone, which answers with these steps.
fn gpu(steps: impl IntoIterator<Item = Step>) -> World {
    World::new(steps).setting("models", "large")
}

fn paris() -> Vec<Step> {
    vec![Step::Text("Pa"), Step::Text("r"), Step::End("is.", "stop")]
}

fn full() -> Vec<Step> {
    vec![Step::Fail(failure("queue_full", "All places are taken."))]
}

fn ask(edge: &World, more: Value) -> Answer {
    let mut request = hello(json!({"model": "large"}));
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    edge.chat(&request)
}

fn content(answer: &Answer) -> &'static str {
    assert_eq!(answer.status, 200, "{}", answer.text());
    Box::leak(answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned().into_boxed_str())
}

fn served_by(answer: &Answer) -> &str {
    answer.header("x-hearth-served-by")
}

#[test]
fn a_model_that_is_not_here_is_computed_there() {
    let gpu = gpu(paris());
    let edge = World::new([]).with_other(&gpu);
    let answer = ask(&edge, json!({"max_tokens": 9}));
    assert_eq!((content(&answer), served_by(&answer)), ("Paris.", "fallback"));
    assert_eq!(answer.json()["model"], "large");
    assert_eq!(answer.json()["usage"]["completion_tokens"], 3);
    assert_eq!((gpu.request()["messages"][0]["content"].as_str(), gpu.request()["max_tokens"].as_u64()), (Some("Hi"), Some(9)));
    assert_eq!(edge.computes(), 0);
    // What is here is computed here.
    let edge = World::new(paris()).with_other(&gpu);
    let answer = edge.chat(&hello(json!({})));
    assert_eq!((content(&answer), served_by(&answer)), ("Paris.", "local"));
    assert!(edge.sent().is_empty());
    // Where there is no other server, nothing is said of one.
    let answer = World::new(paris()).chat(&hello(json!({})));
    assert_eq!(served_by(&answer), "");
    assert_eq!(ask(&World::new([]), json!({})).error().1, "model_not_found");
}

#[test]
fn what_the_queue_here_refuses_is_computed_there() {
    for kind in ["queue_full", "out_of_memory", "shutting_down"] {
        let gpu = World::new(paris());
        let edge = World::new([Step::Fail(failure(kind, "No."))]).with_other(&gpu);
        let answer = edge.chat(&hello(json!({})));
        assert_eq!((content(&answer), served_by(&answer)), ("Paris.", "fallback"), "{kind}");
        assert_eq!(edge.request()["messages"], gpu.request()["messages"]);
    }
    for kind in ["loading", "load_failed"] {
        let edge = World::new([]).load_error("tiny", failure(kind, "No.")).with_other(&World::new(paris()));
        assert_eq!(content(&edge.chat(&hello(json!({})))), "Paris.", "{kind}");
    }
    // What is the request's own fault, or of the client's own limit, goes nowhere.
    for (kind, status) in [("invalid_request", 400), ("context_length", 400), ("client_busy", 429), ("internal", 500), ("timeout", 504)] {
        let edge = World::new([Step::Fail(failure(kind, "No."))]).with_other(&World::new(paris()));
        assert_eq!(edge.chat(&hello(json!({}))).status, status, "{kind}");
        assert!(edge.sent().is_empty(), "{kind}");
    }
}

#[test]
fn where_the_other_fails_too_the_refusal_here_is_told() {
    for way in [Way::Refused, Way::Proxy(502)] {
        let edge = World::new(full()).with_other(&World::new([]));
        edge.way(way);
        let answer = edge.chat(&hello(json!({})));
        assert_eq!((answer.status.as_u16(), answer.error().1, answer.header("retry-after")), (503, json!("queue_full"), "1"));
        assert_eq!(answer.message(), "All places are taken.");
    }
    // Unless the request is at fault.
    let long = json!({"kind": "context_length", "message": "x", "prompt_tokens": 9000, "context_length": 2048}).to_string();
    let edge = World::new(full()).with_other(&World::new([Step::Fail(long)]));
    let answer = edge.chat(&hello(json!({})));
    assert_eq!((answer.status.as_u16(), answer.error().1), (400, json!("context_length_exceeded")));
    assert!(answer.message().contains("9000"));
}

#[test]
fn every_api_streams_through_piece_by_piece() {
    let post = |path: &str, body: Value| {
        let gpu = gpu(paris());
        let edge = World::new([]).with_other(&gpu);
        let answer = edge.post(path, &body);
        assert_eq!((answer.status, served_by(&answer)), (StatusCode::OK, "fallback"), "{path}: {}", answer.text());
        assert!(answer.frames.len() >= 3, "{path}: {} frames", answer.frames.len());
        assert_eq!(answer.trailers["hearth-log-completion-tokens"], "3", "{path}");
        assert_eq!(answer.headers["hearth-log-model"], "large", "{path}");
        answer.text()
    };
    let message = json!([{"role": "user", "content": "Hi"}]);
    let text = post("/v1/chat/completions", json!({"model": "large", "messages": message, "stream": true}));
    let deltas: String = events(&text).iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(deltas, "Paris.");
    assert!(text.ends_with("data: [DONE]\n\n"));
    let text = post("/v1/completions", json!({"model": "large", "prompt": "Hi", "stream": true}));
    assert!(text.contains("\"Pa\"") && text.contains("\"is.\""), "{text}");
    let text = post("/v1/messages", json!({"model": "large", "max_tokens": 9, "messages": message, "stream": true}));
    assert!(text.contains("content_block_delta") && text.contains("message_stop"), "{text}");
    let text = post("/api/chat", json!({"model": "large:latest", "messages": message}));
    assert!(text.lines().last().unwrap().contains("\"done\":true"), "{text}");
    let text = post("/v1/responses", json!({"model": "large", "input": "Hi", "stream": true}));
    assert!(text.contains("response.completed"), "{text}");
    // A piece leaves as soon as it is there, not when all are.
    let gpu = gpu(vec![Step::Text("Pa"), Step::Text("r"), Step::Hang]);
    let mut body = World::new([]).with_other(&gpu).open(&hello(json!({"model": "large", "stream": true}))).into_body();
    let pieces: Vec<_> = (0..2).map(|_| frame(&mut body).unwrap()).collect();
    assert!(pieces.concat().contains("\"Pa\"") && pieces.concat().contains("\"r\""), "{pieces:?}");
    assert!(!gpu.dropped());
    drop(body);
    assert!(gpu.dropped(), "who is gone has nothing computed, here or there");
}

#[test]
fn what_is_no_stream_and_no_text_comes_through_too() {
    let other = || World::obliging().setting("models", "large");
    let edge = World::new([]).with_other(&other());
    let answer = edge.post("/v1/embeddings", &json!({"model": "large", "input": ["a", "b"]}));
    assert_eq!(answer.json()["data"].as_array().unwrap().len(), 2, "{}", answer.text());
    assert!((answer.json()["data"][0]["embedding"][1].as_f64().unwrap() - 0.8).abs() < 1e-6);
    assert_eq!(served_by(&answer), "fallback");
    let answer = edge.post("/v1/messages/count_tokens", &json!({"model": "large", "messages": [{"role": "user", "content": "Hi"}]}));
    assert_eq!(answer.json(), json!({"input_tokens": 2}));
    assert_eq!(edge.post("/api/show", &json!({"model": "large"})).status, 200);
    let answer = edge.get("/v1/models/large");
    assert_eq!((&answer.json()["id"], &answer.json()["max_model_len"]), (&json!("large"), &json!(2048)));
    // Several choices are as many sequences.
    let scripts = || World::several(vec![vec![Step::End("a", "stop")], vec![Step::End("b", "stop")]]).setting("models", "large");
    let answer = ask(&World::new([]).with_other(&scripts()), json!({"n": 2}));
    assert_eq!(answer.json()["choices"].as_array().unwrap().len(), 2, "{}", answer.text());
}

#[test]
fn what_is_kept_is_kept_here() {
    let gpu = World::several(vec![vec![Step::End("Paris.", "stop")], vec![Step::End("France.", "stop")]]).setting("models", "large");
    let edge = World::new([]).with_other(&gpu);
    let first = edge.respond(&json!({"model": "large", "input": "What is the capital?"})).json();
    let second = edge.respond(&json!({"model": "large", "input": "Of what?", "previous_response_id": first["id"]}));
    assert_eq!(second.status, 200, "{}", second.text());
    assert_eq!(gpu.requests()[1]["messages"].as_array().unwrap().len(), 3, "the other is told all of it: {}", gpu.requests()[1]);
    assert!(gpu.kept().is_empty() && !edge.kept().is_empty());
}

#[test]
fn models_of_both_are_listed_and_asked_for_once() {
    let gpu = World::new(paris()).setting("models", "large,tiny");
    let edge = World::new([]).with_other(&gpu);
    let ids = |answer: Answer| answer.json()["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect::<Vec<_>>();
    for _ in 0..3 {
        assert_eq!(ids(edge.get("/v1/models")), ["tiny", "other", "large"]);
        assert!(edge.get("/api/tags").text().contains("large:latest"));
    }
    assert_eq!(edge.sent().len(), 1, "its list is kept for a while");
    // One that does not answer has none, and nobody waits for it twice.
    let edge = World::new([]).with_other(&gpu);
    edge.way(Way::Refused);
    for _ in 0..3 {
        assert_eq!(ids(edge.get("/v1/models")), ["tiny", "other"]);
    }
    assert_eq!(edge.sent().len(), 1);
    // A server without a model of its own has the other's, and its default.
    let edge = World::new([]).setting("models", "").load_error("large", failure("model_not_found", "no")).with_other(&gpu);
    assert_eq!(ids(edge.get("/v1/models")), ["large", "tiny"]);
    assert_eq!(edge.get("/health").status, 200);
    assert_eq!(content(&edge.chat(&hello(json!({})))), "Paris.");
    let edge = World::new([]).setting("models", "").with_other(&gpu);
    edge.way(Way::Refused);
    let answer = edge.chat(&hello(json!({})));
    assert_eq!((answer.status.as_u16(), answer.error().1), (503, json!("fallback_down")));
    assert_eq!(edge.get("/health").status, 503);
}

#[test]
fn health_is_of_the_models_here() {
    let edge = World::new([]).load_error("tiny", failure("loading", "tiny is at 40 %")).with_other(&World::new(paris()));
    assert_eq!(edge.get("/health").status, 503);
    assert!(edge.sent().is_empty());
    assert_eq!(edge.chat(&hello(json!({}))).status, 200, "but it answers already");
}

#[test]
fn keys_are_those_of_each_server_and_a_client_s_goes_nowhere() {
    let gpu = World::obliging().setting("models", "large").setting("api_key", "between-us");
    let edge = World::new([]).with_other(&gpu).setting("keys", "required").setting("fallback_key", "between-us");
    assert_eq!(ask(&edge, json!({})).status, 401, "the edge's keys count");
    let key = wait(keys::create(&edge, New { name: "anna".into(), scopes: vec![Scope::Chat], ..New::default() })).unwrap();
    let headers = [("authorization", &*bearer(&key)), ("cookie", "a=b"), ("x-forwarded-for", "10.0.0.1")];
    let answer = edge.send_with(Method::POST, "/v1/chat/completions", &headers, hello(json!({"model": "large"})).to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = edge.sent();
    assert_eq!(sent.len(), 1);
    let names: Vec<_> = sent[0].head.headers.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["x-hearth-hops", "content-type", "user-agent", "authorization"]);
    assert_eq!(sent[0].head.headers["authorization"], "Bearer between-us");
    assert!(sent[0].head.headers["authorization"].is_sensitive() && !format!("{:?}", sent[0].head).contains("between-us"));
    let secret = bearer(&key);
    assert!(!String::from_utf8_lossy(&sent[0].body).contains(secret.strip_prefix("Bearer ").unwrap()));
    // Whose it is there: the edge's key's, and among its clients this one.
    let document: Value = serde_json::from_slice(&sent[0].body).unwrap();
    assert_eq!(document["client"], key.key.id.as_str());
    assert_eq!(sent[0].timeouts.first_byte, Duration::from_secs(150));

    // What the other says of the edge's key is none of the client's.
    let edge = World::new([]).with_other(&gpu).setting("fallback_key", "wrong");
    let answer = ask(&edge, json!({}));
    assert_eq!((answer.status.as_u16(), answer.error().1), (502, json!("fallback_failed")));
    assert!(answer.message().contains("fallback_key") && !answer.text().contains("wrong"), "{}", answer.text());
}

fn limited(world: &World, limits: Limits, models: &[&str]) -> Created {
    let models = models.iter().map(|name| (*name).to_owned()).collect();
    wait(keys::create(world, New { name: "test".into(), scopes: vec![Scope::Chat], limits, models, ..New::default() })).unwrap()
}

fn chat_with(world: &World, key: &Created, more: Value) -> Answer {
    world.send_with(Method::POST, "/v1/chat/completions", &[("authorization", &bearer(key))], hello(more).to_string())
}

#[test]
fn limits_of_the_edge_hold_for_what_is_computed_elsewhere() {
    let gpu = World::several(vec![paris(); 5]).setting("models", "large");
    let edge = World::new([]).with_other(&gpu).setting("keys", "required");
    let key = limited(&edge, Limits { requests_per_minute: Some(1000), tokens_per_minute: Some(600), concurrent: Some(2) }, &[]);
    assert_eq!(chat_with(&edge, &key, json!({"model": "large", "max_tokens": 100})).status, 200);
    let used: u64 = edge.counts().iter().filter(|(key, _)| key.contains("/tokens/")).map(|(_, count)| count).sum();
    let returned: u64 = edge.counts().iter().filter(|(key, _)| key.contains("/returned/")).map(|(_, count)| count).sum();
    assert_eq!(used - returned, 10, "7 of the prompt and 3 of the answer");
    let answer = chat_with(&edge, &key, json!({"model": "large", "max_tokens": 700}));
    assert_eq!((answer.status.as_u16(), answer.error().1), (429, json!("rate_limit_exceeded")));
    assert_eq!(edge.sent().len(), 1, "refused before anything is sent");
    assert_eq!(gpu.request()["client_limit"], 2);
    let key = limited(&edge, Limits { requests_per_minute: Some(1), ..Limits::default() }, &["large"]);
    assert_eq!(chat_with(&edge, &key, json!({"model": "large"})).status, 200);
    assert_eq!(chat_with(&edge, &key, json!({"model": "large"})).status, 429);
    // A key for some models is for those alone, wherever they are.
    let key = limited(&edge, Limits::default(), &["tiny"]);
    let answer = chat_with(&edge, &key, json!({"model": "large"}));
    assert_eq!((answer.status.as_u16(), answer.error().1), (403, json!("model_not_allowed")));
    assert_eq!(edge.sent().len(), 2);
}

#[test]
fn clients_of_an_edge_take_turns_at_the_other() {
    let gpu = World::several(vec![paris(); 3]).setting("models", "large").setting("keys", "required");
    let open = limited(&gpu, Limits::default(), &[]);
    let bound = limited(&gpu, Limits { concurrent: Some(3), ..Limits::default() }, &[]);
    let document = |client: &str| {
        hello(json!({"client": client, "client_limit": 1, "stop": [], "ignore_end": false, "sampling": sampling()})).to_string()
    };
    let told = |key: &Created, client: &str| {
        let answer = gpu.send_with(Method::POST, "/v1/nn/large", &[("authorization", &bearer(key))], document(client));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let request = gpu.requests().pop().unwrap();
        (request["client"].as_str().unwrap().to_owned(), request["client_limit"].clone())
    };
    assert_eq!(told(&open, "anna"), (format!("{}/anna", open.key.id), json!(1)));
    // What limits the edge's key limits all of its clients together; and no name is longer than names may be.
    assert_eq!(told(&bound, "anna"), (bound.key.id.clone(), json!(3)));
    assert_eq!(told(&open, &"x".repeat(512)), (open.key.id.clone(), Value::Null));
}

fn sampling() -> Value {
    json!({
        "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0, "logit_bias": {}
    })
}

#[test]
fn an_answer_that_breaks_off_ends_with_an_error_and_the_next_is_whole() {
    for way in [Way::Breaks(2), Way::Ends(2)] {
        let gpu = World::several(vec![paris(); 6]).setting("models", "large");
        let edge = World::new([]).with_other(&gpu);
        let message = json!([{"role": "user", "content": "Hi"}]);
        edge.way(way);
        let answer = ask(&edge, json!({"stream": true}));
        assert_eq!(answer.status, 200, "it had begun");
        let last = answer.events().pop().unwrap();
        assert_eq!((&last["error"]["code"], &last["error"]["type"]), (&json!("fallback_failed"), &json!("unavailable_error")), "{last}");
        assert!(last["error"]["message"].as_str().unwrap().contains("broke off"), "{last}");
        assert!(answer.text().contains("\"Pa\"") && !answer.text().contains("[DONE]"));
        assert_eq!(answer.trailers["hearth-log-finish"], "error");
        let answer = edge.post("/v1/messages", &json!({"model": "large", "max_tokens": 9, "messages": message, "stream": true}));
        assert!(answer.text().contains("event: error\n"), "{}", answer.text());
        edge.way(Way::Open);
        assert_eq!(content(&ask(&edge, json!({}))), "Paris.");
        edge.way(way);
        let answer = edge.post("/api/chat", &json!({"model": "large", "messages": message}));
        assert!(answer.lines().pop().unwrap()["error"].as_str().unwrap().contains("broke off"), "{}", answer.text());
        // What is whole or nothing is nothing, with a status of its own.
        let answer = ask(&edge, json!({}));
        assert_eq!((answer.status.as_u16(), answer.error().1), (502, json!("fallback_failed")));
    }
}

#[test]
fn an_error_of_the_other_is_passed_on_as_it_is() {
    let gpu = gpu([Step::Text("Pa"), Step::Fail(failure("internal", "A device was lost."))]);
    let answer = ask(&World::new([]).with_other(&gpu), json!({"stream": true}));
    let last = answer.events().pop().unwrap();
    assert_eq!((&last["error"]["code"], &last["error"]["message"]), (&json!("internal"), &json!("A device was lost.")));
    let gpu = World::new(full()).setting("models", "large");
    let answer = ask(&World::new([]).with_other(&gpu), json!({}));
    assert_eq!((answer.status.as_u16(), answer.error().1, answer.header("retry-after")), (503, json!("queue_full"), "1"));
    let answer = World::new([]).with_other(&gpu).chat(&hello(json!({"model": "unheard"})));
    assert_eq!((answer.status.as_u16(), answer.error().1), (404, json!("model_not_found")));
}

#[test]
fn a_request_is_passed_on_once() {
    // Two that each take the other for the one that computes.
    let second = World::new([]).setting("models", "b").with_other(&World::new([]));
    let first = World::new([]).setting("models", "a").with_other(&second);
    let answer = ask(&first, json!({}));
    assert_eq!((answer.status.as_u16(), answer.error().1), (508, json!("loop_detected")), "{}", answer.text());
    assert!(answer.message().contains("fallback_url"), "{}", answer.message());
    assert_eq!((first.sent().len(), second.sent().len()), (1, 0));
    // Also where it comes with the mark by another path, whatever the mark says.
    for mark in ["1", "7", "many", " "] {
        let answer =
            second.send_with(Method::POST, "/v1/chat/completions", &[("x-hearth-hops", mark)], hello(json!({"model": "a"})).to_string());
        assert_eq!(answer.status, 508, "{mark}");
    }
    // Lists do not go to and fro either.
    let answer = first.get("/v1/models");
    assert_eq!(answer.json()["data"].as_array().unwrap().len(), 2);
    assert_eq!(second.sent().len(), 0);
    // What is here is computed for whomever, and a moment's refusal is told as it is.
    let third = World::several(vec![paris(), full()]).setting("models", "large").with_other(&World::new([]));
    let edge = World::new([]).with_other(&third);
    assert_eq!(content(&ask(&edge, json!({}))), "Paris.");
    let answer = ask(&edge, json!({}));
    assert_eq!((answer.status.as_u16(), answer.error().1), (503, json!("queue_full")));
    assert_eq!(third.sent().len(), 0);
}

#[test]
fn who_fails_again_and_again_is_left_alone() {
    let gpu = World::several(vec![paris(); 9]).setting("models", "large");
    let edge = World::new([]).with_other(&gpu);
    edge.way(Way::Refused);
    let mut answers = Vec::new();
    // A span of the circuit may end among these: then there are a few more.
    while answers.last() != Some(&503) {
        answers.push(ask(&edge, json!({})).status.as_u16());
        assert!(answers.len() < 8, "{answers:?}");
    }
    let sent = edge.sent().len();
    assert_eq!((answers.len(), answers[0]), (sent + 1, 502), "{answers:?}");
    assert!(sent >= 3);
    edge.way(Way::Open);
    let answer = ask(&edge, json!({}));
    if answer.status == 503 {
        assert_eq!(answer.error().1, "fallback_down");
        assert!((1..=30).contains(&answer.header("retry-after").parse::<u32>().unwrap()));
        assert_eq!(edge.sent().len(), sent, "nothing is sent");
    }
    // What is here is none of its business.
    let edge = World::new(full()).with_other(&gpu);
    edge.way(Way::Refused);
    for _ in 0..2 {
        assert_eq!(edge.get("/health").status, 200);
    }
}

#[test]
fn the_route_for_other_servers_has_a_line_for_each_compute() {
    let gpu =
        World::several(vec![paris(), vec![Step::Text("x"), Step::Fail(failure("internal", "No."))], full()]).setting("models", "org/large");
    let document = hello(json!({"stop": [], "ignore_end": false, "sampling": sampling()})).to_string();
    let post = || gpu.send(Method::POST, "/v1/nn/org%2Flarge", document.clone());
    let answer = post();
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/x-ndjson"), "{}", answer.text());
    assert_eq!((answer.frames.len(), &answer.lines()[0]), (3, &json!({"text": "Pa", "tokens": [0]})));
    let result: Value = serde_json::from_str(answer.lines()[2]["result"].as_str().unwrap()).unwrap();
    assert_eq!((&result["finish_reason"], &answer.trailers["hearth-log-completion-tokens"]), (&json!("stop"), &"3".parse().unwrap()));
    assert_eq!(answer.headers["hearth-log-route"], "/v1/nn/{graph}");
    assert_eq!(post().lines()[1], json!({"error": {"kind": "internal", "message": "No."}}));
    let refused = post();
    assert_eq!((refused.status.as_u16(), refused.json()["error"]["kind"].as_str()), (503, Some("queue_full")));
    assert_eq!(refused.header("retry-after"), "1");
    for body in ["", "[]", "{"] {
        let answer = gpu.send(Method::POST, "/v1/nn/org/large", body);
        assert_eq!((answer.status.as_u16(), answer.json()["error"]["kind"].as_str()), (400, Some("invalid_request")));
    }
    assert_eq!(gpu.send(Method::POST, "/v1/nn/small", document.clone()).status, 404);
    assert_eq!(gpu.get("/v1/nn/org/large").status, 405);
    let locked = World::obliging().setting("keys", "required");
    assert_eq!(locked.send(Method::POST, "/v1/nn/tiny", document.clone()).status, 401);
    let reads = wait(keys::create(&locked, New { name: "r".into(), scopes: vec![Scope::Read], ..New::default() })).unwrap();
    assert_eq!(locked.send_with(Method::POST, "/v1/nn/tiny", &[("authorization", &bearer(&reads))], document.clone()).status, 403);
    let other = limited(&locked, Limits::default(), &["other"]);
    assert_eq!(locked.send_with(Method::POST, "/v1/nn/tiny", &[("authorization", &bearer(&other))], document).status, 404);
}
