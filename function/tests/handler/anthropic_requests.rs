//! `/v1/messages`: what the model is asked, and what is refused.

use serde_json::{Value, json};

use crate::world::{Step, World};

const PATH: &str = "/v1/messages";
const COUNT: &str = "/v1/messages/count_tokens";

/// A conversation of one message with further fields.
pub fn hello(more: Value) -> Value {
    let mut request = json!({"max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]});
    for (name, value) in more.as_object().unwrap() {
        request[name] = value.clone();
    }
    request
}

/// What the model is asked.
fn asked(request: &Value) -> Value {
    let world = World::new([Step::End("", "stop")]);
    let answer = world.post(PATH, request);
    assert_eq!(answer.status, 200, "{request}: {}", answer.text());
    world.request()
}

fn messages(messages: Value) -> Value {
    asked(&hello(json!({"messages": messages})))["messages"].clone()
}

fn weather() -> Value {
    json!({"name": "weather", "description": "Tells the weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}})
}

fn time() -> Value {
    json!({"type": "custom", "name": "time", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}})
}

#[test]
fn a_plain_request_has_the_defaults() {
    assert_eq!(
        asked(&hello(json!({}))),
        json!({
            "messages": [{"role": "user", "content": "Hi"}],
            "template": {"enable_thinking": false, "thinking": false},
            "max_tokens": 64, "stop": [], "ignore_end": false,
            "sampling": {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}
        })
    );
}

#[test]
fn every_field_reaches_the_model() {
    let request = hello(json!({
        "model": "other", "system": "Be brief.", "temperature": 0.25, "top_p": 0.5, "top_k": 7, "stop_sequences": ["a", "\n\nHuman:"], "stream": false,
        "metadata": {"user_id": "u"}, "service_tier": "auto", "cache_control": {"type": "ephemeral"}, "context_management": {"edits": []},
        "container": null, "mcp_servers": []
    }));
    let asked = asked(&request);
    assert_eq!(asked["messages"], json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]));
    assert_eq!(asked["stop"], json!(["a", "\n\nHuman:"]));
    let sampling = &asked["sampling"];
    assert_eq!((&sampling["temperature"], &sampling["top_p"], &sampling["top_k"]), (&json!(0.25), &json!(0.5), &json!(7)));
    let world = World::new([Step::End("", "stop")]);
    assert_eq!(world.post(PATH, &request).json()["model"], "other");
}

#[test]
fn texts_are_strings_or_blocks() {
    let blocks = json!([{"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "two", "citations": null}]);
    let request = hello(json!({"system": blocks, "messages": [{"role": "user", "content": blocks}]}));
    assert_eq!(asked(&request)["messages"], json!([{"role": "system", "content": "one\ntwo"}, {"role": "user", "content": "one\ntwo"}]));
    assert_eq!(messages(json!([{"role": "user", "content": []}])), json!([{"role": "user", "content": ""}]));
    assert_eq!(messages(json!([{"role": "user", "content": [{"type": "text", "text": ""}]}])), json!([{"role": "user", "content": ""}]));
}

#[test]
fn turns_of_one_speaker_are_one() {
    let conversation = json!([
        {"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "c"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "tool_use", "id": "1", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1"}]},
        {"role": "system", "content": "d"},
        {"role": "user", "content": "e"}
    ]);
    assert_eq!(
        messages(conversation),
        json!([
            {"role": "user", "content": "a\nb"},
            {"role": "assistant", "content": "c", "reasoning_content": "t", "tool_calls": [{"type": "function", "id": "1", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "content": "", "tool_call_id": "1", "name": "f"},
            {"role": "system", "content": "d"},
            {"role": "user", "content": "e"}
        ])
    );
}

#[test]
fn calls_thinking_and_answers_of_tools_reach_the_model() {
    let conversation = json!([
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Two calls.", "signature": "x"},
            {"type": "redacted_thinking", "data": "secret"},
            {"type": "text", "text": "Wait."},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris", "days": [1, 2]}},
            {"type": "tool_use", "id": "toolu_2", "name": "time", "input": {}, "caller": {"type": "direct"}}
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_2", "content": "noon", "is_error": false},
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "sun"}, {"type": "text", "text": "wind"}], "is_error": true},
            {"type": "text", "text": "And now?"}
        ]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": ""}]},
        {"role": "user", "content": [{"type": "text", "text": "first"}, {"type": "tool_result", "tool_use_id": "unknown", "content": "?"}]}
    ]);
    assert_eq!(
        messages(conversation),
        json!([
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "Wait.", "reasoning_content": "Two calls.", "tool_calls": [
                {"type": "function", "id": "toolu_1", "function": {"name": "weather", "arguments": "{\"city\":\"Paris\",\"days\":[1,2]}"}},
                {"type": "function", "id": "toolu_2", "function": {"name": "time", "arguments": "{}"}}
            ]},
            {"role": "tool", "content": "noon", "tool_call_id": "toolu_2", "name": "time"},
            {"role": "tool", "content": "sun\nwind", "tool_call_id": "toolu_1", "name": "weather"},
            {"role": "user", "content": "And now?"},
            {"role": "assistant", "content": "", "reasoning_content": "Hm."},
            {"role": "user", "content": "first"},
            {"role": "tool", "content": "?", "tool_call_id": "unknown"}
        ])
    );
    let only = json!([{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {}}]}, {"role": "user", "content": "b"}]);
    assert_eq!(messages(only)[0]["content"], json!(null));
}

