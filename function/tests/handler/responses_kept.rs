//! Responses that are kept: asked for, gone on from, forgotten; and what is so when keeping fails or is broken off.

use std::{collections::HashSet, pin::Pin};

use http::Request;
use serde_json::{Value, json};

use crate::{
    responses::{calls, said, tools, without_ids},
    world::{Answer, Fate, Frames, Step, World, poll},
};

fn id(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["id"].as_str().expect("an id").to_owned()
}

fn texts(request: &Value) -> Vec<&str> {
    request["messages"].as_array().unwrap().iter().map(|message| message["content"].as_str().unwrap_or_default()).collect()
}

#[test]
fn a_response_is_told_again_as_it_was() {
    for stream in [false, true] {
        let world = World::new(calls());
        let answer = world.respond(&json!({"input": "x", "tools": tools(), "metadata": {"a": "b"}, "stream": stream}));
        let response = if stream { answer.events().last().unwrap()["response"].clone() } else { answer.json() };
        let path = format!("/v1/responses/{}", response["id"].as_str().unwrap());
        let told = world.get(&path);
        assert_eq!((told.status.as_u16(), told.text()), (200, response.to_string()));
        assert_eq!(world.get(&format!("{path}?include[]=reasoning.encrypted_content")).json(), response);
        assert_eq!(world.get(&format!("{path}?stream=true")).error().0, "stream");
    }
}

#[test]
fn a_response_is_forgotten() {
    let world = World::new([Step::End("a", "stop")]);
    let id = id(&world.respond(&json!({"input": "x"})));
    let path = format!("/v1/responses/{id}");
    assert_eq!(world.delete(&path).json(), json!({"id": id, "object": "response", "deleted": true}));
    assert!(world.kept().is_empty());
    for answer in [
        world.get(&path),
        world.delete(&path),
        world.get(&format!("{path}/input_items")),
        world.post(&format!("{path}/cancel"), &json!({})),
    ] {
        assert_eq!((answer.status.as_u16(), answer.error().1), (404, json!("response_not_found")));
    }
    let answer = world.respond(&json!({"input": "y", "previous_response_id": id}));
    assert_eq!((answer.status.as_u16(), answer.error()), (400, (json!("previous_response_id"), json!("previous_response_not_found"))));
}

#[test]
fn only_what_may_be_a_name_is_looked_for() {
    let world = World::new([]);
    world.fates(|operation, key| panic!("{operation} {key}"));
    let long = format!("resp_{}", "0".repeat(5000));
    for name in ["resp_", "resp_1", "x", "..", "resp_%2F", "conv_0", &long, &format!("resp_{}", "G".repeat(48))] {
        assert_eq!(world.get(&format!("/v1/responses/{name}")).status, 404, "{name}");
        assert_eq!(world.get(&format!("/v1/conversations/{name}")).status, 404, "{name}");
    }
    assert_eq!(world.get("/v1/responses/").status, 404);
}

#[test]
fn names_are_unguessable_and_sorted_by_time() {
    let world = World::obliging();
    let ids: Vec<_> = (0..200).map(|_| id(&world.respond(&json!({"input": "x"})))).collect();
    assert!(ids.is_sorted());
    assert_eq!(ids.iter().map(|id| &id[21..]).collect::<HashSet<_>>().len(), ids.len());
    // Each of the 128 random bits is now one and now the other.
    let bits = ids.iter().map(|id| u128::from_str_radix(&id[21..], 16).unwrap());
    let (all, any) = bits.fold((u128::MAX, 0), |(all, any), bits| (all & bits, any | bits));
    assert_eq!((all, any), (0, u128::MAX));
}

#[test]
fn a_cancellation_is_refused() {
    let world = World::new([Step::End("a", "stop")]);
    let id = id(&world.respond(&json!({"input": "x"})));
    let answer = world.post(&format!("/v1/responses/{id}/cancel"), &json!({}));
    assert_eq!((answer.status.as_u16(), answer.error().1), (400, json!("not_in_background")));
}

