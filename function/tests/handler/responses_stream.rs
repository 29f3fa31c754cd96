//! Streamed responses: the events, their order and numbers, and that the last is told only once the response is kept.

use std::pin::{Pin, pin};

use http_body::Body as _;
use serde_json::{Value, json};

use crate::{
    responses::{calls, said, tools, without_ids},
    world::{Event, Fate, Step, World, events, failure, frame, poll},
};

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[test]
fn a_text_is_told_in_openais_events() {
    let world = World::new([Step::Text("Par"), Step::Text(""), Step::End("is", "stop")]);
    let answer = world.respond(&json!({"input": "x", "stream": true}));
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/event-stream"));
    let events = answer.events();
    assert_eq!(
        types(&events),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed"
        ]
    );
    let numbers: Vec<_> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    let begun = &events[0]["response"];
    assert_eq!((&begun["status"], &begun["output"], &begun["usage"]), (&json!("in_progress"), &json!([]), &json!(null)));
    assert_eq!(events[1]["response"], *begun);
    let id = events[2]["item"]["id"].clone();
    let at = |event: Value| json!({"item_id": id, "output_index": 0, "content_index": 0, "rest": event});
    let rest = |event: &Value| {
        let mut rest = event.clone();
        for name in ["type", "sequence_number", "item_id", "output_index", "content_index"] {
            rest.as_object_mut().unwrap().remove(name);
        }
        json!({"item_id": event["item_id"], "output_index": event["output_index"], "content_index": event["content_index"], "rest": rest})
    };
    assert_eq!(events[2]["item"], json!({"type": "message", "id": id, "status": "in_progress", "role": "assistant", "content": []}));
    let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
    assert_eq!(rest(&events[3]), at(json!({"part": part("")})));
    assert_eq!(rest(&events[4]), at(json!({"delta": "Par", "logprobs": []})));
    assert_eq!(rest(&events[5]), at(json!({"delta": "is", "logprobs": []})));
    assert_eq!(rest(&events[6]), at(json!({"text": "Paris", "logprobs": []})));
    assert_eq!(rest(&events[7]), at(json!({"part": part("Paris")})));
    assert_eq!(events[8]["item"]["status"], "completed");
    let response = &events[9]["response"];
    assert_eq!(response["output"], json!([events[8]["item"]]));
    assert_eq!(without_ids(response["output"].clone()), json!([said("Paris", "completed")]));
    assert_eq!((&response["id"], &response["status"], &response["usage"]["total_tokens"]), (&begun["id"], &json!("completed"), &json!(10)));
}

#[test]
fn thinking_and_calls_are_told_as_items_of_their_own() {
    let events = World::new(calls()).respond(&json!({"input": "x", "stream": true, "tools": tools()})).events();
    let expected = [
        ("response.created", None),
        ("response.in_progress", None),
        ("response.output_item.added", Some(0)),
        ("response.content_part.added", Some(0)),
        ("response.reasoning_text.delta", Some(0)),
        ("response.reasoning_text.delta", Some(0)),
        ("response.reasoning_text.done", Some(0)),
        ("response.content_part.done", Some(0)),
        ("response.output_item.done", Some(0)),
        ("response.output_item.added", Some(1)),
        ("response.content_part.added", Some(1)),
        ("response.output_text.delta", Some(1)),
        ("response.output_text.done", Some(1)),
        ("response.content_part.done", Some(1)),
        ("response.output_item.done", Some(1)),
        ("response.output_item.added", Some(2)),
        ("response.function_call_arguments.delta", Some(2)),
        ("response.function_call_arguments.delta", Some(2)),
        ("response.function_call_arguments.done", Some(2)),
        ("response.output_item.done", Some(2)),
        ("response.output_item.added", Some(3)),
        ("response.function_call_arguments.delta", Some(3)),
        ("response.function_call_arguments.done", Some(3)),
        ("response.output_item.done", Some(3)),
        ("response.completed", None),
    ];
    let told: Vec<_> = events.iter().map(|event| (event["type"].as_str().unwrap(), event["output_index"].as_u64())).collect();
    assert_eq!(told, expected);
    assert_eq!(events[3]["part"], json!({"type": "reasoning_text", "text": ""}));
    assert_eq!(events[6]["text"], "Two calls.");
    let call = &events[15]["item"];
    assert_eq!((&call["arguments"], &call["name"], &call["status"]), (&json!(""), &json!("weather"), &json!("in_progress")));
    let done = &events[18];
    assert_eq!((&done["arguments"], &done["name"], &done["item_id"]), (&json!("{\"city\": \"Paris\"}"), &json!("weather"), &call["id"]));
    assert_eq!(events[19]["item"]["call_id"], call["call_id"]);
    let output = events[24]["response"]["output"].as_array().unwrap();
    let items: Vec<_> = events.iter().filter(|event| event["type"] == "response.output_item.done").map(|event| &event["item"]).collect();
    assert_eq!(output.iter().collect::<Vec<_>>(), items);
}

