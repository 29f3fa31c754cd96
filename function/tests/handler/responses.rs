//! `/v1/responses`: what a request becomes for the model, and what the model's answer becomes.

use serde_json::{Value, json};

use crate::world::{Step, World, failure};

/// A model that thinks, says a word, and calls two functions.
pub fn calls() -> Vec<Step> {
    vec![
        Step::Say(json!({"reasoning": "Two ", "text": ""})),
        Step::Say(json!({"reasoning": "calls.", "text": "Wait", "tokens": [1]})),
        Step::Say(json!({"text": "", "tool_calls": [{"index": 0, "name": "weather"}, {"index": 0, "arguments": "{\"city\": "}]})),
        Step::Say(json!({"text": "", "tool_calls": [{"index": 0, "arguments": "\"Paris\"}"}, {"index": 1, "name": "time"}]})),
        Step::Say(json!({"text": "", "tool_calls": [{"index": 1, "arguments": "{}"}], "result": {
            "finish_reason": "tool_calls", "usage": {"prompt_tokens": 7, "cached_tokens": 2, "completion_tokens": 9, "reasoning_tokens": 4}
        }})),
    ]
}

pub fn tools() -> Value {
    json!([
        {"type": "function", "name": "weather", "description": "Tells the weather", "strict": true, "parameters": {"type": "object"}},
        {"type": "function", "name": "time"}
    ])
}

/// Takes the ids out of a document, which must be there, each once, and of the right kind.
pub fn without_ids(mut items: Value) -> Value {
    let mut seen = Vec::new();
    for item in items.as_array_mut().expect("items") {
        let prefix = match item["type"].as_str().unwrap() {
            "message" => "msg_",
            "reasoning" => "rs_",
            "function_call" => "fc_",
            _ => "fco_",
        };
        let id = item["id"].as_str().expect("an id").to_owned();
        assert!(id.starts_with(prefix) && id.len() > prefix.len() + 32, "{id}");
        assert!(!seen.contains(&id), "{id}");
        seen.push(id);
        item.as_object_mut().unwrap().remove("id");
    }
    items
}

