//! `/v1/messages`: answers, whole and streamed, and how failures are told.

use http::Method;
use serde_json::{Value, json};

use crate::{
    anthropic_requests::hello,
    world::{Event, Step, World, failure, frame, named_events},
};

const PATH: &str = "/v1/messages";

fn adaptive() -> Value {
    json!({"thinking": {"type": "adaptive"}})
}

fn tools() -> Value {
    json!([{"name": "weather", "input_schema": {"type": "object"}}, {"name": "time", "input_schema": {"type": "object"}}])
}

/// A model that thinks, says a word, and calls two tools.
fn calls() -> World {
    World::new([
        Step::Say(json!({"reasoning": "Two ", "text": ""})),
        Step::Say(json!({"reasoning": "calls.", "text": "Wait", "tokens": [1]})),
        Step::Say(json!({"text": "", "tool_calls": [{"index": 0, "name": "weather"}, {"index": 0, "arguments": "{\"city\": "}]})),
        Step::Say(json!({"text": "", "tool_calls": [{"index": 0, "arguments": "\"Paris\"}"}, {"index": 1, "name": "time"}]})),
        Step::Say(json!({"text": "", "tool_calls": [{"index": 1, "arguments": "{}"}], "result": {
            "finish_reason": "tool_calls", "usage": {"prompt_tokens": 7, "cached_tokens": 2, "completion_tokens": 9, "reasoning_tokens": 4}
        }})),
    ])
}

/// Takes the names of an answer's calls out of it, which differ from answer to answer.
fn take_ids(blocks: &mut Value) -> Vec<String> {
    let blocks = blocks.as_array_mut().expect("blocks").iter_mut();
    let ids: Vec<_> =
        blocks.filter(|block| block["type"] == "tool_use").map(|block| block["id"].take().as_str().unwrap().to_owned()).collect();
    assert!(ids.iter().all(|id| id.starts_with("toolu_")) && ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
    ids
}

#[test]
fn an_answer_has_anthropics_form() {
    let world = World::new([Step::Text("Hel"), Step::End("lo", "stop")]);
    let answer = world.post(PATH, &hello(json!({})));
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    let mut document = answer.json();
    assert!(document["id"].take().as_str().unwrap().starts_with("msg_"));
    assert_eq!(
        document,
        json!({
            "id": null, "type": "message", "role": "assistant", "model": "tiny", "content": [{"type": "text", "text": "Hello"}],
            "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {
                "input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 2, "output_tokens": 3,
                "output_tokens_details": {"thinking_tokens": 0}
            }
        })
    );
    assert!(world.dropped());
}

#[test]
fn an_answer_says_why_it_ended() {
    let ended = |result: Value| {
        let mut result = result;
        result["usage"] = json!({"prompt_tokens": 7, "completion_tokens": 64});
        let end = |result: &Value| World::new([Step::Say(json!({"text": "", "result": result}))]);
        let whole = end(&result).post(PATH, &hello(json!({}))).json();
        let events = end(&result).post(PATH, &hello(json!({"stream": true}))).named_events();
        let delta = &events[events.len() - 2]["delta"];
        assert_eq!(delta, &json!({"stop_reason": whole["stop_reason"], "stop_sequence": whole["stop_sequence"]}));
        assert_eq!(whole["content"], json!([]));
        (whole["stop_reason"].clone(), whole["stop_sequence"].clone())
    };
    assert_eq!(ended(json!({"finish_reason": "stop"})), (json!("end_turn"), json!(null)));
    assert_eq!(ended(json!({"finish_reason": "stop", "stop": "\n\n"})), (json!("stop_sequence"), json!("\n\n")));
    assert_eq!(ended(json!({"finish_reason": "length"})), (json!("max_tokens"), json!(null)));
    assert_eq!(ended(json!({"finish_reason": "tool_calls"})), (json!("tool_use"), json!(null)));
    // The context was full before the limit was reached.
    let answer = World::new([Step::End("a", "length")]).post(PATH, &hello(json!({})));
    assert_eq!(answer.json()["stop_reason"], "model_context_window_exceeded");
}

