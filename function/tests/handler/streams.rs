//! Streamed answers: their order, that each chunk leaves before the next is computed, and that whoever leaves stops the model.

use std::pin::{Pin, pin};

use http::Request;
use http_body::Body as _;
use serde_json::{Value, json};

use crate::world::{Event, Frames, Step, World, events, failure, frame, hello, poll};

fn delta(event: &Value) -> &Value {
    &event["choices"][0]["delta"]
}

#[test]
fn a_stream_is_role_text_reason_done() {
    let world = World::new([Step::Text("Hel"), Step::Text(""), Step::Text("lo"), Step::End("!", "length")]);
    let answer = world.chat(&hello(json!({"stream": true})));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    assert_eq!(answer.header("x-accel-buffering"), "no");
    assert_eq!(answer.header("content-length"), "");
    let events = answer.events();
    let deltas: Vec<_> = events[..events.len() - 1].iter().map(delta).collect();
    assert_eq!(
        deltas,
        [
            &json!({"role": "assistant", "content": ""}),
            &json!({"content": "Hel"}),
            &json!({"content": "lo"}),
            &json!({"content": "!"}),
            &json!({})
        ]
    );
    let reasons: Vec<_> = events.iter().map(|event| event["choices"][0]["finish_reason"].as_str()).collect();
    assert_eq!(reasons, [None, None, None, None, Some("length"), None]);
    assert_eq!(events[5], "[DONE]");
    for event in &events[..5] {
        assert_eq!(event["object"], "chat.completion.chunk");
        assert_eq!(event["id"], events[0]["id"]);
        assert_eq!(event["model"], "tiny");
        assert!(event.get("usage").is_none());
    }
}

#[test]
fn usage_comes_last_when_asked_for() {
    let world = World::new([Step::End("x", "stop")]);
    let events =
        world.chat(&hello(json!({"stream": true, "stream_options": {"include_usage": true, "include_obfuscation": false}}))).events();
    let [chunks @ .., usage, done] = &events[..] else { panic!("{events:?}") };
    assert!(chunks.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)), "{chunks:?}");
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["total_tokens"], 10);
    assert_eq!(done, "[DONE]");
}

#[test]
fn a_chunk_leaves_before_the_next_is_computed() {
    let world = World::new([Step::Text("one"), Step::Text("two"), Step::End("three", "stop")]);
    let mut body = world.open(&hello(json!({"stream": true}))).into_body();
    for (computes, text) in [(1, "one"), (2, "two"), (3, "three")] {
        let frame = frame(&mut body).expect("a frame");
        assert!(events(&frame).iter().any(|event| delta(event)["content"] == text), "{frame}");
        assert_eq!(world.computes(), computes, "after {text:?}");
    }
    assert_eq!(frame(&mut body), None);
    assert_eq!(frame(&mut body), None);
}

#[test]
fn headers_can_leave_before_the_second_compute() {
    let world = World::new([Step::Text("one"), Step::End("", "stop")]);
    let mut body = world.open(&hello(json!({"stream": true}))).into_body();
    assert!(!world.log().contains(&Event::Yielded));
    let first = std::future::poll_fn(|task| Pin::new(&mut body).poll_frame(task));
    assert!(poll(pin!(first)).is_pending(), "the first pull must yield");
    assert_eq!(world.log().last(), Some(&Event::Yielded));
    frame(&mut body);
    assert_eq!(world.computes(), 1);
}

#[test]
fn the_context_is_gone_with_the_last_chunk() {
    let world = World::new([Step::End("all", "stop")]);
    let mut body = world.open(&hello(json!({"stream": true}))).into_body();
    frame(&mut body);
    assert!(world.dropped());
}

#[test]
fn a_client_that_leaves_stops_the_model() {
    let world = World::new([Step::Text("one"), Step::Text("two"), Step::End("", "stop")]);
    let mut body = world.open(&hello(json!({"stream": true}))).into_body();
    frame(&mut body);
    assert!(!world.dropped());
    drop(body);
    assert_eq!(world.log().last(), Some(&Event::Dropped));
    assert_eq!(world.computes(), 1);
}

#[test]
fn a_client_that_leaves_within_a_compute_stops_it() {
    for (stream, steps) in [(true, vec![Step::Hang]), (false, vec![Step::Hang]), (false, vec![Step::Text("a"), Step::Hang])] {
        let world = World::new(steps.clone());
        let request = Request::post("/v1/chat/completions").body(Frames::whole(hello(json!({"stream": stream})).to_string())).unwrap();
        let mut answer = Box::pin(hearth_function::handle(world.clone(), request));
        assert!(poll(answer.as_mut()).is_pending());
        assert_eq!((world.computes(), world.dropped()), (steps.len(), false));
        drop(answer);
        assert!(world.dropped());
    }
    let world = World::new([Step::Text("one"), Step::Hang]);
    let mut body = world.open(&hello(json!({"stream": true}))).into_body();
    frame(&mut body);
    assert!(poll(pin!(std::future::poll_fn(|task| Pin::new(&mut body).poll_frame(task)))).is_pending());
    assert_eq!((world.computes(), world.dropped()), (2, false));
    drop(body);
    assert!(world.dropped());
}

#[test]
fn an_error_within_a_stream_is_an_event_and_the_end() {
    let world = World::new([Step::Text("one"), Step::Fail(failure("shutting_down", "The server stops."))]);
    let answer = world.chat(&hello(json!({"stream": true})));
    assert_eq!(answer.status, 200);
    let events = answer.events();
    assert_eq!(
        events.last().unwrap(),
        &json!({"error": {"message": "The server stops.", "type": "unavailable_error", "param": null, "code": "shutting_down"}})
    );
    assert!(!answer.text().contains("[DONE]"));
    assert!(world.dropped());
}

#[test]
fn an_error_before_the_first_text_is_a_status_in_a_stream_too() {
    let world = World::new([Step::Fail(failure("queue_full", "64 requests wait."))]);
    let answer = world.chat(&hello(json!({"stream": true})));
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
    assert_eq!(answer.error().1, "queue_full");
}

#[test]
fn any_character_passes_in_both_forms() {
    const TEXT: &str = "é 漢字 👩‍👩‍👧‍👦 \u{2028}\"\\\n\r\n\ndata: [DONE]\n\n\u{0}\u{7f}</script>";
    let whole = World::new([Step::End(TEXT, "stop")]).chat(&hello(json!({})));
    assert_eq!(whole.json()["choices"][0]["message"]["content"], TEXT);
    let stream = World::new([Step::Text(TEXT), Step::End("", "stop")]).chat(&hello(json!({"stream": true})));
    assert_eq!(delta(&stream.events()[1])["content"], TEXT);
}

#[test]
fn futures_and_bodies_go_between_threads() {
    fn sendable<T: Send>(_: &T) {}
    let request = Request::post("/v1/chat/completions").body(Frames::whole("")).unwrap();
    let future = hearth_function::handle(World::new([]), request);
    sendable(&future);
    sendable(&hearth_function::Body::full(""));
}
