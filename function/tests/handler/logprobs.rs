//! Log-probabilities and biases of a chat's tokens.

use serde_json::{Value, json};

use crate::world::{Step, World, hello};

fn token(id: u32, token: &str, logprob: Value, top: &[Value]) -> Value {
    json!({"id": id, "token": token, "bytes": token.as_bytes(), "logprob": logprob, "top": top})
}

/// Says "é" in two tokens, each a byte of it, and then ends with a token that says nothing.
fn world() -> World {
    let half = |id, byte: u8| json!({"id": id, "token": "\u{fffd}", "bytes": [byte], "logprob": -0.5, "top": []});
    let other = json!({"id": 9, "token": "x", "bytes": [120], "logprob": null});
    World::new([
        Step::Say(json!({"text": "", "tokens": [1], "logprobs": [half(1, 0xc3)]})),
        Step::Say(json!({"text": "é", "tokens": [2], "logprobs": [half(2, 0xa9)]})),
        Step::Say(json!({"text": "", "tokens": [3], "logprobs": [token(3, "<end>", json!(-1.5), &[other])], "result": {
            "finish_reason": "stop", "usage": {"prompt_tokens": 7, "completion_tokens": 3}
        }})),
    ])
}

fn expected() -> [Value; 3] {
    let half = |byte: u8| json!({"token": "\u{fffd}", "logprob": -0.5, "bytes": [byte], "top_logprobs": []});
    let end =
        json!({"token": "<end>", "logprob": -1.5, "bytes": b"<end>", "top_logprobs": [{"token": "x", "logprob": -9999.0, "bytes": [120]}]});
    [half(0xc3), half(0xa9), end]
}

#[test]
fn they_are_told_whole() {
    let world = world();
    let answer = world.chat(&hello(json!({"logprobs": true, "top_logprobs": 1})));
    assert_eq!(answer.json()["choices"][0]["logprobs"], json!({"content": expected(), "refusal": null}));
    assert_eq!(world.request()["logprobs"], 1);
}

#[test]
fn none_is_lost_in_a_stream() {
    let world = world();
    let events = world.chat(&hello(json!({"logprobs": true, "stream": true}))).events();
    let told: Vec<_> = events.iter().map(|event| event["choices"][0]["logprobs"]["content"].clone()).collect();
    let [first, second, end] = expected();
    // The first half of the character is there before the stream begins, and leaves with its first event.
    assert_eq!(told, [json!(null), json!([first, second]), json!([end]), json!(null)]);
    assert_eq!(world.request()["logprobs"], 0);
}

#[test]
fn they_are_asked_for_and_biases_given_by_number() {
    let world = World::new([Step::End("", "stop")]);
    let answer = world.chat(&hello(json!({"logit_bias": {"50256": -100, "7": 0.5}})));
    assert_eq!(answer.json()["choices"][0]["logprobs"], json!(null));
    assert_eq!(world.request()["sampling"]["logit_bias"], json!({"7": 0.5, "50256": -100.0}));
    assert!(world.request().get("logprobs").is_none());
    for (more, param) in [
        (json!({"top_logprobs": 1}), "top_logprobs"),
        (json!({"logprobs": true, "top_logprobs": 21}), "top_logprobs"),
        (json!({"logprobs": 1}), "logprobs"),
        (json!({"logit_bias": []}), "logit_bias"),
        (json!({"logit_bias": {"-1": 1}}), "logit_bias"),
        (json!({"logit_bias": {"1": "x"}}), "logit_bias.1"),
    ] {
        let answer = World::new([]).chat(&hello(more.clone()));
        assert_eq!((answer.status.as_u16(), answer.error().0), (400, json!(param)), "{more}");
    }
}
