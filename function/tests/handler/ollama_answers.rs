//! `/api/chat` and `/api/generate`: answers, whole and as lines, and how failures are told.

use http::Method;
use serde_json::{Value, json};

use crate::{
    ollama_requests::{hello, merge},
    world::{Answer, Event, Step, World, failure, frame},
};

const CHAT: &str = "/api/chat";
const GENERATE: &str = "/api/generate";

/// The lines of an answer without their times, which are checked.
fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/x-ndjson"));
    let mut lines = answer.lines();
    lines.iter_mut().for_each(take_time);
    lines
}

/// Takes the time out of a document, which is one of RFC 3339 in UTC.
fn take_time(document: &mut Value) {
    let time = document.as_object_mut().unwrap().remove("created_at").expect("a time");
    let time = time.as_str().unwrap();
    let form: String = time.chars().map(|character| if character.is_ascii_digit() { '0' } else { character }).collect();
    assert!(form.starts_with("0000-00-00T00:00:00") && form.ends_with('Z') && time > "2025", "{time}");
}

fn message(content: &str) -> Value {
    json!({"model": "tiny:latest", "message": {"role": "assistant", "content": content}, "done": false})
}

fn end(reason: &str) -> Value {
    json!({
        "done": true, "done_reason": reason, "total_duration": 90_100_000, "load_duration": 100_000, "prompt_eval_count": 7,
        "prompt_eval_duration": 10_000_000, "eval_count": 3, "eval_duration": 80_000_000
    })
}

#[test]
fn a_chat_is_streamed_line_by_line_unless_it_is_not_wanted() {
    let script = || World::new([Step::Text("Hel"), Step::Text(""), Step::Text("lo"), Step::End("!", "stop")]);
    for more in [json!({}), json!({"stream": true}), json!({"stream": null})] {
        assert_eq!(
            lines(&script().post(CHAT, &hello(more))),
            [message("Hel"), message("lo"), message("!"), merge(message(""), end("stop"))]
        );
    }
    let answer = script().post(CHAT, &hello(json!({"stream": false})));
    assert_eq!(answer.header("content-type"), "application/json");
    let mut document = answer.json();
    take_time(&mut document);
    assert_eq!(document, merge(message("Hello!"), end("stop")));
}

#[test]
fn a_prompts_answer_is_a_response() {
    let script = || World::new([Step::Text("Hel"), Step::End("lo", "length")]);
    let said = |text: &str| json!({"model": "other", "response": text, "done": false});
    let request = json!({"model": "other", "prompt": "p"});
    assert_eq!(lines(&script().post(GENERATE, &request)), [said("Hel"), said("lo"), merge(said(""), end("length"))]);
    let mut document = script().post(GENERATE, &merge(request, json!({"stream": false}))).json();
    take_time(&mut document);
    assert_eq!(document, merge(said("Hello"), end("length")));
}

#[test]
fn thinking_is_told_beside_the_text() {
    let script = || {
        World::new([
            Step::Say(json!({"reasoning": "Hm", "text": ""})),
            Step::Say(json!({"reasoning": ".", "text": "Y", "tokens": [1]})),
            Step::End("es", "stop"),
        ])
    };
    let chat = script().post(CHAT, &hello(json!({"stream": false}))).json();
    assert_eq!(chat["message"], json!({"role": "assistant", "content": "Yes", "thinking": "Hm."}));
    let generate = script().post(GENERATE, &json!({"prompt": "p", "stream": false, "think": true})).json();
    assert_eq!((&generate["response"], &generate["thinking"]), (&json!("Yes"), &json!("Hm.")));
    let told: Vec<_> = lines(&script().post(CHAT, &hello(json!({})))).iter().map(|line| line["message"].clone()).collect();
    assert_eq!(
        told,
        [
            json!({"role": "assistant", "content": "", "thinking": "Hm"}),
            json!({"role": "assistant", "content": "Y", "thinking": "."}),
            json!({"role": "assistant", "content": "es"}),
            json!({"role": "assistant", "content": ""})
        ]
    );
    // One that thinks all the same keeps it to itself, and its lines are a sign of life.
    let hidden = lines(&script().post(GENERATE, &json!({"prompt": "p", "think": false})));
    let texts: Vec<_> = hidden.iter().map(|line| line["response"].as_str().unwrap()).collect();
    assert_eq!(texts, ["", "Y", "es", ""]);
    assert!(hidden.iter().all(|line| line.get("thinking").is_none()));
    assert_eq!(script().post(CHAT, &hello(json!({"stream": false, "think": false}))).json()["message"].get("thinking"), None);
}

