//! `/v1/conversations`, and responses that go on with one.

use std::pin::Pin;

use http::Request;
use serde_json::{Value, json};

use crate::{
    responses::{calls, said, tools, without_ids},
    world::{Fate, Frames, Step, World, poll},
};

fn begin(world: &World, request: &Value) -> String {
    let answer = world.post("/v1/conversations", request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["id"].as_str().expect("an id").to_owned()
}

fn items(world: &World, conversation: &str) -> Value {
    let mut page = world.get(&format!("/v1/conversations/{conversation}/items?order=asc&limit=100")).json();
    page["data"].take()
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn kept(text: &str) -> Value {
    json!({"type": "message", "status": "completed", "role": "user", "content": [{"type": "input_text", "text": text}]})
}

#[test]
fn a_conversation_begins_is_told_changed_and_forgotten() {
    let world = World::new([]);
    let answer = world.post("/v1/conversations", &json!({"metadata": {"a": "b"}, "items": [user("one"), user("two")]}));
    let told = answer.json();
    let id = told["id"].as_str().unwrap();
    assert!(id.starts_with("conv_") && id.len() == 5 + 48, "{id}");
    assert_eq!((&told["object"], told["created_at"].is_u64(), &told["metadata"]), (&json!("conversation"), true, &json!({"a": "b"})));
    let path = format!("/v1/conversations/{id}");
    assert_eq!(world.get(&path).json(), told);
    assert_eq!(without_ids(items(&world, id)), json!([kept("one"), kept("two")]));

    let changed = world.post(&path, &json!({"metadata": {"c": "d"}}));
    assert_eq!(changed.json()["metadata"], json!({"c": "d"}));
    assert_eq!(world.get(&path).json(), changed.json());
    assert_eq!(items(&world, id).as_array().unwrap().len(), 2);

    assert_eq!(world.delete(&path).json(), json!({"id": id, "object": "conversation.deleted", "deleted": true}));
    assert!(world.kept().is_empty());
    for answer in [
        world.get(&path),
        world.delete(&path),
        world.post(&path, &json!({"metadata": {}})),
        world.get(&format!("{path}/items")),
        world.post(&format!("{path}/items"), &json!({"items": [user("x")]})),
        world.respond(&json!({"input": "x", "conversation": id})),
    ] {
        assert_eq!((answer.status.as_u16(), answer.error().1), (404, json!("conversation_not_found")));
    }
    assert!(world.kept().is_empty());
    // Nothing need be sent to begin one.
    assert_eq!(world.send(http::Method::POST, "/v1/conversations", "").status, 200);
}

#[test]
fn items_are_added_told_and_taken_out() {
    let world = World::new([]);
    let id = begin(&world, &json!({"items": [user("zero")]}));
    let path = format!("/v1/conversations/{id}/items");
    let answer = world.post(&format!("{path}?include[]=message.output_text.logprobs"), &json!({"items": [
        user("one"), {"role": "assistant", "content": "two"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, {"type": "function_call_output", "call_id": "c", "output": "1"}
    ]}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let added = answer.json();
    assert_eq!((&added["object"], &added["has_more"], &added["first_id"]), (&json!("list"), &json!(false), &added["data"][0]["id"]));
    let all = items(&world, &id);
    assert_eq!(all.as_array().unwrap()[1..], added["data"].as_array().unwrap()[..]);
    assert_eq!(
        without_ids(all.clone()),
        json!([
            kept("zero"), kept("one"), said("two", "completed"),
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"},
            {"type": "function_call_output", "call_id": "c", "output": "1", "status": "completed"}
        ])
    );
    let one = all[1]["id"].as_str().unwrap();
    assert_eq!(world.get(&format!("{path}/{one}")).json(), all[1]);
    let answer = world.delete(&format!("{path}/{one}"));
    assert_eq!((answer.status.as_u16(), &answer.json()["id"]), (200, &json!(id)));
    // It is gone, the text as well.
    assert_eq!(items(&world, &id).as_array().unwrap().len(), 4);
    assert!(world.kept().values().all(|bytes| !String::from_utf8_lossy(bytes).contains("\"one\"")));
    for answer in [world.get(&format!("{path}/{one}")), world.delete(&format!("{path}/{one}")), world.get(&format!("{path}/msg_1"))] {
        assert_eq!((answer.status.as_u16(), answer.error().1), (404, json!("item_not_found")));
    }
    let page = world.get(&format!("{path}?limit=1")).json();
    assert_eq!((&page["data"][0]["type"], &page["has_more"]), (&json!("function_call_output"), &json!(true)));
}

#[test]
fn wrong_requests_are_refused_by_name() {
    let cases = [
        ("/v1/conversations", json!({"items": [{"role": "user"}]}), "items[0].content"),
        ("/v1/conversations", json!({"items": vec![user("x"); 21]}), "items"),
        ("/v1/conversations", json!({"items": [{"type": "item_reference", "id": "msg_1"}]}), "items[0].id"),
        ("/v1/conversations", json!({"metadata": {"a": 1}}), "metadata.a"),
        ("/v1/conversations", json!({"name": "x"}), "name"),
        ("/v1/conversations/{conversation_id}", json!({}), "metadata"),
        ("/v1/conversations/{conversation_id}/items", json!({}), "items"),
        ("/v1/conversations/{conversation_id}/items", json!({"items": []}), "items"),
        ("/v1/conversations/{conversation_id}/items", json!({"items": [{"type": "computer_call"}]}), "items[0].type"),
    ];
    for (path, request, param) in cases {
        let (world, address) = World::populated();
        let before = world.kept();
        let answer = world.post(&address(path), &request);
        assert_eq!((answer.status.as_u16(), answer.error().0), (400, json!(param)), "{path} {request}: {}", answer.text());
        assert_eq!(world.kept(), before);
    }
}

#[test]
fn responses_go_on_with_a_conversation_and_add_to_it() {
    for stream in [false, true] {
        let world = World::several([calls(), vec![Step::End("Sunny.", "stop")], vec![Step::End("Bye.", "stop")]]);
        let id = begin(&world, &json!({"items": [user("Hello")]}));
        let respond = |conversation: Value, input: Value| {
            let answer = world.respond(&json!({"conversation": conversation, "input": input, "tools": tools(), "stream": stream}));
            assert_eq!(answer.status, 200, "{}", answer.text());
            if stream { answer.events().last().unwrap()["response"].clone() } else { answer.json() }
        };
        let first = respond(json!(id), json!("Weather?"));
        assert_eq!(first["conversation"], json!({"id": id}));
        let output = |index: usize| json!({"type": "function_call_output", "call_id": first["output"][index]["call_id"], "output": "1"});
        respond(json!({"id": id}), json!([output(2), output(3)]));
        respond(json!(id), json!("Thanks"));
        let texts: Vec<_> = world.requests()[2]["messages"].as_array().unwrap().iter().map(|message| message["content"].clone()).collect();
        assert_eq!(texts, ["Hello", "Weather?", "Wait", "1", "1", "Sunny.", "Thanks"]);
        let all = items(&world, &id);
        let types: Vec<_> = all.as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
        assert_eq!(
            types,
            [
                "message",
                "message",
                "reasoning",
                "message",
                "function_call",
                "function_call",
                "function_call_output",
                "function_call_output",
                "message",
                "message",
                "message"
            ]
        );
        // An item is the same in both.
        assert_eq!(all[3], first["output"][1]);
        without_ids(all);
    }
}

#[test]
fn a_conversation_takes_what_is_said_though_the_response_is_not_kept() {
    let world = World::new([Step::End("b", "stop")]);
    let id = begin(&world, &json!({}));
    let response = world.respond(&json!({"input": "a", "conversation": id, "store": false})).json();
    assert_eq!(world.get(&format!("/v1/responses/{}", response["id"].as_str().unwrap())).status, 404);
    assert_eq!(without_ids(items(&world, &id)), json!([kept("a"), said("b", "completed")]));
}

#[test]
fn what_fails_adds_nothing() {
    let world = World::several([vec![Step::Text("a"), Step::Fail("{}".into())], vec![Step::End("a", "stop")]]);
    let id = begin(&world, &json!({}));
    assert_eq!(world.respond(&json!({"input": "x", "conversation": id})).status, 500);
    world.fates(|operation, key| if operation == "set" && key.starts_with("conversation/") { Fate::Failed } else { Fate::Done });
    assert_eq!(world.respond(&json!({"input": "x", "conversation": id})).status, 503);
    assert!(world.kept().keys().all(|key| !key.starts_with("response/")));
    world.heal();
    assert_eq!(items(&world, &id), json!([]));
}

/// A request under way, which goes on when it is polled.
fn start(world: &World, method: &str, path: &str, body: &Value) -> Pin<Box<dyn Future<Output = http::Response<hearth_function::Body>>>> {
    let request = Request::builder().method(method).uri(path).body(Frames::whole(body.to_string())).unwrap();
    Box::pin(hearth_function::handle(world.clone(), request))
}

#[test]
fn those_who_change_a_conversation_at_the_same_time_do_not_undo_each_other() {
    let world = World::obliging();
    let id = begin(&world, &json!({"items": [user("a"), user("b"), user("c")]}));
    let path = format!("/v1/conversations/{id}");
    let all = items(&world, &id);
    let item = |index: usize| format!("{path}/items/{}", all[index]["id"].as_str().unwrap());
    let mut under_way = vec![
        start(&world, "DELETE", &item(0), &json!({})),
        start(&world, "DELETE", &item(2), &json!({})),
        start(&world, "POST", &format!("{path}/items"), &json!({"items": [user("d")]})),
        start(&world, "POST", &format!("{path}/items"), &json!({"items": [user("e")]})),
        start(&world, "POST", "/v1/responses", &json!({"input": "f", "conversation": id})),
        start(&world, "POST", &path, &json!({"metadata": {"m": "n"}})),
    ];
    for _ in 0..1000 {
        under_way.retain_mut(|answer| match poll(answer.as_mut()) {
            std::task::Poll::Ready(answer) => {
                assert_eq!(answer.status(), 200);
                false
            }
            std::task::Poll::Pending => true,
        });
    }
    assert!(under_way.is_empty());
    let mut texts: Vec<_> =
        items(&world, &id).as_array().unwrap().iter().map(|item| item["content"][0]["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts[0], "b");
    texts.sort();
    // "a" is what the obliging model says.
    assert_eq!(texts, ["a", "b", "d", "e", "f"]);
    assert_eq!(world.get(&path).json()["metadata"], json!({"m": "n"}));
}

#[test]
fn a_conversation_that_is_deleted_meanwhile_stays_so() {
    let world = World::new([Step::Later, Step::Later, Step::End("a", "stop")]);
    let id = begin(&world, &json!({"items": [user("x")]}));
    let mut answer = start(&world, "POST", "/v1/responses", &json!({"input": "y", "conversation": id}));
    while world.computes() == 0 {
        assert!(poll(answer.as_mut()).is_pending());
    }
    assert_eq!(world.delete(&format!("/v1/conversations/{id}")).status, 200);
    assert_eq!(crate::world::wait(answer).status(), 200);
    assert_eq!(world.get(&format!("/v1/conversations/{id}")).status, 404);
    assert!(world.kept().keys().all(|key| key.starts_with("response/")), "{:?}", world.kept().keys());
}

#[test]
fn a_deletion_that_is_broken_off_is_a_deletion() {
    let world = World::new([]);
    let id = begin(&world, &json!({"items": [user("x")]}));
    let mut deletions = 0;
    world.fates(move |operation, _| {
        deletions += usize::from(operation == "delete");
        if deletions > 1 { Fate::Hangs } else { Fate::Done }
    });
    let mut answer = start(&world, "DELETE", &format!("/v1/conversations/{id}"), &json!({}));
    for _ in 0..100 {
        assert!(poll(answer.as_mut()).is_pending());
    }
    drop(answer);
    world.heal();
    assert_eq!(world.get(&format!("/v1/conversations/{id}")).status, 404);
}

#[test]
fn there_is_an_end_to_what_is_kept() {
    let world = World::obliging();
    let id = begin(&world, &json!({}));
    let secret = id.strip_prefix("conv_").unwrap().to_owned();
    let nothing = [vec![1], vec![0; 8], b"[]".to_vec()].concat();
    world.tamper(|kept| kept.extend((0..1000).map(|index| (format!("conversation/{secret}/{index:048x}"), nothing.clone()))));
    let add = |world: &World| world.post(&format!("/v1/conversations/{id}/items"), &json!({"items": [user("x")]}));
    let respond = |world: &World| world.respond(&json!({"input": "x", "conversation": id}));
    for answer in [add(&world), respond(&world)] {
        assert_eq!((answer.status.as_u16(), answer.error().1), (400, json!("conversation_full")));
    }
    assert_eq!(world.get(&format!("/v1/conversations/{id}/items")).status, 200);
    world.tamper(|kept| {
        kept.retain(|key, _| !key.contains("/0000"));
        kept.extend((0..40_000).map(|index| (format!("conversation/{index:048x}"), nothing.clone())));
    });
    let begin = world.post("/v1/conversations", &json!({}));
    for answer in [add(&world), respond(&world), begin] {
        assert_eq!((answer.status.as_u16(), answer.error().1), (400, json!("conversations_full")));
    }
    assert_eq!(world.delete(&format!("/v1/conversations/{id}")).status, 200);
}

#[test]
fn what_is_added_later_comes_later_whatever_the_clock_says() {
    let world = World::obliging();
    let id = begin(&world, &json!({}));
    let secret = id.strip_prefix("conv_").unwrap().to_owned();
    let message = json!([{"type": "message", "id": "msg_1", "status": "completed", "role": "user", "content": [{"type": "input_text", "text": "future"}]}]);
    let value = [vec![1], vec![0; 8], message.to_string().into_bytes()].concat();
    world.tamper(|kept| drop(kept.insert(format!("conversation/{secret}/ff{:046x}", 0), value)));
    assert_eq!(world.post(&format!("/v1/conversations/{id}/items"), &json!({"items": [user("now")]})).status, 200);
    let texts: Vec<_> = items(&world, &id).as_array().unwrap().iter().map(|item| item["content"][0]["text"].clone()).collect();
    assert_eq!(texts, ["future", "now"]);
}
