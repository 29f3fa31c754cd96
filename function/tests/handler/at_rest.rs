//! What is kept lies encrypted, bound to its owner and its place; it is encrypted anew under another key, exported to its owner, and really deleted.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hearth_function::keys::{self, Created, KeysError, Scope};
use http::Method;
use serde_json::{Value, json};

use crate::{
    keys::{bearer, key},
    world::{Answer, Fate, World, poll, wait},
};

const WORD: &str = "Rumpelstilzchen";

fn master(byte: u8) -> String {
    STANDARD.encode([byte; 32])
}

fn world() -> World {
    World::obliging().setting("keys", "required").setting("master_key", &master(7))
}

fn ask(world: &World, method: Method, path: &str, key: &Created, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    world.send_with(method, path, &[("authorization", &bearer(key))], body)
}

fn get(world: &World, path: &str, key: &Created) -> Answer {
    ask(world, Method::GET, path, key, &Value::Null)
}

/// Keeps a response and a conversation with a word in them. Returns their ids.
fn keep(world: &World, key: &Created) -> [String; 2] {
    let id = |answer: Answer| answer.json()["id"].as_str().expect("an id").to_owned();
    let said = json!({"items": [{"role": "user", "content": WORD}], "metadata": {"note": WORD}});
    [
        id(ask(world, Method::POST, "/v1/responses", key, &json!({"input": WORD, "instructions": WORD, "metadata": {"note": WORD}}))),
        id(ask(world, Method::POST, "/v1/conversations", key, &said)),
    ]
}

/// Whether the store has a text anywhere in it.
fn holds(world: &World, text: &str) -> bool {
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    world.store().iter().any(|(key, value)| holds(key.as_bytes()) || holds(value))
}

/// Another world with the same store.
fn moved(world: &World, other: World) -> World {
    other.tamper(|kept| *kept = world.store());
    other
}

#[test]
fn the_store_has_no_word_of_what_was_said() {
    let world = world();
    let key = key(&world, Scope::Chat);
    let [response, conversation] = keep(&world, &key);
    assert!(!holds(&world, WORD) && !holds(&world, "input_text") && !holds(&world, &STANDARD.encode(WORD)));
    assert!(get(&world, &format!("/v1/responses/{response}"), &key).text().contains(WORD));
    assert!(get(&world, &format!("/v1/conversations/{conversation}/items"), &key).text().contains(WORD));
    // The same again is not the same bytes.
    let values: Vec<_> = world.kept().into_values().collect();
    keep(&world, &key);
    assert!(world.kept().into_values().filter(|value| values.contains(value)).count() <= values.len());
    assert!(world.kept().values().all(|value| value[0] == 2));
}

#[test]
fn a_value_opens_in_its_own_place_and_whole_only() {
    let world = world();
    let (anna, berta) = (key(&world, Scope::Chat), key(&world, Scope::Chat));
    let [response, _] = keep(&world, &anna);
    let [other, _] = keep(&world, &anna);
    let path = |owner: &Created, id: &str| format!("owned/{}/response/{}", owner.key.id, &id[5..]);
    let good = world.store()[&path(&anna, &response)].clone();
    let told = |key: &Created, id: &str| get(&world, &format!("/v1/responses/{id}"), key);
    // Under another's name, or in another's place.
    for (owner, id) in [(&berta, &response), (&anna, &other)] {
        world.tamper(|kept| drop(kept.insert(path(owner, id), good.clone())));
        let answer = told(owner, id);
        assert_eq!((answer.status.as_u16(), answer.error().1), (500, json!("store_damaged")));
        assert!(!answer.text().contains(WORD));
    }
    // With another bit. Those of the time may make it one that is over.
    for at in (0..good.len()).step_by(if good.len() > 400 { 7 } else { 1 }).chain(0..53) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        world.tamper(|kept| drop(kept.insert(path(&anna, &response), bad)));
        let answer = told(&anna, &response);
        assert!([404, 500, 503].contains(&answer.status.as_u16()) && !answer.text().contains(WORD), "byte {at}: {}", answer.text());
    }
    for length in [0, 1, 8, 9, 24, 25, 36, 37, 52, 53, good.len() - 1] {
        world.tamper(|kept| drop(kept.insert(path(&anna, &response), good[..length].to_vec())));
        assert_eq!(told(&anna, &response).status, 500, "{length}");
    }
    world.tamper(|kept| drop(kept.insert(path(&anna, &response), good)));
    assert_eq!(told(&anna, &response).status, 200);
}