#[test]
fn tools_and_the_choice_among_them_reach_the_model() {
    let cases = [
        (json!(null), json!(null), json!(null)),
        (json!({"type": "auto"}), json!("auto"), json!(null)),
        (json!({"type": "auto", "disable_parallel_tool_use": false}), json!("auto"), json!(null)),
        (json!({"type": "auto", "disable_parallel_tool_use": true}), json!("auto"), json!(false)),
        (json!({"type": "any", "disable_parallel_tool_use": true}), json!("required"), json!(false)),
        (json!({"type": "tool", "name": "time"}), json!({"name": "time"}), json!(null)),
        (json!({"type": "none"}), json!("none"), json!(null)),
    ];
    for (wanted, choice, parallel) in cases {
        let asked = asked(&hello(json!({"tools": [weather(), time()], "tool_choice": wanted})));
        assert_eq!(
            asked["tools"],
            json!([
                {"type": "function", "function": {
                    "name": "weather", "description": "Tells the weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}
                }},
                {"type": "function", "function": {"name": "time", "parameters": {"type": "object"}}}
            ])
        );
        assert_eq!((&asked["tool_choice"], &asked["parallel_tool_calls"]), (&choice, &parallel), "{wanted}");
    }
    let asked = asked(&hello(json!({"tools": [], "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}})));
    assert!(["tools", "tool_choice", "parallel_tool_calls"].iter().all(|name| asked.get(*name).is_none()));
}

#[test]
fn thinking_and_effort_are_variables_of_the_template() {
    let on = json!({"enable_thinking": true, "thinking": true});
    let off = json!({"enable_thinking": false, "thinking": false});
    let budget = json!({"enable_thinking": true, "thinking": true, "thinking_budget": 1024});
    let effort = json!({"enable_thinking": true, "thinking": true, "reasoning_effort": "max"});
    for (more, template) in [
        (json!({"thinking": null}), &off),
        (json!({"thinking": {"type": "disabled"}}), &off),
        (json!({"thinking": {"type": "adaptive", "display": "omitted"}}), &on),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 1024, "display": "summarized"}}), &budget),
        (json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}), &effort),
    ] {
        assert_eq!(&asked(&hello(more.clone()))["template"], template, "{more}");
    }
}

#[test]
fn a_format_holds_the_text() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let request = hello(json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}}));
    assert_eq!(asked(&request)["grammar"], json!({"json_schema": schema}));
    assert_eq!(asked(&hello(json!({"output_config": {}}))).get("grammar"), None);
}

