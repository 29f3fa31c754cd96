//! `/completion` and `/props`, in llama.cpp's forms.

use serde_json::{Value, json};

use crate::world::{Step, World, failure};

const PATH: &str = "/completion";

fn logprob(id: u32, token: &str) -> Value {
    let top = json!([{"id": 9, "token": "x", "bytes": [120], "logprob": -0.1}]);
    json!({"id": id, "token": token, "bytes": token.as_bytes(), "logprob": -0.5, "top": top})
}

fn told(id: u32, token: &str) -> Value {
    let top = json!([{"id": 9, "token": "x", "bytes": [120], "logprob": -0.1}]);
    json!({"id": id, "token": token, "bytes": token.as_bytes(), "logprob": -0.5, "top_logprobs": top})
}

fn result(reason: &str, stop: Value) -> Value {
    json!({"finish_reason": reason, "stop": stop, "usage": {"prompt_tokens": 7, "cached_tokens": 2, "completion_tokens": 3}})
}

fn script() -> World {
    World::new([
        Step::Say(json!({"text": " upon\n", "tokens": [5, 6], "logprobs": [logprob(5, " up"), logprob(6, "on\n")]})),
        Step::Say(json!({"text": "a", "tokens": [7], "logprobs": [logprob(7, "a")], "result": result("stop", json!("time"))})),
    ])
}

#[test]
fn a_whole_answer_has_llama_cpps_form() {
    for path in [PATH, "/completions"] {
        let world = script();
        let mut answer =
            world.post(path, &json!({"prompt": "Once", "n_probs": 1, "return_tokens": true, "stop": ["time"], "seed": 4})).json();
        let timings = answer["timings"].take();
        assert_eq!((&timings["prompt_n"], &timings["predicted_n"]), (&json!(5), &json!(3)));
        let settings = answer["generation_settings"].take();
        assert_eq!((&settings["n_predict"], &settings["seed"], &settings["stop"]), (&json!(-1), &json!(4), &json!(["time"])));
        assert_eq!(
            answer,
            json!({
                "index": 0, "content": " upon\na", "tokens": [5, 6, 7], "stop": true, "model": "tiny", "prompt": "Once",
                "completion_probabilities": [told(5, " up"), told(6, "on\n"), told(7, "a")],
                "generation_settings": null, "timings": null, "tokens_predicted": 3, "tokens_evaluated": 7, "tokens_cached": 10,
                "has_new_line": true, "truncated": false, "stop_type": "word", "stopping_word": "time"
            })
        );
        assert_eq!(
            world.request(),
            json!({
                "prompt": "Once", "logprobs": 1, "stop": ["time"], "ignore_end": false,
                "sampling": {
                    "temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "seed": 4, "repeat_penalty": 1.0, "frequency_penalty": 0.0,
                    "presence_penalty": 0.0
                }
            })
        );
    }
    for (reason, stop_type) in [("stop", "eos"), ("length", "limit")] {
        let answer = World::new([Step::End("x", reason)]).post(PATH, &json!({"prompt": "a", "n_predict": 3})).json();
        assert_eq!((&answer["stop_type"], &answer["stopping_word"], &answer["tokens"]), (&json!(stop_type), &json!(""), &json!([])));
        assert_eq!((&answer["generation_settings"]["n_predict"], answer.get("completion_probabilities")), (&json!(3), None));
    }
}

#[test]
fn a_stream_ends_with_stop_and_no_done() {
    let world = script();
    let events = world.post(PATH, &json!({"prompt": "Once", "stream": true, "n_probs": 1})).events();
    assert_eq!(
        events[..2],
        [
            json!({"index": 0, "content": " upon\n", "tokens": [5, 6], "stop": false, "completion_probabilities": [told(5, " up"), told(6, "on\n")]}),
            json!({"index": 0, "content": "a", "tokens": [7], "stop": false, "completion_probabilities": [told(7, "a")]}),
        ]
    );
    let last = &events[2];
    assert_eq!((events.len(), &last["stop"], &last["content"], &last["tokens"]), (3, &json!(true), &json!(""), &json!([])));
    assert_eq!((&last["has_new_line"], &last["generation_settings"]["stream"]), (&json!(true), &json!(true)));
    let broken = World::new([Step::Text("a"), Step::Fail(failure("internal", "?"))]).post(PATH, &json!({"prompt": "a", "stream": true}));
    let events = broken.events();
    assert_eq!((events.len(), &events[1]["error"]["code"]), (2, &json!("internal")));
}

