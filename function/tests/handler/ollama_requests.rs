//! `/api/chat` and `/api/generate`: what the model is asked, and what is refused.

use serde_json::{Value, json};

use crate::world::{Event, Step, World};

const CHAT: &str = "/api/chat";
const GENERATE: &str = "/api/generate";

/// A chat of one message with further fields.
pub fn hello(more: Value) -> Value {
    merge(json!({"messages": [{"role": "user", "content": "Hi"}]}), more)
}

pub fn merge(mut request: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        request[name] = value.clone();
    }
    request
}

/// What the model is asked.
fn asked(path: &str, request: &Value) -> Value {
    let world = World::new([Step::End("", "stop")]);
    let answer = world.post(path, request);
    assert_eq!(answer.status, 200, "{request}: {}", answer.text());
    world.request()
}

#[test]
fn a_plain_request_has_ollamas_defaults() {
    assert_eq!(
        asked(CHAT, &hello(json!({}))),
        json!({
            "messages": [{"role": "user", "content": "Hi"}],
            "stop": [], "ignore_end": false,
            "sampling": {"temperature": 0.8, "top_k": 40, "top_p": 0.9, "min_p": 0.0, "repeat_penalty": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}
        })
    );
    let sampling = asked(CHAT, &hello(json!({})))["sampling"].clone();
    assert_eq!(asked(CHAT, &hello(json!({"options": {"num_ctx": 2048}})))["sampling"], sampling);
    assert_eq!(asked(GENERATE, &json!({"prompt": "Hi"}))["sampling"], sampling);
}

#[test]
fn options_reach_the_model() {
    let options = json!({
        "num_predict": 20, "temperature": 0, "top_k": 7, "top_p": 0.5, "min_p": 0.05, "seed": 3, "stop": ["a", "b"], "repeat_penalty": 1.2,
        "frequency_penalty": 0.5, "presence_penalty": -0.5, "typical_p": 1.0, "mirostat": 0, "num_ctx": 4096, "num_gpu": 1, "num_thread": 8, "numa": false,
        "num_keep": 5, "num_batch": 2, "main_gpu": 0, "low_vram": false, "vocab_only": false, "use_mmap": true, "use_mlock": false, "repeat_last_n": 33,
        "mirostat_tau": 0.8, "mirostat_eta": 0.6, "penalize_newline": true, "tfs_z": 1.0, "f16_kv": true, "logits_all": false, "embedding_only": false
    });
    for asked in [asked(CHAT, &hello(json!({"options": options}))), asked(GENERATE, &json!({"prompt": "p", "options": options}))] {
        assert_eq!((&asked["max_tokens"], &asked["stop"]), (&json!(20), &json!(["a", "b"])));
        assert_eq!(
            asked["sampling"],
            json!({
                "temperature": 0.0, "top_k": 7, "top_p": 0.5, "min_p": 0.05, "seed": 3, "repeat_penalty": 1.2, "frequency_penalty": 0.5,
                "presence_penalty": -0.5
            })
        );
    }
    for no_limit in [-2, -1, 0] {
        assert_eq!(asked(CHAT, &hello(json!({"options": {"num_predict": no_limit, "seed": -1, "stop": "x"}}))).get("max_tokens"), None);
    }
}

#[test]
fn formats_hold_the_text() {
    let schema = json!({"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]});
    for (format, grammar) in [
        (json!("json"), json!({"json_object": true})),
        (schema.clone(), json!({"json_schema": schema})),
        (json!(""), json!(null)),
        (json!(null), json!(null)),
    ] {
        assert_eq!(asked(CHAT, &hello(json!({"format": format})))["grammar"], grammar, "{format}");
        assert_eq!(asked(GENERATE, &json!({"prompt": "p", "format": format}))["grammar"], grammar, "{format}");
    }
}

#[test]
fn thinking_is_a_variable_of_the_template() {
    let cases = [
        (json!(null), json!(null)),
        (json!(true), json!({"enable_thinking": true, "thinking": true})),
        (json!(false), json!({"enable_thinking": false, "thinking": false})),
        (json!("high"), json!({"enable_thinking": true, "thinking": true, "reasoning_effort": "high"})),
    ];
    for (think, template) in cases {
        assert_eq!(asked(CHAT, &hello(json!({"think": think})))["template"], template, "{think}");
        assert_eq!(asked(GENERATE, &json!({"prompt": "p", "think": think}))["template"], template, "{think}");
    }
}

#[test]
fn tools_calls_and_their_answers_reach_the_model() {
    let function =
        json!({"name": "weather", "description": "d", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}});
    let asked = asked(
        CHAT,
        &json!({
            "tools": [{"type": "function", "function": function}],
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "Weather?", "images": []},
                {"role": "assistant", "content": "", "thinking": "Call.", "tool_calls": [
                    {"function": {"name": "weather", "arguments": {"city": "Paris"}}},
                    {"id": "c2", "function": {"index": 1, "name": "time"}}
                ]},
                {"role": "tool", "content": "sun", "tool_name": "weather"},
                {"role": "tool", "content": "noon", "tool_call_id": "c2"},
                {"role": "assistant", "content": "Sunny.", "thinking": "", "tool_calls": []},
                {"role": "user"}
            ]
        }),
    );
    assert_eq!(asked["tools"], json!([{"type": "function", "function": function}]));
    assert!(asked.get("tool_choice").is_none());
    assert_eq!(
        asked["messages"],
        json!([
            {"role": "system", "content": "s"},
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": null, "reasoning_content": "Call.", "tool_calls": [
                {"type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Paris\"}"}},
                {"type": "function", "id": "c2", "function": {"name": "time", "arguments": "{}"}}
            ]},
            {"role": "tool", "content": "sun", "name": "weather"},
            {"role": "tool", "content": "noon", "tool_call_id": "c2", "name": "time"},
            {"role": "assistant", "content": "Sunny."},
            {"role": "user", "content": ""}
        ])
    );
}

