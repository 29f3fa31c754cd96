//! Calls of tools, thinking, and questions about a model.

use futures::future::join_all;
use hearth_engine::{Engine, EngineOptions, Error, ErrorKind, Graph, NamedTensor};
use serde_json::{Map, Value, json};

use crate::{
    client::{Chunk, context, finish, generate, greedy, request, start},
    encoder, real,
    toy::{self, expected, options},
};

/// A weather report and a calculator, whose arguments come to an end also where a small model writes them.
pub(crate) fn tools() -> Value {
    json!([
        {"type": "function", "function": {"name": "weather", "description": "Tells the weather of a city.", "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city.", "minLength": 1, "maxLength": 20},
                "days": {"type": "integer", "minimum": 1, "maximum": 7},
                "unit": {"enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city"],
        }}},
        {"type": "function", "function": {"name": "calculate", "description": "Calculates.", "strict": true, "parameters": {
            "type": "object",
            "properties": {
                "operation": {"$ref": "#/$defs/operation"},
                "operands": {"type": "array", "items": {"type": "integer", "minimum": -1000, "maximum": 1000}, "minItems": 2, "maxItems": 3},
            },
            "required": ["operation", "operands"],
            "additionalProperties": false,
            "$defs": {"operation": {"type": "string", "enum": ["add", "multiply"]}},
        }}},
    ])
}

/// The calls that a chunk has: names and arguments' texts.
fn calls(chunk: &Chunk) -> Vec<(String, String)> {
    let mut calls: Vec<(String, String)> = Vec::new();
    for part in &chunk.tool_calls {
        let index = part["index"].as_u64().unwrap() as usize;
        match part["name"].as_str() {
            Some(name) => {
                assert_eq!(index, calls.len());
                calls.push((name.into(), String::new()));
            }
            None => calls[index].1 += part["arguments"].as_str().unwrap(),
        }
    }
    calls
}

/// Whether a call's arguments are what its tool wants.
fn is_valid((name, arguments): &(String, String)) -> bool {
    let Ok(arguments) = serde_json::from_str::<Map<String, Value>>(arguments) else { return false };
    let keys: Vec<&str> = arguments.keys().map(String::as_str).collect();
    match name.as_str() {
        "weather" => {
            let city = arguments.get("city").and_then(Value::as_str).is_some_and(|city| (1..=20).contains(&city.chars().count()));
            let days = arguments.get("days").is_none_or(|days| (1..=7).contains(&days.as_i64().unwrap_or(0)));
            let unit = arguments.get("unit").is_none_or(|unit| unit == "celsius" || unit == "fahrenheit");
            city && days && unit && keys.iter().all(|key| ["city", "days", "unit"].contains(key))
        }
        "calculate" => {
            let operands = arguments.get("operands").and_then(Value::as_array);
            let operands = operands
                .is_some_and(|all| (2..=3).contains(&all.len()) && all.iter().all(|one| one.as_i64().is_some_and(|one| one.abs() <= 1000)));
            operands && keys == ["operation", "operands"] && (arguments["operation"] == "add" || arguments["operation"] == "multiply")
        }
        _ => false,
    }
}

fn ask(question: &str, choice: Value, seed: u64) -> Value {
    json!({
        "messages": [{"role": "user", "content": question}], "tools": tools(), "tool_choice": choice, "max_tokens": 600,
        "sampling": {"temperature": 1.0, "seed": seed},
    })
}

#[track_caller]
fn invalid<T: std::fmt::Debug>(result: Result<T, Error>, expected: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidRequest, "{}", error.message);
    assert!(error.message.contains(expected), "{:?} does not say {expected:?}", error.message);
}

fn chatty(template: &str) -> (Engine, Graph) {
    let engine = Engine::start(options()).unwrap();
    let graph = engine.add_loaded("chatty", toy::model(8192, Some(template)).0, None).unwrap();
    (engine, graph)
}

/// Each message's content, and calls as Qwen's templates write them.
const CHATS: &str = "{% if tools %}{{ tools }}{% endif %}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>{\"name\": \"{{ c.function.name }}\", \"arguments\": {{ c.function.arguments | tojson }}}</tool_call>{% endfor %}{% endfor %}";