#[test]
fn a_response_goes_on_from_one_before() {
    let world = World::several([calls(), vec![Step::End("Sunny.", "stop")], vec![Step::End("Bye.", "stop")]]);
    let first = world.respond(&json!({"input": "Weather?", "instructions": "one", "tools": tools()})).json();
    let call = |index: usize| first["output"][index]["call_id"].clone();
    let second = world.respond(&json!({
        "previous_response_id": first["id"], "instructions": "two", "tools": tools(),
        "input": [
            {"type": "function_call_output", "call_id": call(2), "output": "sun"}, {"type": "function_call_output", "call_id": call(3), "output": "noon"}
        ]
    }));
    assert_eq!(second.status, 200, "{}", second.text());
    assert_eq!(second.json()["previous_response_id"], first["id"]);
    // What came before is not needed any more.
    world.delete(&format!("/v1/responses/{}", first["id"].as_str().unwrap()));
    let third = world.respond(&json!({"previous_response_id": second.json()["id"], "input": "Thanks"}));
    assert_eq!(third.status, 200, "{}", third.text());
    let requests = world.requests();
    assert_eq!(
        requests[2]["messages"],
        json!([
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "Wait", "reasoning_content": "Two calls.", "tool_calls": [
                {"type": "function", "id": call(2), "function": {"name": "weather", "arguments": "{\"city\": \"Paris\"}"}},
                {"type": "function", "id": call(3), "function": {"name": "time", "arguments": "{}"}}
            ]},
            {"role": "tool", "content": "sun", "tool_call_id": call(2), "name": "weather"},
            {"role": "tool", "content": "noon", "tool_call_id": call(3), "name": "time"},
            {"role": "assistant", "content": "Sunny."},
            {"role": "user", "content": "Thanks"}
        ])
    );
    // Instructions are those of the request alone.
    assert_eq!(texts(&requests[1])[0], "two");
    // Nothing new need be said.
    let world = World::several([vec![Step::End("a", "stop")], vec![Step::End("b", "stop")]]);
    let first = id(&world.respond(&json!({"input": "x"})));
    assert_eq!(world.respond(&json!({"previous_response_id": first})).status, 200);
    assert_eq!(texts(&world.requests()[1]), ["x", "a"]);
}

#[test]
fn what_a_response_answers_is_told_page_by_page() {
    let world = World::several([vec![Step::End("a", "stop")], vec![Step::End("b", "stop")]]);
    let first = id(&world.respond(&json!({"input": [{"role": "system", "content": "s"}, {"role": "user", "content": "one"}]})));
    let second = id(&world.respond(&json!({"input": "two", "previous_response_id": first})));
    let list = |query: &str| world.get(&format!("/v1/responses/{second}/input_items{query}"));
    let all = list("?order=asc").json();
    let user = |text: &str, role: &str| json!({"type": "message", "status": "completed", "role": role, "content": [{"type": "input_text", "text": text}]});
    assert_eq!(
        without_ids(all["data"].clone()),
        json!([user("s", "system"), user("one", "user"), said("a", "completed"), user("two", "user")])
    );
    let name = |index: usize| all["data"][index]["id"].as_str().unwrap();
    assert_eq!(
        (&all["object"], &all["first_id"], &all["last_id"], &all["has_more"]),
        (&json!("list"), &json!(name(0)), &json!(name(3)), &json!(false))
    );
    let newest = list("?limit=3").json();
    assert_eq!((&newest["first_id"], &newest["last_id"], &newest["has_more"]), (&json!(name(3)), &json!(name(1)), &json!(true)));
    let rest = list(&format!("?limit=3&after={}", name(1))).json();
    assert_eq!((&rest["data"], &rest["has_more"]), (&json!([all["data"][0]]), &json!(false)));
    let end = list(&format!("?after={}&order=asc", name(3))).json();
    assert_eq!((&end["data"], &end["first_id"], &end["last_id"]), (&json!([]), &json!(null), &json!(null)));
    for (query, param) in
        [("?limit=0", "limit"), ("?limit=101", "limit"), ("?limit=x", "limit"), ("?order=up", "order"), ("?after=msg_1", "after")]
    {
        assert_eq!((list(query).status.as_u16(), list(query).error().0), (400, json!(param)), "{query}");
    }
}