#[test]
fn calls_are_told_whole() {
    let script = || {
        World::new([
            Step::Text("Wait"),
            Step::Say(json!({"text": "", "tool_calls": [{"index": 0, "name": "weather"}, {"index": 0, "arguments": "{\"city\": "}]})),
            Step::Say(
                json!({"text": "", "tool_calls": [{"index": 0, "arguments": "\"Paris\"}"}, {"index": 1, "name": "time"}, {"index": 1, "arguments": "{}"}]}),
            ),
            Step::Say(json!({"text": "", "tool_calls": [{"index": 2, "name": "cut"}, {"index": 2, "arguments": "{\"a"}], "result": {
                "finish_reason": "tool_calls", "usage": {"prompt_tokens": 7, "completion_tokens": 9}
            }})),
        ])
    };
    let tools =
        ["weather", "time", "cut"].map(|name| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}));
    let check = |message: &Value| {
        let mut calls = message["tool_calls"].clone();
        let ids: Vec<_> = calls.as_array_mut().unwrap().iter_mut().map(|call| call["id"].take()).collect();
        assert!(ids.iter().all(|id| id.as_str().unwrap().starts_with("call_")) && ids[0] != ids[1], "{ids:?}");
        assert_eq!(
            calls,
            json!([
                {"id": null, "function": {"index": 0, "name": "weather", "arguments": {"city": "Paris"}}},
                {"id": null, "function": {"index": 1, "name": "time", "arguments": {}}}
            ])
        );
    };
    let whole = script().post(CHAT, &hello(json!({"tools": tools, "stream": false}))).json();
    assert_eq!((&whole["message"]["content"], &whole["done_reason"]), (&json!("Wait"), &json!("stop")));
    check(&whole["message"]);
    let lines = lines(&script().post(CHAT, &hello(json!({"tools": tools}))));
    let [text, calls, end] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&text["message"]["content"], &calls["message"]["content"]), (&json!("Wait"), &json!("")));
    check(&calls["message"]);
    assert_eq!((&calls["done"], &end["done"], end["message"].get("tool_calls")), (&json!(false), &json!(true), None));
    // It can be sent back as it is.
    let world = World::new([Step::End("", "stop")]);
    let messages = json!([{"role": "user", "content": "a"}, whole["message"], {"role": "tool", "content": "sun", "tool_name": "weather"}]);
    assert_eq!(world.post(CHAT, &json!({"messages": messages})).status, 200);
    assert_eq!(world.request()["messages"][1]["tool_calls"][0]["function"]["arguments"], "{\"city\":\"Paris\"}");
}

#[test]
fn log_probabilities_are_told_with_their_text() {
    let token = |id: u32, token: &str| json!({"id": id, "token": token, "bytes": token.as_bytes(), "logprob": -0.5, "top": [{"id": 9, "token": "b", "bytes": [98], "logprob": -1.5}]});
    let script = || {
        World::new([
            Step::Say(json!({"text": "", "tokens": [1], "logprobs": [token(1, "a")]})),
            Step::Say(json!({"text": "aé", "tokens": [2], "logprobs": [token(2, "é")]})),
            Step::Say(
                json!({"text": "", "tokens": [3], "logprobs": [token(3, "")], "result": {"finish_reason": "stop", "usage": {"prompt_tokens": 1, "completion_tokens": 3}}}),
            ),
        ])
    };
    let told = |token: &str| json!({"token": token, "logprob": -0.5, "bytes": token.as_bytes(), "top_logprobs": [{"token": "b", "logprob": -1.5, "bytes": [98]}]});
    let request = json!({"prompt": "p", "logprobs": true, "top_logprobs": 1});
    let lines = lines(&script().post(GENERATE, &request));
    assert_eq!((lines.len(), &lines[0]["logprobs"], &lines[1]["logprobs"]), (2, &json!([told("a"), told("é")]), &json!([told("")])));
    let whole = script().post(GENERATE, &merge(request, json!({"stream": false}))).json();
    assert_eq!(whole["logprobs"], json!([told("a"), told("é"), told("")]));
}

#[test]
fn a_line_leaves_before_the_next_is_computed() {
    let world = World::new([Step::Text("one"), Step::Text("two"), Step::End("three", "stop")]);
    let mut body = world.open_at(CHAT, &hello(json!({}))).into_body();
    for (computes, text) in [(1, "one"), (2, "two"), (3, "three")] {
        let frame = frame(&mut body).expect("a frame");
        assert!(frame.contains(&format!("\"content\":\"{text}\"")) && frame.ends_with('\n'), "{frame}");
        assert_eq!(world.computes(), computes);
    }
    assert_eq!(frame(&mut body), None);
}

#[test]
fn a_client_that_leaves_stops_the_model() {
    let world = World::new([Step::Say(json!({"reasoning": "a", "text": ""})), Step::Hang]);
    let mut body = world.open_at(GENERATE, &json!({"prompt": "p", "think": false})).into_body();
    assert!(frame(&mut body).is_some());
    assert!(!world.dropped());
    drop(body);
    assert_eq!(world.log().last(), Some(&Event::Dropped));
}

#[test]
fn failures_have_ollamas_envelope() {
    let world = World::new([Step::Text("one"), Step::Fail(failure("shutting_down", "The server stops."))]);
    let lines = world.post(CHAT, &hello(json!({}))).lines();
    assert_eq!(lines[1..], [json!({"error": "The server stops."})]);
    for (path, request) in [(CHAT, hello(json!({}))), (GENERATE, json!({"prompt": "p", "stream": false}))] {
        let answer = World::new([Step::Fail(failure("queue_full", "64 requests wait."))]).post(path, &request);
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
        assert_eq!(answer.ollama_error(), "64 requests wait.");
    }
    let error = |answer: Answer| {
        answer.ollama_error();
        answer.status.as_u16()
    };
    let world = || World::new([]);
    assert_eq!(error(world().post(CHAT, &hello(json!({"model": "none"})))), 404);
    assert_eq!(error(world().post(CHAT, &json!({"model": "none", "messages": []}))), 404);
    assert_eq!(error(world().load_error("tiny", failure("loading", "?")).post(GENERATE, &json!({}))), 503);
    assert_eq!(error(world().send(Method::POST, CHAT, "{")), 400);
    assert_eq!(error(world().post("/api/pull", &json!({"model": "llama3.2"}))), 404);
    assert_eq!(error(world().send(Method::DELETE, "/api/delete", "")), 404);
    assert_eq!(error(world().get(CHAT)), 405);
    assert_eq!(error(world().get("/api")), 404);
    // Its neighbour is nobody's.
    assert_eq!(world().get("/apix").error().1, "unknown_url");
}