#[test]
fn a_prompt_is_a_chat_unless_it_is_raw() {
    let neutral = json!({"suffix": "", "template": "", "context": [], "images": [], "keep_alive": "5m"});
    assert_eq!(asked(GENERATE, &merge(json!({"prompt": "p"}), neutral))["messages"], json!([{"role": "user", "content": "p"}]));
    assert_eq!(
        asked(GENERATE, &json!({"prompt": "p", "system": "s", "raw": false}))["messages"],
        json!([{"role": "system", "content": "s"}, {"role": "user", "content": "p"}])
    );
    let raw = asked(GENERATE, &json!({"prompt": "[INST] p [/INST]", "raw": true}));
    assert_eq!((&raw["prompt"], raw.get("messages")), (&json!("[INST] p [/INST]"), None));
}

#[test]
fn log_probabilities_are_asked_for() {
    assert_eq!(asked(CHAT, &hello(json!({"logprobs": true, "top_logprobs": 3})))["logprobs"], json!(3));
    assert_eq!(asked(GENERATE, &json!({"prompt": "p", "logprobs": true}))["logprobs"], json!(0));
    assert_eq!(asked(GENERATE, &json!({"prompt": "p", "logprobs": false})).get("logprobs"), None);
}

#[test]
fn names_have_a_tag_or_none() {
    for (name, loaded) in [("tiny", "tiny"), ("tiny:latest", "tiny"), ("other:latest", "other"), ("", "tiny")] {
        let world = World::new([Step::End("a", "stop")]);
        let answer = world.post(CHAT, &hello(json!({"model": name})));
        assert_eq!(world.log()[0], Event::Loaded(loaded.into()), "{name}");
        // A client is told its own word for it.
        assert_eq!(answer.lines()[0]["model"], if name.is_empty() { "tiny:latest" } else { name });
    }
    // One that is really called so is not another.
    let world = World::new([Step::End("a", "stop")]).setting("models", "a, a:latest, b:7b");
    world.post(CHAT, &hello(json!({"model": "a:latest"})));
    assert_eq!(world.log()[0], Event::Loaded("a:latest".into()));
    for name in ["b", "b:latest", "c", "c:latest", "tiny:7b", ":latest"] {
        let answer = World::new([]).setting("models", "a, a:latest, b:7b").post(CHAT, &hello(json!({"model": name})));
        assert_eq!(answer.status, 404, "{name}");
        assert!(answer.ollama_error().contains("b:7b"));
    }
}

#[test]
fn without_a_prompt_the_model_is_loaded() {
    let requests = [
        (CHAT, json!({})),
        (CHAT, json!({"messages": [], "keep_alive": 0})),
        (GENERATE, json!({"prompt": ""})),
        (GENERATE, json!({"raw": true})),
    ];
    for (path, request) in requests {
        let world = World::new([]);
        let mut document = world.post(path, &merge(json!({"model": "other"}), request)).json();
        assert!(document["created_at"].take().is_string());
        let said = if path == CHAT { json!({"message": {"role": "assistant", "content": ""}}) } else { json!({"response": ""}) };
        assert_eq!(document, merge(json!({"model": "other", "created_at": null, "done": true, "done_reason": "load"}), said));
        assert_eq!(world.log(), [Event::Loaded("other".into())]);
    }
}

#[test]
fn wrong_parameters_are_named() {
    let chat = [
        (json!({"messages": {}}), "messages"),
        (json!({"messages": [{"content": "a"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "developer", "content": "a"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}), "messages[0].content"),
        (json!({"messages": [{"role": "user", "content": "a", "images": ["iVBORw0"]}]}), "messages[0].images"),
        (json!({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]}), "arguments"),
        (json!({"format": "xml"}), "format"),
        (json!({"format": []}), "format"),
        (json!({"think": "very"}), "think"),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "f"}}]}),
            "tools[1].function.name",
        ),
        (json!({"top_logprobs": 2}), "top_logprobs"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"options": {"temperature": -1}}), "options.temperature"),
        (json!({"options": {"num_predict": -3}}), "options.num_predict"),
        (json!({"options": {"repeat_penalty": 0}}), "options.repeat_penalty"),
        (json!({"options": {"mirostat": 1}}), "options.mirostat"),
        (json!({"options": {"temprature": 1}}), "options.temprature"),
        (json!({"temperature": 1}), "temperature"),
    ];
    let generate = [
        (json!({"prompt": 1}), "prompt"),
        (json!({"images": ["iVBORw0"]}), "images"),
        (json!({"template": "{{ .Prompt }}"}), "template"),
        (json!({"suffix": "b"}), "suffix"),
        (json!({"context": [1, 2]}), "context"),
        (json!({"width": 64}), "width"),
        (json!({"messages": []}), "messages"),
    ];
    let requests = chat.map(|(more, param)| (CHAT, hello(more), param)).into_iter();
    for (path, request, param) in requests.chain(generate.map(|(more, param)| (GENERATE, merge(json!({"prompt": "p"}), more), param))) {
        let world = World::new([]);
        let answer = world.post(path, &request);
        assert_eq!(answer.status, 400, "{request}: {}", answer.text());
        assert!(answer.ollama_error().contains(param), "{param}: {}", answer.ollama_error());
        assert_eq!(world.log(), []);
    }
}