#[tokio::test]
async fn a_demanded_call_is_one_and_its_arguments_are_valid() {
    let (_engine, graph) = chatty(CHATS);
    let required = join_all((0..20).map(|seed| {
        let mut document = ask("Call", json!("required"), seed);
        document["sampling"]["temperature"] = 4.0.into();
        let graph = &graph;
        async move { generate(graph, &document).await }
    }))
    .await;
    let mut several = 0;
    for whole in required {
        let called = calls(&whole);
        assert!(!called.is_empty() && called.iter().all(is_valid), "{called:?}");
        assert_eq!((whole.text.as_str(), &whole.result.unwrap()["finish_reason"]), ("", &json!("tool_calls")));
        several += usize::from(called.len() > 1);
    }
    assert!(several > 0, "none called more than one");
    for seed in 0..8 {
        let mut document = ask("Call", json!({"name": "calculate"}), seed);
        document["sampling"]["temperature"] = 4.0.into();
        let called = calls(&generate(&graph, &document).await);
        assert!(called.len() == 1 && called[0].0 == "calculate" && is_valid(&called[0]), "{called:?}");
        document["tool_choice"] = "required".into();
        document["parallel_tool_calls"] = false.into();
        assert_eq!(calls(&generate(&graph, &document).await).len(), 1);
    }
}

#[tokio::test]
async fn a_call_comes_in_parts_and_may_be_cut_off() {
    let (_engine, graph) = chatty(CHATS);
    let mut document = ask("Call", json!({"name": "calculate"}), 1);
    let mut streaming = context(&graph);
    let first = start(&mut streaming, &document).await.unwrap();
    let whole = finish(&mut streaming, first).await;
    assert_eq!(whole.tool_calls[0], json!({"index": 0, "name": "calculate"}));
    assert!(whole.tool_calls.len() > 5, "{:?}", whole.tool_calls);
    assert_eq!(whole.tokens.len() as u64, whole.result.unwrap()["usage"]["completion_tokens"].as_u64().unwrap());
    document["max_tokens"] = 70.into();
    let cut = generate(&graph, &document).await;
    assert_eq!(cut.result.as_ref().unwrap()["finish_reason"], "length");
    let arguments = &calls(&cut)[0].1;
    assert!(arguments.starts_with("{\"operation\": \"") && serde_json::from_str::<Value>(arguments).is_err(), "{arguments}");
}

#[tokio::test]
async fn without_a_choice_of_tools_there_are_none() {
    let (_engine, graph) = chatty(CHATS);
    let mut document = greedy("", 12);
    document.as_object_mut().unwrap().remove("prompt");
    document["messages"] = json!([{"role": "user", "content": "Hi"}]);
    document["tools"] = tools();
    document["tool_choice"] = "none".into();
    // The model is not told of them either.
    assert_eq!(generate(&graph, &document).await.text, expected("[user]Hi", 12).0);
    document["tool_choice"] = "auto".into();
    let auto = generate(&graph, &document).await;
    assert!(auto.text.len() == 12 && auto.tool_calls.is_empty() && auto.result.unwrap()["finish_reason"] == "length");
}

#[tokio::test]
async fn thinking_is_no_text() {
    let (_engine, graph) = chatty("{% for m in messages %}{{ m.content }}{% endfor %}<think>{# </think> #}");
    let chat = json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9, "stop": ["a", "e", "i", "o"], "sampling": {"temperature": 0}});
    let whole = generate(&graph, &chat).await;
    assert_eq!((whole.text.as_str(), whole.reasoning), ("", expected("Hi<think>", 9).0));
    let result = whole.result.unwrap();
    assert_eq!((&result["finish_reason"], &result["usage"]["reasoning_tokens"]), (&json!("length"), &json!(9)));
    // A prompt that is none of a chat is nothing but text.
    let mut plain = greedy("Hi<think>", 9);
    plain["ignore_end"] = true.into();
    assert_eq!(generate(&graph, &plain).await.text, expected("Hi<think>", 9).0);
}

#[tokio::test]
async fn what_cannot_be_honoured_is_named() {
    let (_engine, graph) = chatty(CHATS);
    let refused = async |change: &dyn Fn(&mut Value), expected: &str| {
        let mut document = ask("Call", json!("auto"), 1);
        change(&mut document);
        invalid(start(&mut context(&graph), &document).await, expected);
    };
    refused(&|document| document["tool_choice"] = json!({"name": "nothing"}), "wants `nothing`").await;
    let unsupported = json!({"type": "object", "properties": {"city": {"type": "string", "not": {"const": "Rome"}}}, "required": ["city"]});
    let strict = unsupported.clone();
    refused(
        &move |document| {
            document["tools"][0]["function"]["parameters"] = strict.clone();
            document["tools"][0]["function"]["strict"] = true.into();
        },
        "`parameters` of the tool `weather` cannot be honoured: `not`",
    )
    .await;
    // One that need not be strict is held to be an object.
    let mut document = ask("Call", json!({"name": "weather"}), 1);
    document["tools"][0]["function"]["parameters"] = unsupported;
    document["max_tokens"] = 90.into();
    let called = calls(&generate(&graph, &document).await);
    assert!(called[0].0 == "weather" && called[0].1.starts_with('{'), "{called:?}");
}