/// What a message of the model's is told as.
pub fn said(text: &str, status: &str) -> Value {
    json!({"type": "message", "status": status, "role": "assistant", "content": [
        {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    ]})
}

#[test]
fn a_text_is_answered() {
    let world = World::new([Step::Text("Par"), Step::End("is.", "stop")]);
    let answer = world.respond(&json!({"input": "Where?", "instructions": "Be short."}));
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    let mut document = answer.json();
    let id = document["id"].take();
    assert!(id.as_str().is_some_and(|id| id.starts_with("resp_") && id.len() == 5 + 48), "{id}");
    assert!(document["created_at"].is_u64() && document["completed_at"].as_u64() >= document["created_at"].as_u64());
    assert_eq!(without_ids(document["output"].take()), json!([said("Paris.", "completed")]));
    for name in ["created_at", "completed_at"] {
        document[name].take();
    }
    assert_eq!(
        document,
        json!({
            "id": null, "object": "response", "created_at": null, "completed_at": null, "status": "completed", "background": false, "error": null,
            "incomplete_details": null, "instructions": "Be short.", "max_output_tokens": null, "max_tool_calls": null, "model": "tiny",
            "output": null, "parallel_tool_calls": true, "previous_response_id": null, "conversation": null,
            "reasoning": {"effort": null, "summary": null}, "service_tier": "default", "store": true, "temperature": 1.0,
            "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled",
            "usage": {
                "input_tokens": 7, "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0}, "output_tokens": 3,
                "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 10
            },
            "metadata": {}
        })
    );
    assert_eq!(world.request()["messages"], json!([{"role": "system", "content": "Be short."}, {"role": "user", "content": "Where?"}]));
}

#[test]
fn what_was_asked_reaches_the_model_and_is_told_again() {
    let schema = json!({"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "integer"}}});
    let request = json!({
        "model": "other", "input": "x", "max_output_tokens": 64, "temperature": 0.5, "top_p": 0.9, "top_k": 4, "seed": 7, "top_logprobs": 2,
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content"], "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": true}, "verbosity": "low"},
        "tools": tools(), "tool_choice": "auto", "parallel_tool_calls": false, "metadata": {"a": "b"}, "truncation": "auto", "user": "me",
        "stream_options": {"include_obfuscation": false}, "background": false
    });
    let world = World::new([Step::End("{}", "stop")]);
    let answer = world.respond(&request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let asked = world.request();
    assert_eq!(asked["grammar"].to_string(), json!({"json_schema": schema}).to_string());
    assert_eq!(asked["template"], json!({"enable_thinking": true, "thinking": true, "reasoning_effort": "low"}));
    assert_eq!(asked["tools"][1], json!({"type": "function", "function": {"name": "time"}}));
    assert_eq!(asked["tools"][0]["function"]["parameters"], json!({"type": "object"}));
    assert_eq!(
        (&asked["tool_choice"], &asked["parallel_tool_calls"], &asked["logprobs"], &asked["max_tokens"]),
        (&json!("auto"), &json!(false), &json!(2), &json!(64))
    );
    let sampling = &asked["sampling"];
    assert_eq!(
        (&sampling["temperature"], &sampling["top_p"], &sampling["top_k"], &sampling["seed"]),
        (&json!(0.5), &json!(0.9), &json!(4), &json!(7))
    );
    let told = answer.json();
    assert_eq!(told["model"], "other");
    for name in
        ["max_output_tokens", "temperature", "top_p", "top_logprobs", "tool_choice", "parallel_tool_calls", "metadata", "truncation"]
    {
        assert_eq!(told[name], request[name], "{name}");
    }
    assert_eq!(told["text"]["format"], request["text"]["format"]);
    assert_eq!(told["reasoning"], json!({"effort": "low", "summary": null}));
    assert_eq!(told["tools"][1], json!({"type": "function", "name": "time", "description": null, "parameters": null, "strict": true}));
}

#[test]
fn formats_and_choices_reach_the_model() {
    let schema = json!({"type": "object"});
    for (format, grammar) in [
        (json!({"type": "text"}), json!(null)),
        (json!({"type": "json_object"}), json!({"json_object": true})),
        (json!({"type": "json_schema", "name": "n", "schema": schema}), json!({"json_schema": schema})),
    ] {
        let world = World::new([Step::End("", "stop")]);
        assert_eq!(world.respond(&json!({"input": "x", "text": {"format": format}})).status, 200);
        assert_eq!(world.request()["grammar"], grammar);
    }
    for (choice, asked) in [
        (json!("none"), json!("none")),
        (json!("required"), json!("required")),
        (json!({"type": "function", "name": "time"}), json!({"name": "time"})),
    ] {
        let world = World::new([Step::End("", "stop")]);
        let answer = world.respond(&json!({"input": "x", "tools": tools(), "tool_choice": choice}));
        assert_eq!((&world.request()["tool_choice"], &answer.json()["tool_choice"]), (&asked, &choice));
    }
}

#[test]
fn items_become_the_turns_that_a_model_reads() {
    let world = World::new([Step::End("", "stop")]);
    let request = json!({"instructions": "i", "input": [
        {"role": "developer", "content": "d"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "short"}], "content": [{"type": "reasoning_text", "text": "long"}]},
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [
            {"type": "output_text", "text": "Wait", "annotations": [], "logprobs": []}
        ]},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "weather", "arguments": "{\"city\":\"Paris\"}", "status": "completed"},
        {"type": "function_call", "call_id": "c2", "name": "time", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c2", "output": "noon"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "sun"}, {"type": "input_text", "text": "warm"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "short"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "assistant", "content": "again"},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "of nothing"}]},
        {"role": "system", "content": "s"},
        {"role": "user", "content": "last"},
    ]});
    let answer = world.respond(&request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        world.request()["messages"],
        json!([
            {"role": "system", "content": "i"},
            {"role": "system", "content": "d"},
            {"role": "user", "content": "a\nb"},
            {"role": "assistant", "content": "Wait", "reasoning_content": "long", "tool_calls": [
                {"type": "function", "id": "c1", "function": {"name": "weather", "arguments": "{\"city\":\"Paris\"}"}},
                {"type": "function", "id": "c2", "function": {"name": "time", "arguments": "{}"}}
            ]},
            {"role": "tool", "content": "noon", "tool_call_id": "c2", "name": "time"},
            {"role": "tool", "content": "sun\nwarm", "tool_call_id": "c1", "name": "weather"},
            {"role": "assistant", "content": "no", "reasoning_content": "short"},
            {"role": "assistant", "content": "again"},
            {"role": "system", "content": "s"},
            {"role": "user", "content": "last"}
        ])
    );
}

#[test]
fn thinking_text_and_calls_are_items_in_their_order() {
    let mut document = World::new(calls()).respond(&json!({"input": "x", "tools": tools()})).json();
    let ids: Vec<_> = (2..4).map(|index| document["output"][index]["call_id"].take()).collect();
    assert!(ids.iter().all(|id| id.as_str().unwrap().starts_with("call_")) && ids[0] != ids[1], "{ids:?}");
    assert_eq!(
        without_ids(document["output"].take()),
        json!([
            {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Two calls."}], "status": "completed"},
            said("Wait", "completed"),
            {"type": "function_call", "call_id": null, "name": "weather", "arguments": "{\"city\": \"Paris\"}", "status": "completed"},
            {"type": "function_call", "call_id": null, "name": "time", "arguments": "{}", "status": "completed"}
        ])
    );
    assert_eq!(document["usage"]["output_tokens_details"], json!({"reasoning_tokens": 4}));
    // A text after a call is a message of its own.
    let world = World::new([
        Step::Say(json!({"text": "a", "tool_calls": [{"index": 0, "name": "time"}, {"index": 0, "arguments": "{}"}]})),
        Step::End("b", "tool_calls"),
    ]);
    let output = world.respond(&json!({"input": "x", "tools": tools()})).json()["output"].take();
    let types: Vec<_> = output.as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["message", "function_call", "message"]);
}

#[test]
fn an_answer_that_is_cut_short_is_incomplete() {
    let document = World::new([Step::Text("a"), Step::End("b", "length")]).respond(&json!({"input": "x"})).json();
    assert_eq!((&document["status"], &document["completed_at"]), (&json!("incomplete"), &json!(null)));
    assert_eq!(document["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!(without_ids(document["output"].clone()), json!([said("ab", "incomplete")]));
    // In the midst of thinking.
    let thinking = Step::Say(json!({"reasoning": "hm", "text": "", "result": {
        "finish_reason": "length", "usage": {"prompt_tokens": 1, "completion_tokens": 1}
    }}));
    let output = World::new([thinking]).respond(&json!({"input": "x"})).json()["output"].take();
    assert_eq!((output.as_array().unwrap().len(), &output[0]["status"]), (1, &json!("incomplete")));
    // Nothing at all is still a message.
    let output = World::new([Step::End("", "stop")]).respond(&json!({"input": "x"})).json()["output"].take();
    assert_eq!(without_ids(output), json!([said("", "completed")]));
}

#[test]
fn the_texts_tokens_have_their_probabilities() {
    let token = |text: &str| json!({"id": 1, "token": text, "bytes": text.as_bytes(), "logprob": -0.5, "top": [{"id": 1, "token": text, "bytes": [1], "logprob": -0.5}]});
    let script = || {
        World::new([
            Step::Say(json!({"reasoning": "t", "text": "", "tokens": [1], "logprobs": [token("t")]})),
            Step::Say(json!({"text": "", "tokens": [2], "logprobs": [token("half")]})),
            Step::Say(json!({"text": "a", "tokens": [3], "logprobs": [token("a")], "result": {
                "finish_reason": "stop", "usage": {"prompt_tokens": 1, "completion_tokens": 1}
            }})),
        ])
    };
    let request = json!({"input": "x", "top_logprobs": 1});
    let document = script().respond(&request).json();
    let logprobs = &document["output"][1]["content"][0]["logprobs"];
    let told = json!({"token": "half", "logprob": -0.5, "bytes": [104, 97, 108, 102], "top_logprobs": [{"token": "half", "logprob": -0.5, "bytes": [1]}]});
    assert_eq!((logprobs.as_array().unwrap().len(), &logprobs[0], &logprobs[1]["token"]), (2, &told, &json!("a")));
    // They are not kept.
    let world = script();
    let id = world.respond(&request).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(world.get(&format!("/v1/responses/{id}")).json()["output"][1]["content"][0]["logprobs"], json!([]));
}

#[test]
fn wrong_requests_are_refused_by_name() {
    let cases = [
        (json!({}), "input"),
        (json!({"input": 1}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": [1]}), "input[0]"),
        (json!({"input": [{}]}), "input[0].role"),
        (json!({"input": [{"role": "tool", "content": "x"}]}), "input[0].role"),
        (json!({"input": [{"role": "user"}]}), "input[0].content"),
        (json!({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}), "input[0].content[0].type"),
        (json!({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}), "input[0].content[0].text"),
        (json!({"input": [{"type": "web_search_call", "id": "x"}]}), "input[0].type"),
        (json!({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}), "input[0].call_id"),
        (json!({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}), "input"),
        (json!({"input": [{"type": "item_reference", "id": "msg_1"}]}), "input[0].id"),
        (json!({"input": [{"type": "reasoning", "summary": []}]}), "input"),
        (json!({"input": [], "instructions": "i"}), "input"),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "file_search", "vector_store_ids": []}]}), "tools[0].type"),
        (json!({"tools": [{"type": "mcp"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].name"),
        (json!({"tools": [{"type": "function", "name": "a"}, {"type": "function", "name": "a"}]}), "tools[1].name"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"tool_choice": {"type": "web_search_preview"}}), "tool_choice.type"),
        (json!({"tools": [{"type": "function", "name": "a"}], "tool_choice": {"type": "function", "name": "b"}}), "tool_choice"),
        (
            json!({"tools": [{"type": "function", "name": "a"}], "tool_choice": "required", "text": {"format": {"type": "json_object"}}}),
            "text.format",
        ),
        (json!({"text": {"format": {"type": "xml"}}}), "text.format.type"),
        (json!({"text": {"format": {"type": "json_schema", "name": "n"}}}), "text.format.schema"),
        (json!({"background": true}), "background"),
        (json!({"prompt": {"id": "pmpt_1"}}), "prompt"),
        (json!({"max_output_tokens": 0}), "max_output_tokens"),
        (json!({"top_logprobs": 21}), "top_logprobs"),
        (json!({"include": ["everything"]}), "include[0]"),
        (json!({"reasoning": {"effort": "most"}}), "reasoning.effort"),
        (json!({"truncation": "middle"}), "truncation"),
        (json!({"metadata": {"a": 1}}), "metadata.a"),
        (json!({"metadata": {"a": "x".repeat(2049)}}), "metadata.a"),
        (json!({"metadata": (0..17).map(|n| (n.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>()}), "metadata"),
        (json!({"metadata": {"x".repeat(257): "a"}}), "metadata"),
        (json!({"conversation": 1}), "conversation"),
        (json!({"conversation": {}}), "conversation.id"),
        (json!({"conversation": "conv_1", "previous_response_id": "resp_1"}), "previous_response_id"),
        (json!({"messages": []}), "messages"),
    ];
    for (mut request, param) in cases {
        if request.get("input").is_none() && request != json!({}) {
            request["input"] = json!("x");
        }
        let world = World::new([]);
        let answer = world.respond(&request);
        assert_eq!((answer.status.as_u16(), answer.error().0), (400, json!(param)), "{request}: {}", answer.text());
        assert_eq!(world.log(), [], "{request}");
        assert!(world.kept().is_empty());
    }
    let answer = World::new([]).respond(&json!({"input": "x", "tools": [{"type": "web_search"}]}));
    assert!(answer.message().contains("'web_search'") && answer.message().contains("'function'"), "{}", answer.message());
}

#[test]
fn what_fails_at_the_model_is_named_as_the_client_named_it() {
    let grammar = json!({"kind": "invalid_request", "message": "no such schema", "param": "grammar"}).to_string();
    let answer = World::new([Step::Fail(grammar)]).respond(&json!({"input": "x", "text": {"format": {"type": "json_object"}}}));
    assert_eq!((answer.status.as_u16(), answer.error().0), (400, json!("text.format")));
    let long = json!({"kind": "context_length", "message": "?", "prompt_tokens": 3000, "context_length": 2048}).to_string();
    let answer = World::new([Step::Fail(long)]).respond(&json!({"input": "x"}));
    assert_eq!((answer.status.as_u16(), answer.error()), (400, (json!("input"), json!("context_length_exceeded"))));
    let answer = World::new([Step::Text("a"), Step::Fail(failure("shutting_down", "The server stops."))]).respond(&json!({"input": "x"}));
    assert_eq!((answer.status.as_u16(), answer.message().as_str()), (503, "The server stops."));
    let answer = World::new([]).respond(&json!({"input": "x", "model": "none"}));
    assert_eq!((answer.status.as_u16(), answer.error().1), (404, json!("model_not_found")));
}

#[test]
fn what_was_said_first_is_left_out_where_that_is_wanted() {
    let long = json!({"kind": "context_length", "message": "?", "prompt_tokens": 3000, "context_length": 2048}).to_string();
    let turn = |text: &str| vec![json!({"role": "user", "content": text}), json!({"role": "assistant", "content": format!("to {text}")})];
    let mut items = ["one", "two", "three", "four"].map(turn).concat();
    items.push(json!({"role": "user", "content": "last"}));
    // The context is of 2048 tokens, a quarter of which is left for the answer. What is left fits from the third turn on.
    let rendered = |tokens: usize| vec![Step::Say(json!({"text": "", "tokens": vec![1; tokens]}))];
    let world = World::several([
        vec![Step::Fail(long.clone())],
        vec![],
        rendered(1500),
        rendered(1530),
        rendered(1600),
        vec![Step::End("ok", "stop")],
    ]);
    let answer = world.respond(&json!({"input": items, "instructions": "i", "truncation": "auto"}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let requests = world.requests();
    let messages = requests.last().unwrap()["messages"].as_array().unwrap();
    let texts: Vec<_> = messages.iter().map(|message| message["content"].as_str().unwrap()).collect();
    assert_eq!(texts, ["i", "three", "to three", "four", "to four", "last"]);
    // Without it the client is told.
    let answer = World::new([Step::Fail(long)]).respond(&json!({"input": items}));
    assert_eq!((answer.status.as_u16(), answer.error().1), (400, json!("context_length_exceeded")));
}