#[test]
fn without_the_master_key_nothing_opens_and_the_chat_goes_on() {
    let first = world();
    let key = key(&first, Scope::Chat);
    let [response, _] = keep(&first, &key);
    for other in ["", &master(8), "nonsense", &STANDARD.encode([1; 16])] {
        let world = moved(&first, World::obliging().setting("keys", "required").setting("master_key", other));
        let answer = get(&world, &format!("/v1/responses/{response}"), &key);
        assert_eq!((answer.status.as_u16(), answer.error().1), (503, json!("store_locked")), "{other}");
        assert!(answer.message().contains("master"), "{}", answer.message());
        // It is known before the model computes, and no other key is made in its place.
        let before = world.store().len();
        let answer = ask(&world, Method::POST, "/v1/responses", &key, &json!({"input": "x"}));
        assert_eq!((answer.status.as_u16(), world.store().len()), (503, before));
        assert_eq!(ask(&world, Method::POST, "/v1/responses", &key, &json!({"input": "x", "store": false})).status, 200);
    }
    assert_eq!(get(&moved(&first, self::world()), &format!("/v1/responses/{response}"), &key).status, 200);
    assert!(!holds(&first, &master(7)), "the master key is not in the store");
}

#[test]
fn a_master_key_that_comes_later_wraps_what_lay_bare() {
    let bare = World::obliging();
    let id = bare.respond(&json!({"input": WORD})).json()["id"].as_str().unwrap().to_owned();
    assert!(!holds(&bare, WORD));
    let world = moved(&bare, World::obliging().setting("master_key", &master(7)));
    assert_eq!(world.get(&format!("/v1/responses/{id}")).status, 200);
    // From now on it is needed.
    assert_eq!(moved(&world, World::obliging()).get(&format!("/v1/responses/{id}")).status, 503);
}

#[test]
fn another_master_key_wraps_the_same_data_keys() {
    let first = world();
    let key = key(&first, Scope::Chat);
    let [response, _] = keep(&first, &key);
    let kept = first.kept();
    assert!(matches!(wait(keys::rewrap_data_keys(&first, &master(9), &master(8))), Err(KeysError::Kept(_))));
    for _ in 0..2 {
        assert_eq!(wait(keys::rewrap_data_keys(&first, &master(7), &master(8))).unwrap(), 1, "it can be run again");
    }
    assert_eq!(first.kept(), kept, "what is kept stays as it is");
    let world = moved(&first, World::obliging().setting("keys", "required").setting("master_key", &master(8)));
    assert!(get(&world, &format!("/v1/responses/{response}"), &key).text().contains(WORD));
    assert_eq!(get(&moved(&first, self::world()), &format!("/v1/responses/{response}"), &key).status, 503);
}

#[test]
fn another_data_key_is_used_for_all_that_is_kept() {
    let world = world();
    let (anna, berta) = (key(&world, Scope::Chat), key(&world, Scope::Chat));
    let (hers, others) = (keep(&world, &anna), keep(&world, &berta));
    // Something that a version before has kept for all.
    let old = format!("response/{:048x}", 5);
    let plain = json!({"response": {"id": "x", "output": []}, "items": []}).to_string();
    world.tamper(|kept| drop(kept.insert(old.clone(), [&[1; 1][..], &[0; 8], plain.as_bytes()].concat())));
    let before = world.kept();
    let data_key = |value: &[u8]| value[9..25].to_vec();
    let rotated = wait(keys::rotate_data_key(&world, &master(7))).unwrap();
    assert_eq!((rotated.renewed, rotated.unreadable), (before.len(), 0));
    let after = world.kept();
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    let used: std::collections::BTreeSet<_> = after.values().map(|value| data_key(value)).collect();
    assert_eq!(used.len(), 1);
    assert!(before.values().all(|value| data_key(value) != *used.first().unwrap()));
    for (key, [response, conversation]) in [(&anna, &hers), (&berta, &others)] {
        assert!(get(&world, &format!("/v1/responses/{response}"), key).text().contains(WORD));
        assert!(get(&world, &format!("/v1/conversations/{conversation}/items"), key).text().contains(WORD));
        assert!(get(&world, &format!("/v1/conversations/{conversation}"), key).text().contains(WORD));
    }
    // What is kept from now on is under it too.
    keep(&world, &anna);
    assert!(world.kept().values().all(|value| used.contains(&data_key(value))));
    // One that cannot be read is told of, and left as it is.
    world.tamper(|kept| *kept.values_mut().filter(|value| value.first() == Some(&2)).last().unwrap().last_mut().unwrap() ^= 1);
    assert_eq!(wait(keys::rotate_data_key(&world, &master(7))).unwrap().unreadable, 1);
}

