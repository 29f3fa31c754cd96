//! `/v1/completions`: texts continued as they are.

use serde_json::{Value, json};

use crate::world::{Step, World, failure};

const PATH: &str = "/v1/completions";

fn token(id: u32, token: &str, logprob: Value) -> Value {
    let top = if logprob.is_null() { json!([]) } else { json!([{"id": 9, "token": "x", "bytes": [120], "logprob": -0.1}]) };
    json!({"id": id, "token": token, "bytes": token.as_bytes(), "logprob": logprob, "top": top})
}

#[test]
fn a_whole_answer_has_openais_form() {
    let world = World::new([Step::Text(" upon"), Step::End(" a time", "length")]);
    let answer = world.post(PATH, &json!({"prompt": "Once"}));
    let mut document = answer.json();
    assert!(document["id"].take().as_str().unwrap().starts_with("cmpl-"));
    for name in ["created", "system_fingerprint", "timings"] {
        assert!(!document[name].take().is_null());
    }
    assert_eq!(
        document,
        json!({
            "id": null, "object": "text_completion", "created": null, "model": "tiny", "system_fingerprint": null, "timings": null,
            "choices": [{"index": 0, "text": " upon a time", "logprobs": null, "finish_reason": "length"}],
            "usage": {
                "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": 2}, "completion_tokens_details": {"reasoning_tokens": 0}
            }
        })
    );
    let request = world.request();
    assert_eq!((&request["prompt"], &request["max_tokens"]), (&json!("Once"), &json!(16)));
}

#[test]
fn a_prompt_is_a_text_or_tokens_or_several() {
    let cases = [
        (json!("a"), vec![json!({"prompt": "a"})]),
        (json!(["a", "b"]), vec![json!({"prompt": "a"}), json!({"prompt": "b"})]),
        (json!([1, 2.0]), vec![json!({"tokens": [1, 2]})]),
        (json!([[1], [2, 3], "c"]), vec![json!({"tokens": [1]}), json!({"tokens": [2, 3]}), json!({"prompt": "c"})]),
    ];
    for (prompt, asked) in cases {
        let world = World::several(asked.iter().map(|_| vec![Step::End("x", "stop")]));
        let answer = world.post(PATH, &json!({"prompt": prompt, "max_tokens": -1}));
        assert_eq!(answer.status, 200, "{}", answer.text());
        for (request, asked) in world.requests().iter().zip(&asked) {
            for (name, value) in asked.as_object().unwrap() {
                assert_eq!(&request[name], value);
            }
            assert!(request.get("max_tokens").is_none());
        }
        assert_eq!(answer.json()["usage"]["prompt_tokens"], 7 * asked.len());
    }
}

#[test]
fn each_prompt_has_its_choices_in_order() {
    let world = World::several((0..4).map(|_| vec![Step::End("x", "stop")]));
    let answer = world.post(PATH, &json!({"prompt": ["a", "b"], "n": 2, "best_of": 2, "seed": 5, "echo": true})).json();
    let told: Vec<_> = answer["choices"].as_array().unwrap().iter().map(|choice| (&choice["index"], &choice["text"])).collect();
    let expected = [json!("ax"), json!("ax"), json!("bx"), json!("bx")];
    assert_eq!(told, (0..4).map(json_index).collect::<Vec<_>>().iter().zip(&expected).collect::<Vec<_>>());
    let asked: Vec<_> = world.requests().iter().map(|request| (request["prompt"].clone(), request["sampling"]["seed"].clone())).collect();
    assert_eq!(asked, [("a", 5), ("a", 6), ("b", 5), ("b", 6)].map(|(prompt, seed)| (json!(prompt), json!(seed))));
    assert_eq!((&answer["usage"]["prompt_tokens"], &answer["usage"]["completion_tokens"]), (&json!(14), &json!(12)));
}

fn json_index(index: usize) -> Value {
    json!(index)
}

/// What evaluation harnesses ask: how likely a text is.
#[test]
fn a_prompts_own_log_probabilities_are_told() {
    let say = json!({
        "text": "", "tokens": [], "prompt_logprobs": [token(1, "é", json!(null)), token(2, " x", json!(-1.5))],
        "result": {"finish_reason": "length", "usage": {"prompt_tokens": 2, "completion_tokens": 0}}
    });
    let world = World::new([Step::Say(say)]);
    let answer = world.post(PATH, &json!({"prompt": "é x", "echo": true, "max_tokens": 0, "logprobs": 1}));
    let choice = &answer.json()["choices"][0];
    assert_eq!(choice["text"], "é x");
    assert_eq!(
        choice["logprobs"],
        json!({
            "tokens": ["é", " x"], "token_logprobs": [null, -1.5], "top_logprobs": [null, {"x": -0.1, " x": -1.5}], "text_offset": [0, 1]
        })
    );
    let request = world.request();
    assert_eq!((&request["prompt_logprobs"], &request["logprobs"], &request["max_tokens"]), (&json!(1), &json!(1), &json!(0)));
    // Without log-probabilities the prompt comes back still.
    let world = World::new([Step::End("", "length")]);
    assert_eq!(world.post(PATH, &json!({"prompt": "a", "echo": true, "max_tokens": 0})).json()["choices"][0]["text"], "a");
}