#[test]
fn a_stream_and_a_whole_answer_say_the_same() {
    let clean = |mut response: Value| {
        let output = without_ids(response["output"].take());
        let mut output = output.as_array().unwrap().clone();
        output.iter_mut().for_each(|item| drop(item.as_object_mut().unwrap().remove("call_id")));
        for name in ["id", "created_at", "completed_at"] {
            response.as_object_mut().unwrap().remove(name);
        }
        (response, output)
    };
    let request = |stream: bool| json!({"input": "x", "tools": tools(), "stream": stream, "top_logprobs": 1});
    for script in [calls(), vec![Step::End("", "stop")], vec![Step::End("a", "length")]] {
        let whole = World::new(script.clone()).respond(&request(false)).json();
        let events = World::new(script).respond(&request(true)).events();
        assert_eq!(clean(events.last().unwrap()["response"].clone()), clean(whole));
    }
}

#[test]
fn an_answer_that_is_cut_short_ends_as_incomplete() {
    let events = World::new([Step::End("a", "length")]).respond(&json!({"input": "x", "stream": true})).events();
    let last = events.last().unwrap();
    assert_eq!((&last["type"], &last["response"]["status"]), (&json!("response.incomplete"), &json!("incomplete")));
    assert_eq!(last["response"]["incomplete_details"]["reason"], "max_output_tokens");
}

#[test]
fn an_error_ends_the_stream_as_failed_and_nothing_is_kept() {
    let world = World::new([Step::Text("a"), Step::Fail(failure("shutting_down", "The server stops."))]);
    let events = world.respond(&json!({"input": "x", "stream": true})).events();
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(last["response"]["status"], "failed");
    assert_eq!(last["response"]["error"], json!({"code": "server_error", "message": "The server stops."}));
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "a");
    assert!(world.kept().is_empty());
    // Before the first text it is a status.
    let answer = World::new([Step::Fail(failure("queue_full", "64 wait."))]).respond(&json!({"input": "x", "stream": true}));
    assert_eq!((answer.status.as_u16(), answer.error().1), (503, json!("queue_full")));
}

#[test]
fn a_chunk_leaves_before_the_next_is_computed() {
    let world = World::new([Step::Text("one"), Step::Text("two"), Step::End("three", "stop")]);
    let mut body = world.open_at("/v1/responses", &json!({"input": "x", "stream": true})).into_body();
    for (computes, text) in [(1, "one"), (2, "two"), (3, "three")] {
        let frame = frame(&mut body).expect("a frame");
        assert!(events(&frame).iter().any(|event| event["delta"] == text), "{frame}");
        assert_eq!(world.computes(), computes);
    }
    assert_eq!(frame(&mut body), None);
}

#[test]
fn the_end_is_told_once_the_response_is_kept() {
    let world = World::new([Step::Text("one"), Step::End("two", "stop")]);
    let mut body = world.open_at("/v1/responses", &json!({"input": "x", "stream": true})).into_body();
    frame(&mut body);
    world.fates(|operation, _| if operation == "set" { Fate::Hangs } else { Fate::Done });
    for _ in 0..10 {
        let pull = pin!(std::future::poll_fn(|task| Pin::new(&mut body).poll_frame(task)));
        assert!(poll(pull).is_pending(), "it is not kept yet");
    }
    // What it was computed with is free meanwhile.
    assert_eq!(world.log().last(), Some(&Event::Dropped));
    drop(body);
    assert!(world.kept().is_empty());
}

#[test]
fn a_response_that_cannot_be_kept_has_failed() {
    let world = World::new([Step::End("a", "stop")]);
    world.fates(|operation, key| if operation == "set" && key.starts_with("response/") { Fate::Failed } else { Fate::Done });
    let events = world.respond(&json!({"input": "x", "stream": true})).events();
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert!(last["response"]["error"]["message"].as_str().unwrap().contains("the disk is full"), "{last}");
    assert_eq!(last["response"]["completed_at"], json!(null));
    assert!(!types(&events).contains(&"response.completed"));
}

#[test]
fn a_client_that_leaves_stops_the_model_and_nothing_is_kept() {
    let world = World::new([Step::Text("one"), Step::Text("two"), Step::End("", "stop")]);
    let mut body = world.open_at("/v1/responses", &json!({"input": "x", "stream": true})).into_body();
    frame(&mut body);
    drop(body);
    assert!(world.dropped());
    assert!(world.kept().is_empty());
}
