//! Tools: what the model is told of them, and how its calls are told, whole and streamed.

use serde_json::{Value, json};

use crate::world::{Step, World, hello};

fn weather() -> Value {
    json!({"type": "function", "function": {
        "name": "weather", "description": "Tells the weather", "strict": true,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    }})
}

fn time() -> Value {
    json!({"type": "function", "function": {"name": "time"}})
}

/// A model that thinks, says a word, and calls two tools at once.
fn calls() -> World {
    World::new([
        Step::Say(json!({"reasoning": "Two ", "text": ""})),
        Step::Say(json!({"reasoning": "calls.", "text": "Wait", "tokens": [1]})),
        Step::Say(json!({"text": "", "tool_calls": [{"index": 0, "name": "weather"}, {"index": 0, "arguments": "{\"city\": "}]})),
        Step::Say(json!({"text": "", "tool_calls": [{"index": 0, "arguments": "\"Paris\"}"}, {"index": 1, "name": "time"}]})),
        Step::Say(json!({"text": "", "tool_calls": [{"index": 1, "arguments": "{}"}], "result": {
            "finish_reason": "tool_calls", "usage": {"prompt_tokens": 7, "cached_tokens": 2, "completion_tokens": 9, "reasoning_tokens": 4}
        }})),
    ])
}

#[test]
fn calls_are_told_whole() {
    let mut answer = calls().chat(&hello(json!({"tools": [weather(), time()]}))).json();
    let choice = &mut answer["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    let ids: Vec<_> = choice["message"]["tool_calls"].as_array_mut().unwrap().iter_mut().map(|call| call["id"].take()).collect();
    assert!(ids.iter().all(|id| id.as_str().unwrap().starts_with("call_")) && ids[0] != ids[1], "{ids:?}");
    assert_eq!(
        choice["message"],
        json!({"role": "assistant", "content": "Wait", "refusal": null, "reasoning_content": "Two calls.", "tool_calls": [
            {"id": null, "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Paris\"}"}},
            {"id": null, "type": "function", "function": {"name": "time", "arguments": "{}"}}
        ]})
    );
    assert_eq!(answer["usage"]["completion_tokens_details"]["reasoning_tokens"], 4);
}

#[test]
fn calls_are_streamed_as_openai_does() {
    let events = calls().chat(&hello(json!({"stream": true, "tools": [weather(), time()]}))).events();
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(done, "[DONE]");
    let mut deltas: Vec<_> = chunks.iter().map(|event| event["choices"][0]["delta"].clone()).collect();
    let ids = [5, 8].map(|place| deltas[place - 1]["tool_calls"][0]["id"].take());
    assert!(ids.iter().all(|id| id.as_str().unwrap().starts_with("call_")) && ids[0] != ids[1], "{ids:?}");
    assert_eq!(
        deltas,
        [
            json!({"role": "assistant", "content": ""}),
            json!({"reasoning_content": "Two "}),
            json!({"reasoning_content": "calls."}),
            json!({"content": "Wait"}),
            json!({"tool_calls": [{"index": 0, "id": null, "type": "function", "function": {"name": "weather", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"city\": "}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "\"Paris\"}"}}]}),
            json!({"tool_calls": [{"index": 1, "id": null, "type": "function", "function": {"name": "time", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}),
            json!({}),
        ]
    );
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn the_form_before_tools_is_answered_in_that_form() {
    let script = || {
        World::new([Step::Say(json!({
            "text": "", "tool_calls": [{"index": 0, "name": "time"}, {"index": 0, "arguments": "{}"}],
            "result": {"finish_reason": "tool_calls", "usage": {"prompt_tokens": 7, "completion_tokens": 9}}
        }))])
    };
    let request = |stream: bool| hello(json!({"functions": [{"name": "time"}], "function_call": {"name": "time"}, "stream": stream}));
    let world = script();
    let choice = &world.chat(&request(false)).json()["choices"][0];
    assert_eq!(
        choice["message"],
        json!({"role": "assistant", "content": null, "refusal": null, "function_call": {"name": "time", "arguments": "{}"}})
    );
    assert_eq!(choice["finish_reason"], "function_call");
    assert_eq!(world.request()["tools"], json!([time()]));
    assert_eq!(world.request()["tool_choice"], json!({"name": "time"}));
    assert_eq!(world.request()["parallel_tool_calls"], json!(false));
    let events = script().chat(&request(true)).events();
    assert_eq!(events[1]["choices"][0]["delta"], json!({"function_call": {"name": "time", "arguments": ""}}));
    assert_eq!(events[2]["choices"][0]["delta"], json!({"function_call": {"arguments": "{}"}}));
    assert_eq!(events[3]["choices"][0]["finish_reason"], "function_call");
}

#[test]
fn the_model_is_told_of_its_tools() {
    let cases = [
        (json!({}), json!(null), json!(null)),
        (json!({"tool_choice": "auto", "parallel_tool_calls": true}), json!("auto"), json!(null)),
        (json!({"tool_choice": "none"}), json!("none"), json!(null)),
        (json!({"tool_choice": "required", "parallel_tool_calls": false}), json!("required"), json!(false)),
        (json!({"tool_choice": {"type": "function", "function": {"name": "time"}}}), json!({"name": "time"}), json!(null)),
    ];
    for (mut more, choice, parallel) in cases {
        more["tools"] = json!([weather(), time()]);
        let world = World::new([Step::End("", "stop")]);
        assert_eq!(world.chat(&hello(more.clone())).status, 200, "{more}");
        let request = world.request();
        assert_eq!(request["tools"], json!([weather(), time()]));
        assert_eq!((&request["tool_choice"], &request["parallel_tool_calls"]), (&choice, &parallel), "{more}");
    }
    let world = World::new([Step::End("", "stop")]);
    assert_eq!(world.chat(&hello(json!({"tools": [], "tool_choice": "none", "parallel_tool_calls": false}))).status, 200);
    assert!(["tools", "tool_choice", "parallel_tool_calls"].iter().all(|name| world.request().get(*name).is_none()));
}

#[test]
fn earlier_calls_and_their_answers_go_to_the_model() {
    let world = World::new([Step::End("", "stop")]);
    let request = json!({"messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": null, "reasoning_content": "Call.", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Paris\"}"}},
            {"id": "call_2", "function": {"name": "time", "arguments": {"zone": 1}}}
        ]},
        {"role": "tool", "tool_call_id": "call_2", "content": "noon"},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "sun"}]},
        {"role": "assistant", "content": "", "function_call": {"name": "time", "arguments": "{}"}},
        {"role": "function", "name": "time", "content": "one"},
    ]});
    let answer = world.chat(&request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        world.request()["messages"],
        json!([
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": null, "reasoning_content": "Call.", "tool_calls": [
                {"type": "function", "id": "call_1", "function": {"name": "weather", "arguments": "{\"city\":\"Paris\"}"}},
                {"type": "function", "id": "call_2", "function": {"name": "time", "arguments": "{\"zone\":1}"}}
            ]},
            {"role": "tool", "content": "noon", "tool_call_id": "call_2", "name": "time"},
            {"role": "tool", "content": "sun", "tool_call_id": "call_1", "name": "weather"},
            {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "time", "arguments": "{}"}}]},
            {"role": "tool", "content": "one", "name": "time"}
        ])
    );
}