#[test]
fn tokens_are_a_prompt_and_biases_come_in_both_forms() {
    let world = World::several([vec![Step::Say(json!({"text": "Once", "pieces": []}))], vec![Step::End("x", "stop")]]);
    let answer = world.post(PATH, &json!({"prompt": [1, 2.0], "logit_bias": [[5, false], [6, -2]]})).json();
    assert_eq!(answer["prompt"], "Once");
    let asked = &world.requests()[1];
    assert_eq!((&asked["tokens"], &asked["sampling"]["logit_bias"]), (&json!([1, 2]), &json!({"5": -100.0, "6": -2.0})));
    let world = World::new([Step::End("x", "stop")]);
    world.post(PATH, &json!({"prompt": "a", "logit_bias": {"5": 1}, "json_schema": {"type": "object"}, "ignore_eos": true}));
    let asked = world.request();
    assert_eq!((&asked["sampling"]["logit_bias"], &asked["ignore_end"]), (&json!({"5": 1.0}), &json!(true)));
    assert_eq!(asked["grammar"], json!({"json_schema": {"type": "object"}}));
}

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        (json!({"prompt": null}), "prompt"),
        (json!({"prompt": []}), "prompt"),
        (json!({"prompt": ["a", "b"]}), "prompt[0]"),
        (json!({"prompt": [1, "b"]}), "prompt[1]"),
        (json!({"n_predict": 0}), "n_predict"),
        (json!({"max_tokens": 5}), "max_tokens"),
        (json!({"n_probs": 21}), "n_probs"),
        (json!({"logit_bias": [["a", 1]]}), "logit_bias[0][0]"),
        (json!({"logit_bias": [[true, 1]]}), "logit_bias"),
        (json!({"logit_bias": [[1, true]]}), "logit_bias"),
        (json!({"logit_bias": [[1, 101]]}), "logit_bias"),
        (json!({"logit_bias": [[1.5, 1]]}), "logit_bias"),
        (json!({"logit_bias": [[1]]}), "logit_bias[0]"),
        (json!({"logit_bias": {"a": 1}}), "logit_bias"),
        (json!({"mirostat": 2}), "mirostat"),
        (json!({"response_fields": ["content"]}), "response_fields"),
        (json!({"temprature": 1}), "temprature"),
    ];
    for (more, param) in cases {
        let mut request = json!({"prompt": "a"});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let world = World::new([]);
        let answer = world.post(PATH, &request);
        assert_eq!((answer.status.as_u16(), answer.error().0), (400, json!(param)), "{request}: {}", answer.text());
        assert_eq!(world.log(), []);
    }
    let data = json!({"kind": "invalid_request", "message": "no such token", "param": "tokens"}).to_string();
    assert_eq!(World::new([Step::Fail(data)]).post(PATH, &json!({"prompt": [9]})).error().0, json!("prompt"));
}

#[test]
fn properties_are_those_of_a_model() {
    let props = World::new([]).get("/props").json();
    assert_eq!(props["default_generation_settings"]["n_ctx"], 2048);
    let params = &props["default_generation_settings"]["params"];
    assert_eq!((&params["temperature"], &params["n_predict"], &params["seed"]), (&json!(0.8), &json!(-1), &json!(-1)));
    assert_eq!(
        (&props["model_alias"], &props["chat_template"], &props["eos_token"]),
        (&json!("tiny"), &json!("{{ messages }}"), &json!("</s>"))
    );
    assert_eq!(World::new([]).get("/props?model=other").json()["model_alias"], "other");
    assert_eq!(World::new([]).get("/props?model=none").status, 404);
    assert_eq!(World::new([]).load_error("tiny", failure("loading", "?")).get("/props").status, 503);
}
