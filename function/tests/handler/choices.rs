//! Several choices of one request: each from its own sequence, told by its index.

use serde_json::json;

use crate::world::{Event, Step, World, failure, frame, hello};

fn dropped(world: &World) -> usize {
    world.log().iter().filter(|event| **event == Event::Dropped).count()
}

#[test]
fn choices_are_told_in_order_and_counted_together() {
    let world = World::several([
        vec![Step::Later, Step::Text("a"), Step::Later, Step::End("b", "length")],
        vec![Step::End("c", "stop")],
        vec![Step::Later, Step::Later, Step::End("d", "stop")],
    ]);
    let answer = world.chat(&hello(json!({"n": 3, "seed": 42}))).json();
    let told: Vec<_> =
        answer["choices"].as_array().unwrap().iter().map(|c| (&c["index"], &c["message"]["content"], &c["finish_reason"])).collect();
    assert_eq!(
        told,
        [(&json!(0), &json!("ab"), &json!("length")), (&json!(1), &json!("c"), &json!("stop")), (&json!(2), &json!("d"), &json!("stop"))]
    );
    assert_eq!((&answer["usage"]["prompt_tokens"], &answer["usage"]["completion_tokens"]), (&json!(7), &json!(9)));
    let mut requests = world.requests();
    let seeds: Vec<_> = requests.iter_mut().map(|request| request["sampling"]["seed"].take()).collect();
    assert_eq!(seeds, [42, 43, 44]);
    assert!(requests.iter().all(|request| *request == requests[0]));
    assert_eq!(dropped(&world), 3);
}

#[test]
fn without_a_seed_each_draws_its_own() {
    let world = World::several([vec![Step::End("", "stop")], vec![Step::End("", "stop")]]);
    world.chat(&hello(json!({"n": 2})));
    assert!(world.requests().iter().all(|request| request["sampling"].get("seed").is_none()));
}

#[test]
fn a_stream_tells_each_as_it_comes() {
    let world = World::several([
        vec![Step::Later, Step::Text("a1"), Step::Text("a2"), Step::End("", "stop")],
        vec![Step::Text("b1"), Step::Later, Step::Later, Step::Later, Step::End("b2", "length")],
    ]);
    let mut body = world.open(&hello(json!({"n": 2, "stream": true, "stream_options": {"include_usage": true}}))).into_body();
    let mut events = Vec::new();
    while let Some(frame) = frame(&mut body) {
        let frame = crate::world::events(&frame);
        // One pull is one chunk of one choice; the first begins all, and the last ends the answer.
        let chunks = frame.iter().filter(|event| event["choices"][0]["delta"]["content"].as_str().is_some_and(|text| !text.is_empty()));
        assert!(chunks.count() <= 1);
        events.extend(frame);
    }
    let of = |index: usize| -> String {
        let mine = events.iter().filter(|event| event["choices"][0]["index"] == index);
        mine.filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
    };
    assert_eq!((of(0), of(1)), ("a1a2".into(), "b1b2".into()));
    let place = |text: &str| events.iter().position(|event| event["choices"][0]["delta"]["content"] == text).unwrap();
    assert!(place("b1") < place("a1") && place("a1") < place("b2"), "interleaved: {events:?}");
    let roles = events.iter().filter(|event| event["choices"][0]["delta"]["role"] == "assistant").count();
    let reasons: Vec<_> = events.iter().filter_map(|event| event["choices"][0]["finish_reason"].as_str()).collect();
    assert_eq!((roles, reasons), (2, vec!["stop", "length"]));
    let [.., usage, done] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&usage["usage"]["completion_tokens"], done), (&json!(6), &json!("[DONE]")));
    assert_eq!(dropped(&world), 2);
}

/// Where a compute is a synchronous import, none ever waits: then each gets its turn.
#[test]
fn choices_that_never_wait_take_turns() {
    let world = World::several(["a", "b", "c"].map(|text| vec![Step::Text(text), Step::Text(text), Step::End("", "stop")]));
    let events = world.chat(&hello(json!({"n": 3, "stream": true}))).events();
    let texts: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(texts, "abcabc");
}

#[test]
fn one_that_fails_ends_all() {
    let script = || {
        World::several([vec![Step::Later, Step::Later, Step::Hang], vec![Step::Text("b"), Step::Fail(failure("out_of_memory", "full"))]])
    };
    let world = script();
    let answer = world.chat(&hello(json!({"n": 2})));
    assert_eq!((answer.status.as_u16(), dropped(&world)), (503, 2));
    let world = script();
    let answer = world.chat(&hello(json!({"n": 2, "stream": true})));
    assert_eq!((answer.status.as_u16(), answer.events().last().unwrap()["error"]["code"].as_str()), (200, Some("out_of_memory")));
    assert_eq!(dropped(&world), 2);
    // Before anything was said it is the status.
    let world = World::several([vec![Step::Hang], vec![Step::Fail(failure("queue_full", "later"))]]);
    assert_eq!((world.chat(&hello(json!({"n": 2, "stream": true}))).status.as_u16(), dropped(&world)), (503, 2));
}

#[test]
fn a_client_that_leaves_stops_all() {
    let world = World::several([vec![Step::Text("a"), Step::Hang], vec![Step::Hang], vec![Step::Hang]]);
    let mut body = world.open(&hello(json!({"n": 3, "stream": true}))).into_body();
    frame(&mut body);
    drop(body);
    assert_eq!(dropped(&world), 3);
}

/// More than are computed together: the others wait, and take no place in the model's queue.
#[test]
fn no_more_than_eight_are_begun_at_once() {
    let scripts = (0..11).map(|index| if index < 9 { vec![Step::Hang] } else { vec![] });
    let world = World::several(scripts);
    let request = json!({"prompt": vec!["a"; 11], "stream": true}).to_string();
    let request = http::Request::post("/v1/completions").body(crate::world::Frames::whole(request)).unwrap();
    let mut answer = Box::pin(hearth_function::handle(world.clone(), request));
    assert!(crate::world::poll(answer.as_mut()).is_pending());
    assert_eq!(world.computes(), 8);
    let done = (0..11).map(|_| vec![Step::Later, Step::End("x", "stop")]);
    let answer = World::several(done).post("/v1/completions", &json!({"prompt": vec!["a"; 11]}));
    assert_eq!(answer.json()["choices"].as_array().unwrap().len(), 11, "{}", answer.text());
}