#[test]
fn tokens_are_echoed_as_their_text() {
    let world =
        World::several([vec![Step::Say(json!({"text": "Once", "pieces": [[79, 110], [99, 101]]}))], vec![Step::End(" more", "stop")]]);
    let answer = world.post(PATH, &json!({"prompt": [1, 2], "echo": true})).json();
    assert_eq!(answer["choices"][0]["text"], "Once more");
    assert_eq!(world.request(), json!({"detokenize": [1, 2]}));
    let data = json!({"kind": "invalid_request", "message": "token 99 is none", "param": "detokenize"}).to_string();
    let answer = World::new([Step::Fail(data)]).post(PATH, &json!({"prompt": [99], "echo": true}));
    assert_eq!((answer.status.as_u16(), answer.error().0), (400, json!("prompt")));
}

#[test]
fn a_stream_tells_prompt_text_and_reason() {
    let world = World::new([
        Step::Say(
            json!({"text": "b", "tokens": [2], "prompt_logprobs": [token(1, "a", json!(null))], "logprobs": [token(2, "b", json!(-1.0))]}),
        ),
        Step::Say(json!({"text": "", "tokens": [3], "logprobs": [token(3, "\u{fffd}", json!(-2.0))]})),
        Step::Say(json!({"text": "c", "tokens": [4], "logprobs": [token(4, "c", json!(-3.0))], "result": {
            "finish_reason": "stop", "usage": {"prompt_tokens": 1, "completion_tokens": 3}
        }})),
    ]);
    let answer =
        world.post(PATH, &json!({"prompt": "a", "echo": true, "logprobs": 0, "stream": true, "stream_options": {"include_usage": true}}));
    let events = answer.events();
    let choices: Vec<_> = events[..3].iter().map(|event| &event["choices"][0]).collect();
    let texts: Vec<_> = choices.iter().map(|choice| &choice["text"]).collect();
    assert_eq!(texts, ["ab", "c", ""]);
    let offsets: Vec<_> = choices.iter().map(|choice| &choice["logprobs"]["text_offset"]).collect();
    assert_eq!(offsets, [&json!([0, 1]), &json!([2, 3]), &json!(null)]);
    assert_eq!(choices[2]["finish_reason"], "stop");
    assert!(events[..3].iter().all(|event| event["object"] == "text_completion" && event["id"] == events[0]["id"]));
    assert_eq!((&events[3]["choices"], &events[3]["usage"]["total_tokens"], &events[4]), (&json!([]), &json!(4), &json!("[DONE]")));
}

#[test]
fn wrong_parameters_are_named() {
    let cases = [
        (json!({}), "prompt"),
        (json!({"prompt": ""}), ""),
        (json!({"prompt": []}), "prompt"),
        (json!({"prompt": [[]]}), "prompt[0]"),
        (json!({"prompt": 1}), "prompt"),
        (json!({"prompt": [1, "a"]}), "prompt"),
        (json!({"prompt": ["a", 1]}), "prompt"),
        (json!({"prompt": [-1]}), "prompt[0]"),
        (json!({"prompt": [0.5]}), "prompt[0]"),
        (json!({"prompt": [{}]}), "prompt[0]"),
        (json!({"prompt": vec!["a"; 17], "n": 8}), "prompt"),
        (json!({"prompt": "a", "n": 9}), "n"),
        (json!({"prompt": "a", "best_of": 2}), "best_of"),
        (json!({"prompt": "a", "suffix": "b"}), "suffix"),
        (json!({"prompt": "a", "max_tokens": 0}), "max_tokens"),
        (json!({"prompt": "a", "logprobs": 21}), "logprobs"),
        (json!({"prompt": "a", "logprobs": true}), "logprobs"),
        (json!({"prompt": "a", "messages": []}), "messages"),
        (json!({"prompt": "a", "grammar": "x", "regex": "y"}), "regex"),
    ];
    for (request, param) in cases {
        let world = World::new([Step::End("", "stop")]);
        let answer = world.post(PATH, &request);
        if param.is_empty() {
            assert_eq!(answer.status, 200, "{request}");
            continue;
        }
        assert_eq!((answer.status.as_u16(), answer.error().0), (400, json!(param)), "{request}: {}", answer.text());
        assert_eq!(world.log(), [], "{request}");
    }
}

#[test]
fn the_models_refusals_name_the_clients_parameters() {
    let long = json!({"kind": "context_length", "message": "long", "prompt_tokens": 3000, "context_length": 2048}).to_string();
    let answer = World::new([Step::Fail(long)]).post(PATH, &json!({"prompt": "a"}));
    assert_eq!((answer.status.as_u16(), answer.error()), (400, (json!("prompt"), json!("context_length_exceeded"))));
    assert!(answer.message().contains("3000") && answer.message().contains("2048"));
    let data = json!({"kind": "invalid_request", "message": "no such rule", "param": "grammar"}).to_string();
    let answer = World::new([Step::Fail(data)]).post(PATH, &json!({"prompt": "a", "guided_regex": "["}));
    assert_eq!((answer.status.as_u16(), answer.error().0), (400, json!("guided_regex")));
    let answer = World::new([Step::Text("a"), Step::Fail(failure("timeout", "slow"))]).post(PATH, &json!({"prompt": "a", "stream": true}));
    assert_eq!(answer.events().last().unwrap()["error"]["code"], "timeout");
    assert!(!answer.text().contains("[DONE]"));
}