/// The outputs of an answer, by name.
async fn answer(graph: &Graph, question: &Value) -> Result<Vec<NamedTensor>, Error> {
    context(graph).compute(request(question)).await
}

fn text(outputs: &[NamedTensor], name: &str) -> String {
    String::from_utf8(outputs.iter().find(|(known, _)| known == name).unwrap().1.data.clone()).unwrap()
}

fn tokens(outputs: &[NamedTensor]) -> Vec<u32> {
    let data = &outputs.iter().find(|(name, _)| name == "tokens").unwrap().1.data;
    data.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
}

#[tokio::test]
async fn questions_are_answered_while_the_engine_is_busy() {
    let engine = Engine::start(options()).unwrap();
    let (model, control) = toy::model(1024, Some(CHATS));
    let graph = engine.add_loaded("toy", model, None).unwrap();
    control.allow(0);
    let mut generating = context(&graph);
    assert!(futures::FutureExt::now_or_never(generating.compute(request(&greedy("Hi", 3)))).is_none());

    assert_eq!(
        tokens(&answer(&graph, &json!({"tokenize": "ab</s>"})).await.unwrap()),
        "ab</s>".bytes().map(toy::token).collect::<Vec<_>>()
    );
    let begun = answer(&graph, &json!({"tokenize": "ab</s>", "control": true, "begin": true})).await.unwrap();
    assert_eq!(tokens(&begun), [1, toy::token(b'a'), toy::token(b'b'), 2]);
    let outputs =
        answer(&graph, &json!({"detokenize": [1, toy::token(b'a'), toy::token(0xc3), toy::token(0xa9), toy::token(0xff)]})).await.unwrap();
    assert_eq!((text(&outputs, "text"), text(&outputs, "pieces")), ("<s>aé\u{fffd}".into(), "[[60,115,62],[97],[195],[169],[255]]".into()));
    let messages = json!([{"role": "user", "content": "Hi</s>"}, {"role": "assistant", "content": null, "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}},
    ]}]);
    let rendered = answer(&graph, &json!({"render": {"messages": messages}})).await.unwrap();
    let want = "[user]Hi</s>[assistant]<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}</tool_call>";
    assert_eq!(text(&rendered, "text"), want);
    let begins: Vec<u32> = std::iter::once(1).chain("[user]Hi</s>".bytes().map(toy::token)).collect();
    assert!(tokens(&rendered).starts_with(&begins), "a control token in a message is text");
    let described: Value = serde_json::from_str(&text(&answer(&graph, &json!({"describe": true})).await.unwrap(), "description")).unwrap();
    for (name, value) in [
        ("purpose", json!("generate")),
        ("context_length", json!(1024)),
        ("vocabulary", json!(259)),
        ("chat_template", json!(CHATS)),
        ("tool_format", json!("hermes")),
        ("reasoning", json!(false)),
        ("begin", json!("<s>")),
        ("end", json!(["</s>"])),
    ] {
        assert_eq!(described[name], value, "{name}");
    }
    invalid(answer(&graph, &json!({"detokenize": [9999]})).await, "token 9999");
    invalid(answer(&graph, &json!({"describe": true, "tokenize": "x"})).await, "2 of");

    // The context is as it was.
    let mut fresh = context(&graph);
    fresh.compute(request(&json!({"describe": true}))).await.unwrap();
    control.release();
    let first = start(&mut fresh, &greedy("Hi", 3)).await.unwrap();
    assert_eq!(finish(&mut fresh, first).await.text, expected("Hi", 3).0);
}

#[tokio::test]
async fn a_model_for_embeddings_answers_as_well() {
    let (_engine, graph, _) = encoder::engine(options());
    assert_eq!(tokens(&answer(&graph, &json!({"tokenize": "ab", "begin": true})).await.unwrap()), toy::tokens("ab"));
    let described: Value = serde_json::from_str(&text(&answer(&graph, &json!({"describe": true})).await.unwrap(), "description")).unwrap();
    assert_eq!((&described["purpose"], &described["tool_format"]), (&json!("embed"), &Value::Null));
    invalid(answer(&graph, &json!({"render": {"messages": []}})).await, "no chat template");
    let (_engine, plain, _) = toy::engine(options());
    invalid(answer(&plain, &json!({"render": {"messages": []}})).await, "no chat template");
}

async fn smollm2() -> Option<(Engine, Graph)> {
    let path = real::model()?;
    let options = EngineOptions { device: hearth_engine::DeviceChoice::Cpu, context: 2048, ..EngineOptions::default() };
    let engine = Engine::start(options).unwrap();
    engine.add_model("smollm2", path, None);
    let graph = engine.ready("smollm2").await.unwrap();
    Some((engine, graph))
}