#[test]
fn requests_encrypt_anew_what_is_under_an_old_key() {
    let world = World::obliging();
    // What versions before have kept, for all.
    let key = |index: usize| format!("response/{index:016x}{:032x}", 7);
    let plain = [&[1; 1][..], &[0; 8], json!({"response": {"output": []}, "items": []}).to_string().as_bytes()].concat();
    world.tamper(|kept| kept.extend((0..100).map(|index| (key(index), plain.clone()))));
    assert_eq!(world.get(&key(50).replace("response/", "/v1/responses/resp_")).status, 200, "it is read as it is");
    for _ in 0..4000 {
        world.respond(&json!({"input": "x"}));
        if world.kept().values().all(|value| value[0] == 2) {
            assert_eq!(world.get(&key(50).replace("response/", "/v1/responses/resp_")).status, 200);
            return;
        }
    }
    panic!("nothing was encrypted anew");
}

#[test]
fn what_is_deleted_is_gone_also_from_who_encrypts_it_anew() {
    let world = world();
    let key = key(&world, Scope::Chat);
    let [response, conversation] = keep(&world, &key);
    // The rotation has read the response and is about to write it.
    let hold = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (held, path) = (hold.clone(), format!("response/{}", &response[5..]));
    let mut seen = false;
    let rotating = world.clone();
    let mut rotation = Box::pin(async move { keys::rotate_data_key(&rotating, &master(7)).await });
    world.fates(move |operation, key| {
        if operation == "get" && key.ends_with(&path) && !key.starts_with("deleted/") && !seen {
            seen = true;
            held.store(false, std::sync::atomic::Ordering::Relaxed);
        }
        Fate::Done
    });
    while hold.load(std::sync::atomic::Ordering::Relaxed) {
        assert!(poll(rotation.as_mut()).is_pending());
    }
    for path in [format!("/v1/responses/{response}"), format!("/v1/conversations/{conversation}")] {
        assert_eq!(ask(&world, Method::DELETE, &path, &key, &Value::Null).status, 200);
    }
    wait(rotation).unwrap();
    assert!(world.kept().is_empty(), "{:?}", world.kept().keys());
    assert_eq!(get(&world, &format!("/v1/responses/{response}"), &key).status, 404);
}

#[test]
fn its_owner_has_all_of_it_as_lines() {
    let world = world();
    let (anna, berta) = (key(&world, Scope::Chat), key(&world, Scope::Chat));
    assert_eq!(get(&world, "/v1/export", &anna).text(), "");
    let [response, conversation] = keep(&world, &anna);
    keep(&world, &berta);
    let answer = get(&world, "/v1/export", &anna);
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/x-ndjson"));
    let lines = answer.lines();
    assert_eq!(lines.iter().map(|line| line["type"].clone()).collect::<Vec<_>>(), ["response", "conversation"]);
    assert_eq!((&lines[0]["response"]["id"], &lines[1]["conversation"]["id"]), (&json!(response), &json!(conversation)));
    assert_eq!(lines[1]["conversation"]["metadata"]["note"], WORD);
    for line in &lines {
        assert_eq!(line["items"][0]["content"][0]["text"], WORD);
    }
    // What breaks it off is its last line.
    world.tamper(|kept| {
        kept.iter_mut().filter(|(key, _)| key.starts_with(&format!("owned/{}/", anna.key.id))).for_each(|(_, value)| value.truncate(40))
    });
    let lines = get(&world, "/v1/export", &anna).lines();
    assert_eq!((lines.len(), &lines[0]["type"], &lines[0]["error"]["code"]), (1, &json!("error"), &json!("store_damaged")));
    let reader = key(&world, Scope::Read);
    assert_eq!(get(&world, "/v1/export", &reader).text(), "");
}

#[test]
fn an_owner_s_bytes_have_an_end() {
    let world = World::obliging();
    let conversation = world.post("/v1/conversations", &json!({})).json()["id"].as_str().unwrap().to_owned();
    let secret = conversation.strip_prefix("conv_").unwrap().to_owned();
    // Their keys say how many bytes they have.
    world.tamper(|kept| kept.extend((0..4).map(|index| (format!("conversation/{secret}/{index:048x}-10000000"), Vec::new()))));
    let add = world.post(&format!("/v1/conversations/{conversation}/items"), &json!({"items": [{"role": "user", "content": "x"}]}));
    assert_eq!((add.status.as_u16(), add.error().1), (400, json!("conversations_full")));

    let world = World::obliging();
    let key = |index: usize| format!("{index:016x}{:032x}", 7);
    world.tamper(|kept| {
        for index in 0..5 {
            kept.insert(format!("response/{}", key(index)), [&[1][..], &[0; 8], b"{}"].concat());
            kept.insert(format!("response-size/{}-10000000", key(index)), Vec::new());
        }
    });
    for _ in 0..3000 {
        world.respond(&json!({"input": "x"}));
        let kept = world.store();
        if !kept.contains_key(&format!("response/{}", key(1))) {
            assert!(kept.contains_key(&format!("response/{}", key(3))), "the newest stay");
            return;
        }
    }
    panic!("nothing was swept");
}
