//! Whole answers, and what the model is asked.

use serde_json::json;

use crate::world::{Event, Step, World, failure, hello};

#[test]
fn a_whole_answer_has_openais_form() {
    let world = World::new([Step::Text("Hel"), Step::Text("lo"), Step::End("!", "stop")]);
    let answer = world.chat(&hello(json!({})));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("content-length"), answer.text().len().to_string());
    let mut document = answer.json();
    let id = document["id"].take();
    assert!(id.as_str().unwrap().starts_with("chatcmpl-"), "{id}");
    assert!(document["created"].take().as_u64().unwrap() > 1_700_000_000);
    assert!(document["system_fingerprint"].take().is_string());
    assert_eq!(
        document,
        json!({
            "id": null, "object": "chat.completion", "created": null, "model": "tiny", "system_fingerprint": null,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!", "refusal": null}, "logprobs": null, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "prompt_tokens_details": {"cached_tokens": 2}, "completion_tokens_details": {"reasoning_tokens": 0}},
            "timings": {
                "queue_ms": 0.1, "cache_n": 2, "prompt_n": 5, "prompt_ms": 10.0, "prompt_per_second": 500.0, "predicted_n": 3, "predicted_ms": 80.0,
                "predicted_per_second": 37.5
            }
        })
    );
    assert_eq!(world.log().last(), Some(&Event::Dropped));
}

#[test]
fn two_answers_have_two_ids() {
    let id = || World::new([Step::End("", "stop")]).chat(&hello(json!({}))).json()["id"].clone();
    assert_ne!(id(), id());
}

#[test]
fn the_model_is_asked_with_openais_defaults() {
    let world = World::new([Step::End("", "length")]);
    let answer = world.chat(&hello(json!({})));
    assert_eq!(answer.json()["choices"][0]["finish_reason"], "length");
    assert_eq!(
        world.request(),
        json!({
            "messages": [{"role": "user", "content": "Hi"}],
            "stop": [], "ignore_end": false,
            "sampling": {
                "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0
            }
        })
    );
}

#[test]
fn the_model_is_asked_what_the_client_asks() {
    let world = World::new([Step::End("", "stop")]);
    let request = json!({
        "model": "other",
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "x"},
            {"role": "assistant", "content": "é🔥\u{0}\u{2028}", "refusal": null, "tool_calls": null, "annotations": [], "reasoning_content": "…"},
            {"role": "tool", "content": "5", "tool_call_id": "call_1"},
        ],
        "max_completion_tokens": 5.0, "stop": "\n\n", "ignore_eos": true,
        "temperature": 0, "top_p": 0.5, "top_k": 40, "min_p": 0.05, "seed": 42,
        "repetition_penalty": 1.1, "frequency_penalty": -2, "presence_penalty": 2,
        "chat_template_kwargs": {"enable_thinking": false}
    });
    let answer = world.chat(&request);
    assert_eq!((answer.status.as_u16(), &answer.json()["model"]), (200, &json!("other")));
    assert_eq!(world.log()[0], Event::Loaded("other".into()));
    assert_eq!(
        world.request(),
        json!({
            "messages": [
                {"role": "system", "content": "Be brief."}, {"role": "user", "content": "a\nb"},
                {"role": "assistant", "content": "é🔥\u{0}\u{2028}", "reasoning_content": "…"}, {"role": "tool", "content": "5", "tool_call_id": "call_1"}
            ],
            "template": {"enable_thinking": false}, "max_tokens": 5, "stop": ["\n\n"], "ignore_end": true,
            "sampling": {
                "temperature": 0.0, "top_k": 40, "top_p": 0.5, "min_p": 0.05, "seed": 42, "repeat_penalty": 1.1, "frequency_penalty": -2.0, "presence_penalty": 2.0
            }
        })
    );
}

#[test]
fn an_empty_model_is_the_default_one() {
    for model in [json!(""), json!(null)] {
        let world = World::new([Step::End("", "stop")]);
        assert_eq!(world.chat(&hello(json!({"model": model}))).json()["model"], "tiny");
    }
}

#[test]
fn an_unknown_model_is_refused_by_the_names_that_there_are() {
    let world = World::new([]);
    let answer = world.chat(&hello(json!({"model": "gpt-5"})));
    assert_eq!((answer.status.as_u16(), answer.error()), (404, (json!("model"), json!("model_not_found"))));
    for name in ["gpt-5", "tiny", "other"] {
        assert!(answer.message().contains(name), "{}", answer.message());
    }
    assert_eq!(world.log(), []);
}

#[test]
fn a_listed_model_that_the_host_lacks_is_a_404_too() {
    let answer = World::new([]).load_error("tiny", failure("model_not_found", "no")).chat(&hello(json!({})));
    assert_eq!((answer.status.as_u16(), answer.error()), (404, (json!("model"), json!("model_not_found"))));
}

#[test]
fn without_a_list_the_host_decides() {
    let world = World::new([Step::End("yes", "stop")]).setting("models", " ,");
    assert_eq!(world.chat(&hello(json!({"model": "any/name"}))).status, 200);
    let answer = world.chat(&hello(json!({})));
    assert_eq!((answer.status.as_u16(), answer.error().1), (503, json!("no_model")));
}

#[test]
fn a_whole_answer_whose_model_fails_midway_is_an_error() {
    let world = World::new([Step::Text("a"), Step::Fail(failure("timeout", "too slow"))]);
    let answer = world.chat(&hello(json!({})));
    assert_eq!((answer.status.as_u16(), answer.message()), (504, "too slow".into()));
    assert!(world.dropped());
}
