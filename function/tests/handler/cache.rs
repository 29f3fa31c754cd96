//! The response cache: the same deterministic request again is answered without computing, to the same caller only.

use hearth_function::keys::Scope;
use http::Method;
use serde_json::{Value, json};

use crate::{
    keys::{bearer, key},
    world::{Answer, Fate, Step, World, description, hello},
};

fn described(world: World, hash: &str) -> World {
    let mut description = description();
    description["sha256"] = json!(hash);
    world.describes(description)
}

/// Says something else to each request; those that are answered from the cache count too.
fn world() -> World {
    let scripts =
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"].map(|text| vec![Step::Text(text), Step::End("!", "stop")]);
    described(World::several(scripts), "ab").setting("response_cache", "1000")
}

fn greedy(more: Value) -> Value {
    let mut request = hello(json!({"temperature": 0}));
    more.as_object().unwrap().iter().for_each(|(name, value)| request[name] = value.clone());
    request
}

fn said(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

#[test]
fn a_deterministic_answer_comes_again_whole_or_streamed() {
    let world = world();
    let first = world.chat(&greedy(json!({})));
    assert_eq!((&*said(&first), first.header("hearth-cache")), ("one!", ""));
    let computes = world.computes();
    let again = world.chat(&greedy(json!({})));
    assert_eq!((&*said(&again), again.header("hearth-cache"), world.computes()), ("one!", "hit", computes));
    assert_eq!(again.json()["usage"], first.json()["usage"]);
    // The fields' order is none of the question's, nor is the API.
    let streamed = world.chat_bytes(r#"{"stream":true,"temperature":0.0,"messages":[{"content":"Hi","role":"user"}]}"#);
    assert_eq!(streamed.header("hearth-cache"), "hit");
    let text: String =
        streamed.events().iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned)).collect();
    assert_eq!((&*text, world.computes()), ("one!", computes));
    assert_eq!(streamed.events().last(), Some(&json!("[DONE]")));
    // A seed is as good as none at all.
    let seeded = |seed: u64| world.chat(&hello(json!({"seed": seed})));
    assert_eq!([said(&seeded(1)), said(&seeded(1)), said(&seeded(2))], ["four!", "four!", "six!"]);
    // What is another question is answered anew, and what is drawn by chance each time.
    assert_eq!(said(&world.chat(&greedy(json!({"max_tokens": 5})))), "seven!");
    let drawn = world.chat(&hello(json!({})));
    assert_eq!((&*said(&drawn), drawn.header("hearth-cache")), ("eight!", ""));
    assert_eq!(said(&world.chat(&hello(json!({})))), "nine!");
}

#[test]
fn it_is_off_unless_it_is_asked_for_and_a_model_is_known_by_its_bytes() {
    let scripts = || ["one", "two"].map(|text| vec![Step::End(text, "stop")]);
    for world in [
        described(World::several(scripts()), "ab"),
        described(World::several(scripts()), "ab").setting("response_cache", "0"),
        World::several(scripts()).setting("response_cache", "10"),
    ] {
        assert_eq!([said(&world.chat(&greedy(json!({})))), said(&world.chat(&greedy(json!({}))))], ["one", "two"]);
        assert!(world.store().keys().all(|key| !key.contains("cache/")));
    }
    // Another model of the same name answers for itself.
    let first = world();
    first.chat(&greedy(json!({})));
    let other = described(World::new([Step::End("other", "stop")]), "cd").setting("response_cache", "1000");
    other.tamper(|kept| *kept = first.store());
    assert_eq!(said(&other.chat(&greedy(json!({})))), "other");
}

#[test]
fn each_caller_has_their_own_and_it_lies_encrypted() {
    let world = world().setting("keys", "required");
    let (anna, berta) = (key(&world, Scope::Chat), key(&world, Scope::Chat));
    let chat =
        |key| world.send_with(Method::POST, "/v1/chat/completions", &[("authorization", &*bearer(key))], greedy(json!({})).to_string());
    assert_eq!([said(&chat(&anna)), said(&chat(&berta)), said(&chat(&anna))], ["one!", "two!", "one!"]);
    assert_eq!(chat(&anna).header("hearth-cache"), "hit");
    assert!(world.store().iter().any(|(path, _)| path.starts_with(&format!("owned/{}/cache/", anna.key.id))));
    assert!(world.store().values().all(|value| !String::from_utf8_lossy(value).contains("one")));
}

#[test]
fn there_are_as_many_as_the_setting_says_and_what_is_kept_by_wish_is_not_kept_twice() {
    let scripts = (0..40).map(|_| vec![Step::End("a", "stop")]);
    let world = described(World::several(scripts), "ab").setting("response_cache", "4");
    for seed in 0..30 {
        assert_eq!(world.chat(&hello(json!({"seed": seed}))).status, 200);
    }
    let kept = |world: &World| world.store().keys().filter(|key| key.starts_with("cache/")).count();
    assert!((2..=4).contains(&kept(&world)), "{}", kept(&world));
    let world = self::world();
    for _ in 0..2 {
        let answer = world.respond(&json!({"input": "Hi", "temperature": 0}));
        assert_eq!((answer.status.as_u16(), answer.header("hearth-cache")), (200, ""));
    }
    assert_eq!(kept(&world), 0);
    for hit in ["", "hit"] {
        let answer = world.respond(&json!({"input": "Hi", "temperature": 0, "store": false}));
        assert_eq!(answer.header("hearth-cache"), hit);
    }
    // Only what is whole is kept, and a store that fails is as one that has nothing.
    let broken = described(World::several([vec![Step::Text("a"), Step::Fail(String::new())], vec![Step::End("b", "stop")]]), "ab");
    let broken = broken.setting("response_cache", "10");
    assert_eq!(broken.chat(&greedy(json!({}))).status, 500);
    assert_eq!(kept(&broken), 0);
    broken.fates(|_, _| Fate::Failed);
    assert_eq!(said(&broken.chat(&greedy(json!({})))), "b");
}