#[test]
fn thinking_text_and_calls_are_blocks() {
    let mut request = hello(adaptive());
    request["tools"] = tools();
    let mut document = calls().post(PATH, &request).json();
    take_ids(&mut document["content"]);
    let [thinking, rest @ ..] = &document["content"].as_array().unwrap()[..] else { panic!("{document}") };
    assert_eq!((&thinking["type"], &thinking["thinking"]), (&json!("thinking"), &json!("Two calls.")));
    assert!(thinking["signature"].as_str().is_some_and(|signature| !signature.is_empty()));
    assert_eq!(
        json!(rest),
        json!([
            {"type": "text", "text": "Wait"},
            {"type": "tool_use", "id": null, "name": "weather", "input": {"city": "Paris"}},
            {"type": "tool_use", "id": null, "name": "time", "input": {}}
        ])
    );
    assert_eq!(document["stop_reason"], "tool_use");
    assert_eq!(document["usage"]["output_tokens_details"]["thinking_tokens"], 4);
}

#[test]
fn an_answer_can_be_sent_back() {
    let mut request = hello(adaptive());
    request["tools"] = tools();
    let document = calls().post(PATH, &request).json();
    let id = document["content"][2]["id"].clone();
    let messages = request["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "content": document["content"]}));
    messages.push(json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "sun"}]}));
    let world = World::new([Step::End("", "stop")]);
    assert_eq!(world.post(PATH, &request).status, 200);
    let asked = &world.request()["messages"];
    assert_eq!((&asked[1]["content"], &asked[1]["reasoning_content"]), (&json!("Wait"), &json!("Two calls.")));
    assert_eq!(asked[1]["tool_calls"][0]["id"], id);
    assert_eq!(asked[2], json!({"role": "tool", "content": "sun", "tool_call_id": id, "name": "weather"}));
}

#[test]
fn thinking_is_told_only_where_it_is_asked_for() {
    let script = || World::new([Step::Say(json!({"reasoning": "Hm.", "text": ""})), Step::End("Yes", "stop")]);
    let omitted = json!({"thinking": {"type": "enabled", "budget_tokens": 9, "display": "omitted"}});
    for (more, thinking) in
        [(json!({}), None), (json!({"thinking": {"type": "disabled"}}), None), (omitted, Some("")), (adaptive(), Some("Hm."))]
    {
        let whole = script().post(PATH, &hello(more.clone())).json();
        let blocks = whole["content"].as_array().unwrap();
        assert_eq!(blocks.last().unwrap(), &json!({"type": "text", "text": "Yes"}));
        let told = blocks.iter().find(|block| block["type"] == "thinking").map(|block| block["thinking"].as_str().unwrap());
        assert_eq!(told, thinking, "{more}");
        let mut request = hello(more.clone());
        request["stream"] = json!(true);
        let events = script().post(PATH, &request).named_events();
        let told: Vec<_> = events.iter().filter_map(|event| event["delta"]["thinking"].as_str()).collect();
        assert_eq!(told.concat(), thinking.unwrap_or_default());
        assert_eq!(events.iter().filter(|event| event["type"] == "content_block_start").count(), blocks.len());
        // What is not told is still a sign of life.
        let pings = events.iter().filter(|event| event["type"] == "ping").count();
        assert_eq!(pings, if thinking == Some("Hm.") { 1 } else { 2 }, "{more}");
    }
}

#[test]
fn a_stream_is_anthropics_event_by_event() {
    let world = World::new([Step::Text("Hel"), Step::Text(""), Step::Text("lo"), Step::End("!", "stop")]);
    let answer = world.post(PATH, &hello(json!({"stream": true})));
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/event-stream"));
    let mut events = answer.named_events();
    assert!(events[0]["message"]["id"].take().as_str().unwrap().starts_with("msg_"));
    let delta = |text: &str| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
    let usage = |input: u64, cached: u64, output: u64| {
        json!({
            "input_tokens": input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": cached, "output_tokens": output,
            "output_tokens_details": {"thinking_tokens": 0}
        })
    };
    assert_eq!(
        json!(events),
        json!([
            {"type": "message_start", "message": {
                "id": null, "type": "message", "role": "assistant", "model": "tiny", "content": [], "stop_reason": null, "stop_sequence": null,
                "usage": usage(0, 0, 0)
            }},
            {"type": "ping"},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            delta("Hel"),
            delta("lo"),
            delta("!"),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": usage(5, 2, 3)},
            {"type": "message_stop"}
        ])
    );
}