const QUESTIONS: [&str; 4] = [
    "What is the weather in Paris?",
    "How much is 12 times 7?",
    "Will it rain in Tokyo this week?",
    "Add 3, 4 and 5, and tell me the weather in Rome.",
];

/// Temperature 1 and many seeds: whatever a small model has in mind, what it must call it calls.
#[tokio::test]
async fn a_real_model_makes_the_calls_that_it_must() {
    let Some((_engine, graph)) = smollm2().await else { return };
    let document = |seed: u64| {
        let question = QUESTIONS[seed as usize % 4];
        let name = ["weather", "calculate"][seed as usize % 2];
        let mut document = ask(question, if seed < 20 { json!("required") } else { json!({ "name": name }) }, seed);
        // A small model may repeat itself to the last call that it may make.
        document["parallel_tool_calls"] = seed.is_multiple_of(4).into();
        document["max_tokens"] = 1200.into();
        document
    };
    let documents: Vec<Value> = (0..40).map(document).collect();
    let answers = join_all(documents.iter().map(|document| generate(&graph, document))).await;
    for (seed, whole) in answers.iter().enumerate() {
        let called = calls(whole);
        assert!(!called.is_empty() && called.iter().all(is_valid), "seed {seed}: {called:?}");
        assert_eq!((whole.text.as_str(), &whole.result.as_ref().unwrap()["finish_reason"]), ("", &json!("tool_calls")), "seed {seed}");
        if seed >= 20 {
            assert_eq!((called.len(), called[0].0.as_str()), (1, ["weather", "calculate"][seed % 2]), "seed {seed}");
        }
    }
}

/// Where it may call, its text may have whatever it likes, but what begins as a call is one.
#[tokio::test]
async fn a_real_model_makes_no_broken_call() {
    let Some((_engine, graph)) = smollm2().await else { return };
    // What a call begins with is made likely, so that there are some.
    let begin = tokens(&answer(&graph, &json!({"tokenize": "<tool_call>"})).await.unwrap());
    let bias: Map<String, Value> = begin.iter().map(|token| (token.to_string(), json!(6))).collect();
    let documents: Vec<Value> = (0..20)
        .map(|seed| {
            let mut document = ask(QUESTIONS[seed as usize % 4], json!("auto"), seed);
            document["sampling"]["logit_bias"] = bias.clone().into();
            document["max_tokens"] = 300.into();
            document
        })
        .collect();
    let (mut with_calls, mut ended) = (0, 0);
    for whole in join_all(documents.iter().map(|document| generate(&graph, document))).await {
        let (mut called, result) = (calls(&whole), whole.result.unwrap());
        with_calls += usize::from(!called.is_empty());
        if result["finish_reason"] == "length" {
            // The last one may lack its end.
            called.pop_if(|last| !is_valid(last));
        } else {
            assert_eq!(result["finish_reason"] == "tool_calls", !called.is_empty());
            assert!(!whole.text.contains("<tool_call>"), "{}", whole.text);
            ended += 1;
        }
        assert!(called.iter().all(is_valid), "{called:?}");
    }
    assert!(with_calls >= 5 && ended >= 5, "{with_calls} with calls, {ended} ended");
}

#[tokio::test]
async fn a_real_model_is_described_and_its_text_comes_back() {
    let Some((_engine, graph)) = smollm2().await else { return };
    let described: Value = serde_json::from_str(&text(&answer(&graph, &json!({"describe": true})).await.unwrap(), "description")).unwrap();
    for (name, value) in [
        ("purpose", json!("generate")),
        ("architecture", json!("llama")),
        ("embedding_length", json!(576)),
        ("vocabulary", json!(49152)),
        ("parameters", json!(134_515_008)),
        ("weights", json!("Q4_1")),
        ("tool_format", json!("hermes")),
        ("begin", json!("<|im_start|>")),
    ] {
        assert_eq!(described[name], value, "{name}");
    }
    assert!(
        described["end"].as_array().unwrap().contains(&json!("<|im_end|>")) && described["bytes"].as_u64().unwrap() > 80_000_000,
        "{described}"
    );
    let sentence = "Łódź & 東京 — \tnaïve <|im_end|>";
    let given = tokens(&answer(&graph, &json!({"tokenize": sentence})).await.unwrap());
    assert_eq!(text(&answer(&graph, &json!({"detokenize": given})).await.unwrap(), "text"), sentence);
    let chat = json!({"render": {"messages": [{"role": "user", "content": "Hi"}], "tools": tools()}});
    let rendered = text(&answer(&graph, &chat).await.unwrap(), "text");
    assert!(
        rendered.contains("\"name\": \"calculate\"") && rendered.ends_with("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"),
        "{rendered}"
    );
}