#[test]
fn wrong_tools_are_refused_by_name() {
    let cases = [
        (json!({"tools": {}}), "tools"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].function"),
        (json!({"tools": [{"function": {"name": "a"}}]}), "tools[0].type"),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "function", "function": {"name": ""}}]}), "tools[0].function.name"),
        (json!({"tools": [{"type": "function", "function": {"name": "x".repeat(129)}}]}), "tools[0].function.name"),
        (json!({"tools": [{"type": "function", "function": {"name": "a", "parameters": []}}]}), "tools[0].function.parameters"),
        (json!({"tools": [time(), weather(), time()]}), "tools[2].function.name"),
        (json!({"tools": vec![time(); 129]}), "tools"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"tools": [time()], "tool_choice": "any"}), "tool_choice"),
        (json!({"tools": [time()], "tool_choice": {"type": "function", "function": {"name": "weather"}}}), "tool_choice"),
        (json!({"tools": [time()], "tool_choice": {"type": "function"}}), "tool_choice.function"),
        (json!({"tools": [time()], "tool_choice": {"type": "custom"}}), "tool_choice.type"),
        (json!({"tools": [time()], "functions": [{"name": "a"}]}), "functions"),
        (json!({"functions": [{"name": "a"}], "function_call": {"name": "b"}}), "function_call"),
        (json!({"tools": [time()], "tool_choice": "required", "response_format": {"type": "json_object"}}), "response_format"),
        (json!({"parallel_tool_calls": 1}), "parallel_tool_calls"),
        (json!({"messages": [{"role": "assistant", "tool_calls": []}]}), "messages[0].content"),
        (json!({"messages": [{"role": "user", "tool_calls": [{"function": {"name": "a", "arguments": "{}"}}]}]}), "messages[0].content"),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "a"}}]}]}),
            "messages[0].tool_calls[0].function.arguments",
        ),
    ];
    for (more, param) in cases {
        let world = World::new([]);
        let answer = world.chat(&hello(more.clone()));
        assert_eq!((answer.status.as_u16(), answer.error().0), (400, json!(param)), "{more}: {}", answer.text());
        assert!(answer.message().contains(param), "{}", answer.message());
        assert_eq!(world.log(), []);
    }
}

#[test]
fn calls_that_break_the_contract_are_the_models_fault() {
    for calls in [
        json!([{"index": 0, "arguments": "{}"}]),
        json!([{"index": 1, "name": "a"}]),
        json!([{"index": 0, "name": "a"}, {"index": 0, "name": "b"}]),
        json!([{"name": "a"}]),
        json!({}),
    ] {
        let answer = World::new([Step::Say(json!({"text": "", "tool_calls": calls}))]).chat(&hello(json!({"tools": [time()]})));
        assert_eq!(answer.status, 500, "{calls}");
    }
}