#[test]
fn blocks_are_streamed_one_after_another() {
    let mut request = hello(adaptive());
    request["tools"] = tools();
    request["stream"] = json!(true);
    let mut events: Vec<_> = calls().post(PATH, &request).named_events().into_iter().filter(|event| event["type"] != "ping").collect();
    let mut blocks = json!([]);
    for event in events.iter_mut().filter(|event| event["type"] == "content_block_start") {
        blocks.as_array_mut().unwrap().push(event["content_block"].clone());
        if event["content_block"]["type"] == "tool_use" {
            event["content_block"]["id"] = json!(null);
        }
    }
    take_ids(&mut blocks);
    let signature = events[4]["delta"]["signature"].take();
    assert!(signature.as_str().is_some_and(|signature| !signature.is_empty()));
    let start = |index: usize, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let stop = |index: usize| json!({"type": "content_block_stop", "index": index});
    let delta = |index: usize, name: &str, text: Value| {
        let of_type = if name == "partial_json" { "input_json_delta".into() } else { format!("{name}_delta") };
        json!({"type": "content_block_delta", "index": index, "delta": {"type": of_type, name: text}})
    };
    let call = |name: &str| json!({"type": "tool_use", "id": null, "name": name, "input": {}});
    assert_eq!(
        json!(events[1..events.len() - 2]),
        json!([
            start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
            delta(0, "thinking", json!("Two ")),
            delta(0, "thinking", json!("calls.")),
            delta(0, "signature", json!(null)),
            stop(0),
            start(1, json!({"type": "text", "text": ""})),
            delta(1, "text", json!("Wait")),
            stop(1),
            start(2, call("weather")),
            delta(2, "partial_json", json!("{\"city\": ")),
            delta(2, "partial_json", json!("\"Paris\"}")),
            stop(2),
            start(3, call("time")),
            delta(3, "partial_json", json!("{}")),
            stop(3)
        ])
    );
    assert_eq!(events[events.len() - 2]["delta"]["stop_reason"], "tool_use");
}

#[test]
fn a_text_after_a_call_is_a_block_of_its_own() {
    let world = World::new([
        Step::Say(json!({"text": "", "tool_calls": [{"index": 0, "name": "time"}, {"index": 0, "arguments": "{}"}]})),
        Step::End("Done", "tool_calls"),
    ]);
    let events = world.post(PATH, &hello(json!({"stream": true, "tools": tools()}))).named_events();
    let starts: Vec<_> =
        events.iter().filter(|event| event["type"] == "content_block_start").map(|event| &event["content_block"]["type"]).collect();
    assert_eq!(starts, ["tool_use", "text"]);
}

#[test]
fn a_call_that_was_cut_off_is_not_told() {
    let world = World::new([
        Step::Say(json!({"text": "", "tool_calls": [{"index": 0, "name": "time"}, {"index": 0, "arguments": "{}"}]})),
        Step::Say(json!({"text": "", "tool_calls": [{"index": 1, "name": "weather"}, {"index": 1, "arguments": "{\"ci"}], "result": {
            "finish_reason": "length", "usage": {"prompt_tokens": 7, "completion_tokens": 64}
        }})),
    ]);
    let document = world.post(PATH, &hello(json!({"tools": tools()}))).json();
    let names: Vec<_> = document["content"].as_array().unwrap().iter().map(|block| &block["name"]).collect();
    assert_eq!((names, &document["stop_reason"]), (vec![&json!("time")], &json!("max_tokens")));
}

