//! `/tokenize`, `/detokenize` and `/apply-template`, in llama.cpp's forms.

use serde_json::json;

use crate::world::{Step, World, hello};

#[test]
fn a_text_is_told_as_tokens() {
    let world = World::new([Step::Say(json!({"tokens": [5, 6]}))]);
    assert_eq!(world.post("/tokenize", &json!({"content": "é<|end|>"})).json(), json!({"tokens": [5, 6]}));
    assert_eq!(world.request(), json!({"tokenize": "é<|end|>", "control": true, "begin": false}));
    let world = World::several([
        vec![Step::Say(json!({"tokens": [5, 6, 7]}))],
        vec![Step::Say(json!({"text": "aé", "pieces": [[97], [0xc3], [0xa9]]}))],
    ]);
    let answer = world
        .post("/tokenize", &json!({"model": "other", "content": "aé", "add_special": true, "parse_special": false, "with_pieces": true}));
    assert_eq!(answer.json(), json!({"tokens": [{"id": 5, "piece": "a"}, {"id": 6, "piece": [0xc3]}, {"id": 7, "piece": [0xa9]}]}));
    assert_eq!(world.requests(), [json!({"tokenize": "aé", "control": false, "begin": true}), json!({"detokenize": [5, 6, 7]})]);
}

#[test]
fn tokens_are_told_as_a_text() {
    let world = World::new([Step::Say(json!({"text": "hi", "pieces": [[104], [105]]}))]);
    assert_eq!(world.post("/detokenize", &json!({"tokens": [5, 6.0]})).json(), json!({"content": "hi"}));
    assert_eq!(world.request(), json!({"detokenize": [5, 6]}));
}

#[test]
fn a_chat_is_told_as_its_model_reads_it() {
    let world = World::new([Step::Say(json!({"text": "<|user|>Hi", "tokens": [1]}))]);
    let tool = json!({"type": "function", "function": {"name": "time"}});
    let answer = world.post("/apply-template", &hello(json!({"tools": [tool], "reasoning_effort": "none", "temperature": 0.5})));
    assert_eq!(answer.json(), json!({"prompt": "<|user|>Hi"}));
    assert_eq!(
        world.request(),
        json!({"render": {
            "messages": [{"role": "user", "content": "Hi"}], "tools": [tool], "template": {"enable_thinking": false, "thinking": false},
            "add_generation_prompt": true
        }})
    );
}

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        ("/tokenize", json!({}), "content"),
        ("/tokenize", json!({"content": 1}), "content"),
        ("/tokenize", json!({"content": "a", "with_pieces": "yes"}), "with_pieces"),
        ("/tokenize", json!({"content": "a", "prompt": "a"}), "prompt"),
        ("/detokenize", json!({"tokens": "a"}), "tokens"),
        ("/detokenize", json!({"tokens": [-1]}), "tokens[0]"),
        ("/apply-template", json!({}), "messages"),
        ("/apply-template", json!({"messages": [{"role": "user"}]}), "messages[0].content"),
        ("/apply-template", json!({"messages": [{"role": "user", "content": "a"}], "tools": 1}), "tools"),
    ];
    for (path, request, param) in cases {
        let world = World::new([]);
        let answer = world.post(path, &request);
        assert_eq!((answer.status.as_u16(), answer.error().0), (400, json!(param)), "{path} {request}: {}", answer.text());
        assert_eq!(world.log(), []);
    }
    let data = json!({"kind": "invalid_request", "message": "token 9 is none of this model's", "param": "detokenize"}).to_string();
    let answer = World::new([Step::Fail(data)]).post("/detokenize", &json!({"tokens": [9]}));
    assert_eq!((answer.status.as_u16(), answer.error().0), (400, json!("tokens")));
    assert_eq!(World::new([]).post("/tokenize", &json!({"model": "none", "content": "a"})).status, 404);
}

#[test]
fn what_breaks_the_contract_is_the_models_fault() {
    assert_eq!(World::new([Step::Say(json!({"text": "a"}))]).post("/tokenize", &json!({"content": "a"})).status, 500);
    let world = World::several([vec![Step::Say(json!({"tokens": [5]}))], vec![Step::Say(json!({"pieces": []}))]]);
    assert_eq!(world.post("/tokenize", &json!({"content": "a", "with_pieces": true})).status, 500);
}