#[test]
fn a_reference_stands_for_an_item_that_is_kept() {
    let world = World::several([calls(), vec![Step::End("b", "stop")]]);
    let first = world.respond(&json!({"input": "x", "tools": tools()})).json();
    let item = |index: usize| json!({"type": "item_reference", "id": first["output"][index]["id"]});
    let answer = world.respond(&json!({"input": [
        {"role": "user", "content": "x"}, item(0), item(1), item(2),
        {"type": "function_call_output", "call_id": first["output"][2]["call_id"], "output": "sun"}
    ]}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let messages = &world.requests()[1]["messages"];
    assert_eq!((&messages[1]["content"], &messages[1]["reasoning_content"]), (&json!("Wait"), &json!("Two calls.")));
    assert_eq!((&messages[2]["content"], &messages[2]["name"]), (&json!("sun"), &json!("weather")));
    // Names of items, once told, lead to nothing where the response is gone.
    world.delete(&format!("/v1/responses/{}", first["id"].as_str().unwrap()));
    let answer = world.respond(&json!({"input": [item(1)]}));
    assert_eq!((answer.status.as_u16(), answer.error()), (400, (json!("input[0].id"), json!("item_not_found"))));
}

#[test]
fn nothing_is_kept_where_nobody_wants_it() {
    let world = World::new([Step::End("a", "stop")]);
    let answer = world.respond(&json!({"input": "x", "store": false}));
    assert_eq!(answer.json()["store"], false);
    let off = World::several([vec![Step::End("a", "stop")], vec![Step::End("a", "stop")]]).setting("store_responses", "false");
    let told = off.respond(&json!({"input": "x", "store": true})).json();
    assert_eq!(told["store"], false);
    assert_eq!(off.get(&format!("/v1/responses/{}", told["id"].as_str().unwrap())).status, 404);
    let answer = off.respond(&json!({"input": "x", "previous_response_id": told["id"]}));
    assert_eq!((answer.status.as_u16(), answer.error().1), (400, json!("previous_response_not_found")));
    assert!(answer.message().contains("store_responses"), "{}", answer.message());
    for answer in [
        off.post("/v1/conversations", &json!({})),
        off.get("/v1/conversations/conv_1"),
        off.respond(&json!({"input": "x", "conversation": "conv_1"})),
    ] {
        assert_eq!((answer.status.as_u16(), answer.error().1), (400, json!("store_disabled")), "{}", answer.text());
    }
    for world in [world, off] {
        assert!(world.kept().is_empty());
    }
    // A store that is broken is no matter then.
    let world = World::new([Step::End("a", "stop")]);
    world.fates(|_, _| Fate::Failed);
    assert_eq!(world.respond(&json!({"input": "x", "store": false})).status, 200);
}

#[test]
fn a_broken_store_is_known_before_the_model_computes() {
    let world = World::new([Step::End("a", "stop")]);
    world.fates(|_, _| Fate::Failed);
    let answer = world.respond(&json!({"input": "x"}));
    assert_eq!((answer.status.as_u16(), answer.error().1), (503, json!("store_failed")));
    assert!(answer.message().contains("the disk is full"), "{}", answer.message());
    assert_eq!(world.log(), []);
    for path in [format!("/v1/responses/resp_{}", "0".repeat(48)), format!("/v1/conversations/conv_{}", "0".repeat(48))] {
        assert_eq!(world.get(&path).status, 503);
    }
}

#[test]
fn a_response_that_cannot_be_kept_is_not_acknowledged() {
    let world = World::new([Step::End("a", "stop")]);
    world.fates(|operation, _| if operation == "set" { Fate::Failed } else { Fate::Done });
    let answer = world.respond(&json!({"input": "x"}));
    assert_eq!((answer.status.as_u16(), answer.error().1), (503, json!("store_failed")));
    assert!(world.kept().is_empty());
}

/// Posts a request, lets it go as far as it gets, and kills it there.
fn kill(world: &World, request: &Value) {
    let request = Request::post("/v1/responses").body(Frames::whole(request.to_string())).unwrap();
    let mut answer: Pin<Box<_>> = Box::pin(hearth_function::handle(world.clone(), request));
    for _ in 0..100 {
        assert!(poll(answer.as_mut()).is_pending(), "it was acknowledged");
    }
}

#[test]
fn a_kill_between_the_answer_and_its_keeping_leaves_nothing_half_done() {
    let world = World::several(vec![vec![Step::End("a", "stop")]; 3]);
    let conversation = id(&world.post("/v1/conversations", &json!({})));
    let before = world.kept();
    let request = json!({"input": "x", "conversation": conversation});
    // Before anything of it is kept.
    world.fates(|operation, _| if operation == "set" { Fate::Hangs } else { Fate::Done });
    kill(&world, &request);
    assert_eq!(world.kept(), before);
    // Between the response and the conversation.
    world.fates(|operation, key| if operation == "set" && key.starts_with("conversation/") { Fate::Hangs } else { Fate::Done });
    kill(&world, &request);
    world.heal();
    let items =
        |world: &World| world.get(&format!("/v1/conversations/{conversation}/items?order=asc")).json()["data"].as_array().unwrap().len();
    assert_eq!(items(&world), 0);
    // Another try is in it once.
    assert_eq!(world.respond(&request).status, 200);
    assert_eq!(items(&world), 2);
    let last = world.requests().pop().unwrap();
    assert_eq!(texts(&last), ["x"]);
}

/// A value as versions before kept it, which is still read: its format, when it is to be forgotten, and a document.
fn value(expires: u64, document: &Value) -> Vec<u8> {
    [vec![1], expires.to_le_bytes().to_vec(), document.to_string().into_bytes()].concat()
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_response_is_kept_for_its_days() {
    let expiry = |world: World| {
        id(&world.respond(&json!({"input": "x"})));
        let bytes = world.kept().into_values().next().unwrap();
        assert_eq!(bytes[0], 2);
        u64::from_le_bytes(bytes[1..9].try_into().unwrap())
    };
    let days = |expiry: u64| (expiry - now()).div_ceil(24 * 60 * 60);
    assert_eq!(days(expiry(World::obliging())), 30);
    assert_eq!(days(expiry(World::obliging().setting("store_days", "2"))), 2);
    assert_eq!(expiry(World::obliging().setting("store_days", "0")), 0);

    let world = World::obliging();
    let response = id(&world.respond(&json!({"input": "x"})));
    world.tamper_each(|bytes| bytes[1..9].copy_from_slice(&(now() - 1).to_le_bytes()));
    assert_eq!(world.get(&format!("/v1/responses/{response}")).status, 404);
    assert_eq!(world.respond(&json!({"input": "x", "previous_response_id": response})).status, 400);
}

#[test]
fn what_is_over_is_swept_with_other_requests() {
    let world = World::obliging();
    let key = |index: usize| format!("response/{index:016x}{:032x}", 7);
    let old = value(now() - 1, &json!({}));
    let orphan = format!("conversation/{:048x}/{:048x}", 1, 2);
    world.tamper(|kept| {
        kept.extend((0..300).map(|index| (key(index), old.clone())));
        kept.insert(key(300), value(now() + 1000, &json!({})));
        kept.insert(key(301), value(0, &json!({})));
        kept.insert(orphan.clone(), value(0, &json!([])));
    });
    let conversation = id(&world.post("/v1/conversations", &json!({"items": [{"role": "user", "content": "x"}]})));
    for _ in 0..3000 {
        assert_eq!(world.respond(&json!({"input": "x"})).status, 200);
        let kept = world.kept();
        if !kept.contains_key(&key(299)) && !kept.contains_key(&orphan) {
            assert!(kept.contains_key(&key(300)) && kept.contains_key(&key(301)));
            assert_eq!(world.get(&format!("/v1/conversations/{conversation}/items")).json()["data"].as_array().unwrap().len(), 1);
            return;
        }
    }
    panic!("nothing was swept");
}

#[test]
fn a_store_that_cannot_be_swept_troubles_nobody() {
    let world = World::obliging();
    world.fates(|operation, _| if operation == "keys" || operation == "delete" { Fate::Failed } else { Fate::Done });
    for _ in 0..300 {
        assert_eq!(world.respond(&json!({"input": "x"})).status, 200);
    }
}

#[test]
fn what_was_damaged_or_is_newer_is_no_answer() {
    let world = World::obliging();
    let response = id(&world.respond(&json!({"input": "x"})));
    for bytes in [
        vec![],
        vec![1],
        [vec![2], vec![0; 8], b"{}".to_vec()].concat(),
        [vec![3], vec![0; 8], b"{}".to_vec()].concat(),
        value(0, &json!({"response": 1})),
        [vec![1], vec![0; 8], b"{".to_vec()].concat(),
    ] {
        world.tamper_each(|value| value.clone_from(&bytes));
        let answer = world.get(&format!("/v1/responses/{response}"));
        assert_eq!((answer.status.as_u16(), answer.error().1), (500, json!("store_damaged")), "{bytes:?}");
    }
    // An answer that cannot be read is not as one that said nothing.
    world.tamper_each(|bytes| *bytes = value(0, &json!({"response": {"output": 1}, "items": []})));
    let answer = world.respond(&json!({"input": "x", "previous_response_id": response}));
    assert_eq!((answer.status.as_u16(), answer.error().1), (500, json!("store_damaged")));
}

#[test]
fn a_conversation_that_is_too_large_to_keep_is_refused_before_the_model_computes() {
    let world = World::obliging().setting("max_body_bytes", "10000000");
    let large = json!({"input": "x".repeat(6_500_000)});
    let answer = world.respond(&large);
    assert_eq!((answer.status.as_u16(), answer.error().0), (400, json!("input")));
    assert!(answer.message().contains("'store': false") && answer.message().contains("6291"), "{}", answer.message());
    let mut unkept = large;
    unkept["store"] = json!(false);
    assert_eq!(world.respond(&unkept).status, 200);
    assert!(world.kept().is_empty());
}