#[test]
fn a_chunk_leaves_before_the_next_is_computed() {
    let world = World::new([Step::Text("one"), Step::Text("two"), Step::End("three", "stop")]);
    let mut body = world.open_at(PATH, &hello(json!({"stream": true}))).into_body();
    for (computes, text) in [(1, "one"), (2, "two"), (3, "three")] {
        let frame = frame(&mut body).expect("a frame");
        assert!(named_events(&frame).iter().any(|event| event["delta"]["text"] == text), "{frame}");
        assert_eq!(world.computes(), computes);
    }
    assert_eq!(frame(&mut body), None);
}

#[test]
fn a_client_that_leaves_stops_the_model() {
    // Thinking that is not told makes frames too: else nobody would see that the client has gone.
    let world =
        World::new([Step::Say(json!({"reasoning": "a", "text": ""})), Step::Say(json!({"reasoning": "b", "text": ""})), Step::Hang]);
    let mut body = world.open_at(PATH, &hello(json!({"stream": true}))).into_body();
    for computes in [1, 2] {
        frame(&mut body).expect("a frame");
        assert_eq!(world.computes(), computes);
    }
    drop(body);
    assert_eq!(world.log().last(), Some(&Event::Dropped));
}

#[test]
fn an_error_within_a_stream_is_an_event_and_the_end() {
    let world = World::new([Step::Text("one"), Step::Fail(failure("shutting_down", "The server stops."))]);
    let answer = world.post(PATH, &hello(json!({"stream": true})));
    assert_eq!(answer.status, 200);
    let events = answer.named_events();
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "The server stops."}});
    assert_eq!(events.last().unwrap(), &error);
    assert!(events.iter().all(|event| event["type"] != "message_stop"));
    assert!(world.dropped());
}

#[test]
fn failures_have_anthropics_envelope() {
    let cases = [
        ("invalid_request", 400, "invalid_request_error"),
        ("context_length", 400, "invalid_request_error"),
        ("queue_full", 503, "overloaded_error"),
        ("timeout", 504, "timeout_error"),
        ("internal", 500, "api_error"),
    ];
    for (kind, status, of_type) in cases {
        for stream in [false, true] {
            let answer = World::new([Step::Fail(failure(kind, "Why."))]).post(PATH, &hello(json!({"stream": stream})));
            assert_eq!((answer.status.as_u16(), answer.anthropic_error()), (status, (of_type.to_owned(), "Why.".to_owned())));
        }
    }
    let answer = World::new([Step::Fail(failure("queue_full", "64 requests wait."))]).post(PATH, &hello(json!({})));
    assert_eq!(answer.header("retry-after"), "1");
    let error = |answer: crate::world::Answer| (answer.status.as_u16(), answer.anthropic_error().0);
    let world = || World::new([]);
    assert_eq!(error(world().post(PATH, &hello(json!({"model": "claude"})))), (404, "not_found_error".into()));
    assert_eq!(error(world().get("/v1/messages/batches")), (404, "not_found_error".into()));
    assert_eq!(error(world().setting("max_body_bytes", "10").post(PATH, &hello(json!({})))), (413, "request_too_large".into()));
    assert_eq!(error(world().send(Method::POST, PATH, "{")), (400, "invalid_request_error".into()));
    let answer = world().get(PATH);
    assert_eq!(answer.header("allow"), "POST");
    assert_eq!(error(answer), (405, "invalid_request_error".into()));
}

#[test]
fn any_character_passes_in_both_forms() {
    const TEXT: &str = "é 漢字 👩‍👩‍👧‍👦 \u{2028}\"\\\n\r\n\nevent: message_stop\n\n\u{0}</script>";
    let whole = World::new([Step::End(TEXT, "stop")]).post(PATH, &hello(json!({})));
    assert_eq!(whole.json()["content"][0]["text"], TEXT);
    let stream = World::new([Step::Text(TEXT), Step::End("", "stop")]).post(PATH, &hello(json!({"stream": true})));
    assert_eq!(stream.named_events()[3]["delta"]["text"], TEXT);
}