/// A conversation whose answer is begun.
fn begun(text: &str) -> Value {
    begun_with(json!(text))
}

fn begun_with(content: Value) -> Value {
    json!({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": content}]})
}

fn merge(mut one: Value, other: Value) -> Value {
    one.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    one
}

/// The rendered conversation, the beginning's tokens, and the rest of the answer.
fn going_on() -> World {
    World::several([
        vec![Step::Say(json!({"text": "<user>Hi<model>", "tokens": [1, 2, 3]}))],
        vec![Step::Say(json!({"tokens": [4, 5]}))],
        vec![Step::Text(" is"), Step::End(" Paris", "stop")],
    ])
}

#[test]
fn an_answer_that_is_begun_is_gone_on_from() {
    let rendered = json!({"render": {
        "messages": [{"role": "user", "content": "Hi"}], "tools": [], "template": {"enable_thinking": false, "thinking": false},
        "add_generation_prompt": true
    }});
    let tokenized = json!({"tokenize": "It<|end|>", "control": false, "begin": false});
    for content in [json!("It<|end|>"), json!([{"type": "text", "text": "It<|end|>"}])] {
        let world = going_on();
        let more = json!({"tools": [time()], "tool_choice": {"type": "none"}, "stop_sequences": ["x"]});
        let answer = world.post(PATH, &hello(merge(begun_with(content), more))).json();
        assert_eq!(answer["content"], json!([{"type": "text", "text": " is Paris"}]));
        let requests = world.requests();
        assert_eq!(requests[..2], [rendered.clone(), tokenized.clone()]);
        let last = &requests[2];
        assert_eq!((&last["tokens"], &last["max_tokens"], &last["stop"]), (&json!([1, 2, 3, 4, 5]), &json!(64), &json!(["x"])));
        assert!(["messages", "tools", "tool_choice", "template"].iter().all(|name| last.get(name).is_none()), "{last}");
    }
    let world = going_on();
    let streamed = world.post(PATH, &hello(merge(begun("It"), json!({"stream": true})))).text();
    assert!(streamed.contains(r#""text":" is""#) && streamed.contains("message_stop"), "{streamed}");
    let world = going_on();
    let mut request = hello(begun("It"));
    request.as_object_mut().unwrap().remove("max_tokens");
    assert_eq!(world.post(COUNT, &request).json(), json!({"input_tokens": 5}));
    // Nothing was begun.
    assert_eq!(asked(&hello(begun("")))["messages"], json!([{"role": "user", "content": "Hi"}]));
}

#[test]
fn wrong_parameters_are_named() {
    let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let assistant = |content: Value| json!({"messages": [{"role": "assistant", "content": content}, {"role": "user", "content": "a"}]});
    let cases = [
        (json!({"max_tokens": null}), "max_tokens"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"messages": null}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": [{"role": "tool", "content": "a"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user"}]}), "messages[0].content"),
        (begun("b "), "messages[1].content"),
        (begun("b\n"), "messages[1].content"),
        (json!({"messages": [{"role": "assistant", "content": "b"}]}), "messages[0].content"),
        (merge(begun("b"), json!({"thinking": {"type": "adaptive"}})), "messages[1].content"),
        (merge(begun("b"), json!({"tools": [time()]})), "messages[1].content"),
        (merge(begun("b"), json!({"output_config": {"format": {"type": "json_schema", "schema": {}}}})), "messages[1].content"),
        (begun_with(json!([{"type": "tool_use", "id": "1", "name": "f", "input": {}}])), "messages[1].content"),
        (begun_with(json!([{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "b"}])), "messages[1].content"),
        (user(json!([{"text": "a"}])), "messages[0].content[0].type"),
        (user(json!([{"type": "text", "text": "a"}, {"type": "image", "source": {}}])), "messages[0].content[1].type"),
        (user(json!([{"type": "document"}])), "messages[0].content[0].type"),
        (user(json!([{"type": "text"}])), "messages[0].content[0].text"),
        (user(json!([{"type": "thinking", "thinking": "a"}])), "messages[0].content[0].type"),
        (user(json!([{"type": "tool_use", "id": "1", "name": "f", "input": {}}])), "messages[0].content[0].type"),
        (user(json!([{"type": "tool_result", "content": "a"}])), "messages[0].content[0].tool_use_id"),
        (
            user(json!([{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "image"}]}])),
            "messages[0].content[0].content[0].type",
        ),
        (assistant(json!([{"type": "tool_result", "tool_use_id": "1"}])), "messages[0].content[0].type"),
        (assistant(json!([{"type": "tool_use", "id": "1", "name": "f", "input": "{}"}])), "messages[0].content[0].input"),
        (json!({"system": 1}), "system"),
        (json!({"system": [{"type": "image"}]}), "system[0].type"),
        (json!({"temperature": 2.5}), "temperature"),
        (json!({"top_p": -1}), "top_p"),
        (json!({"stop_sequences": "a"}), "stop_sequences"),
        (json!({"stop_sequences": [""]}), "stop_sequences[0]"),
        (json!({"stop_sequences": vec!["a"; 17]}), "stop_sequences"),
        (json!({"tools": [{"name": "f"}]}), "tools[0].input_schema"),
        (json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}), "tools[0].type"),
        (json!({"tools": [time(), weather(), time()]}), "tools[2].name"),
        (json!({"tool_choice": {"type": "any"}}), "tool_choice"),
        (json!({"tool_choice": "auto"}), "tool_choice"),
        (json!({"tool_choice": {"type": "required"}}), "tool_choice.type"),
        (json!({"tools": [time()], "tool_choice": {"type": "tool", "name": "weather"}}), "tool_choice.name"),
        (json!({"thinking": {"type": "enabled"}}), "thinking.budget_tokens"),
        (json!({"thinking": {"type": "on"}}), "thinking.type"),
        (json!({"output_config": {"effort": "none"}}), "output_config.effort"),
        (json!({"output_config": {"format": {"type": "json_object"}}}), "output_config.format.type"),
        (
            json!({"output_config": {"format": {"type": "json_schema", "schema": {}}}, "tools": [time()], "tool_choice": {"type": "any"}}),
            "output_config.format",
        ),
        (json!({"container": "c"}), "container"),
        (json!({"mcp_servers": [{}]}), "mcp_servers"),
        (json!({"n": 2}), "n"),
        (json!({"stop": ["a"]}), "stop"),
    ];
    for (more, param) in cases {
        let world = World::new([]);
        let answer = world.post(PATH, &hello(more.clone()));
        assert_eq!(answer.status, 400, "{more}: {}", answer.text());
        let (of_type, message) = answer.anthropic_error();
        assert_eq!(of_type, "invalid_request_error");
        assert!(message.contains(param), "{param}: {message}");
        assert_eq!(world.log(), []);
    }
}

#[test]
fn tokens_are_those_of_the_rendered_conversation() {
    let world = World::new([Step::Say(json!({"text": "<user>Hi", "tokens": [1, 2, 3, 4, 5]}))]);
    let mut request = hello(
        json!({"model": "other", "system": "s", "tools": [time()], "tool_choice": {"type": "any"}, "thinking": {"type": "adaptive"}}),
    );
    request.as_object_mut().unwrap().remove("max_tokens");
    assert_eq!(world.post(COUNT, &request).json(), json!({"input_tokens": 5}));
    assert_eq!(
        world.request(),
        json!({"render": {
            "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "Hi"}],
            "tools": [{"type": "function", "function": {"name": "time", "parameters": {"type": "object"}}}],
            "template": {"enable_thinking": true, "thinking": true},
            "add_generation_prompt": true
        }})
    );
    assert!(world.log().contains(&crate::world::Event::Loaded("other".into())));
    let answer = World::new([]).post(COUNT, &hello(json!({})));
    assert_eq!(answer.status, 400);
    assert!(answer.anthropic_error().1.contains("max_tokens"));
}
