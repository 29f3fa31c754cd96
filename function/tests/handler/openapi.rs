//! `/openapi.json` and the page that shows it: that the document is whole, that what it says of requests and answers is so, and that the page runs nothing else.

use std::{collections::HashSet, sync::LazyLock};

use http::Method;
use serde_json::{Value, json};

use crate::world::{Step, World, failure, hello};

/// The document.
pub static API: LazyLock<Value> = LazyLock::new(|| World::new([]).get("/openapi.json").json());

fn resolve(schema: &Value) -> &Value {
    match schema["$ref"].as_str() {
        Some(reference) => API.pointer(reference.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("no {reference}")),
        None => schema,
    }
}

/// Why a value is not as a schema says, if it is not.
pub fn fault(schema: &Value, value: &Value, path: &str) -> Option<String> {
    let schema = resolve(schema);
    let wrong = |why: &str| Some(format!("{path}: {why}: {value}"));
    for name in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[name].as_array() {
            let faults: Vec<_> = choices.iter().map(|choice| fault(choice, value, path)).collect();
            return if faults.contains(&None) { None } else { faults.into_iter().flatten().next() };
        }
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return wrong("not one of the words");
    }
    let within = |low: &str, high: &str, size: f64| {
        schema[low].as_f64().is_none_or(|low| size >= low) && schema[high].as_f64().is_none_or(|high| size <= high)
    };
    let of_type = match &schema["type"] {
        Value::Array(types) if value.is_null() && types.contains(&json!("null")) => return None,
        Value::Array(types) => types[0].as_str(),
        of_type => of_type.as_str(),
    };
    match (of_type, value) {
        (None, _) | (Some("boolean"), Value::Bool(_)) | (Some("null"), Value::Null) => None,
        (Some("string"), Value::String(text)) if within("minLength", "maxLength", text.chars().count() as f64) => None,
        (Some("number"), Value::Number(number)) if within("minimum", "maximum", number.as_f64().unwrap()) => None,
        (Some("integer"), Value::Number(number)) if number.as_f64().unwrap().fract() == 0.0 => {
            if within("minimum", "maximum", number.as_f64().unwrap()) { None } else { wrong("out of range") }
        }
        (Some("array"), Value::Array(items)) if within("minItems", "maxItems", items.len() as f64) => {
            items.iter().enumerate().find_map(|(index, item)| fault(&schema["items"], item, &format!("{path}[{index}]")))
        }
        (Some("object"), Value::Object(map)) => {
            let names = schema["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap());
            if let Some(name) = names.into_iter().find(|name| !map.contains_key(*name)) {
                return wrong(&format!("without {name}"));
            }
            map.iter().find_map(|(name, value)| {
                let path = format!("{path}.{name}");
                match (&schema["properties"][name], &schema["additionalProperties"]) {
                    (Value::Null, Value::Null) => None,
                    (Value::Null, rest) => fault(rest, value, &path),
                    (property, _) => fault(property, value, &path),
                }
            })
        }
        _ => wrong(&format!("not {schema}")),
    }
}

/// The schema of a request to a path.
pub fn request_schema(path: &str) -> &'static Value {
    &API["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
}

/// The schema of an answer to it; of a stream that of an event's data.
pub fn answer_schema(path: &str, content_type: &str) -> &'static Value {
    let path = &API["paths"][path];
    answer_of(path.get("post").or(path.get("get")).expect("an operation"), content_type)
}

fn answer_of<'a>(operation: &'a Value, content_type: &str) -> &'a Value {
    let schema = &operation["responses"]["200"]["content"][content_type]["schema"];
    if content_type == "text/event-stream" { &schema["properties"]["data"]["anyOf"][1]["contentSchema"] } else { schema }
}

fn check(schema: &Value, value: &Value) {
    assert!(schema.is_object());
    if let Some(fault) = fault(schema, value, "") {
        panic!("{fault}\n{value:#}");
    }
}

#[test]
fn the_document_is_whole() {
    assert_eq!(API["openapi"], "3.1.0");
    fn references(value: &Value) {
        match value {
            Value::Object(map) => {
                if map.contains_key("$ref") {
                    resolve(value);
                }
                map.values().for_each(references);
            }
            Value::Array(items) => items.iter().for_each(references),
            _ => {}
        }
    }
    references(&API);
    let tags: HashSet<_> = API["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let mut ids = HashSet::new();
    for (path, methods) in API["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].clone()), "{path}");
            assert!(tags.contains(&operation["tags"][0]), "{path}");
            // What is documented is there.
            let (world, address) = World::populated();
            let answer = world.send(Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), &address(path), "");
            assert!(answer.status == 200 || answer.status == 400, "{path}: {}", answer.text());
        }
    }
    // Every schema is used, has words for each field, and none is left that could not be made.
    for (name, schema) in API["components"]["schemas"].as_object().unwrap() {
        assert!(schema["properties"].as_object().is_some_and(|fields| !fields.is_empty()), "{name}");
        for (field, schema) in schema["properties"].as_object().unwrap() {
            assert!(schema["description"].as_str().is_some_and(|words| words.ends_with('.')), "{name}.{field}");
        }
    }
}

#[test]
fn the_document_says_how_a_key_is_sent_and_where_none_is_needed() {
    let schemes: Vec<_> = API["components"]["securitySchemes"].as_object().unwrap().keys().collect();
    assert_eq!(schemes, ["bearer", "basic", "apiKey"]);
    let world = World::obliging().setting("keys", "required");
    for (path, methods) in API["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let status = world.send(Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), path, "").status;
            assert_eq!(status == 401, operation.get("security").is_none(), "{method} {path}: {status}");
        }
    }
}

#[test]
fn every_example_is_taken_and_answered_as_documented() {
    let mut taken = 0;
    for (path, methods) in API["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let (world, address) = World::populated();
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = match operation.get("requestBody") {
                Some(_) => {
                    let example = &operation["requestBody"]["content"]["application/json"]["example"];
                    check(request_schema(path), example);
                    world.send(method, &address(path), example.to_string())
                }
                None => world.send(method, &address(path), ""),
            };
            if operation["operationId"] == "CancelResponse" {
                assert_eq!(answer.error().1, "not_in_background");
                continue;
            }
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            let content_type = answer.header("content-type");
            let documents = if content_type == "application/json" { vec![answer.json()] } else { answer.lines() };
            documents.iter().for_each(|document| check(answer_of(operation, content_type), document));
            taken += 1;
        }
    }
    assert!(taken >= 23);
}

#[test]
fn full_answers_are_as_documented() {
    let logprobs =
        json!([{"id": 1, "token": "a", "bytes": [97], "logprob": -0.5, "top": [{"id": 2, "token": "b", "bytes": [98], "logprob": -1.5}]}]);
    let script = || {
        World::new([
            Step::Say(json!({"reasoning": "r", "text": "a", "tokens": [1], "logprobs": logprobs, "prompt_logprobs": logprobs})),
            Step::Say(json!({"text": "", "tool_calls": [{"index": 0, "name": "f"}, {"index": 0, "arguments": "{}"}], "result": {
                "finish_reason": "tool_calls", "usage": {"prompt_tokens": 7, "completion_tokens": 3}
            }})),
        ])
    };
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    for more in [json!({"tools": tools}), json!({"functions": [{"name": "f"}]})] {
        let mut request = hello(more);
        request["logprobs"] = json!(true);
        check(request_schema("/v1/chat/completions"), &request);
        check(answer_schema("/v1/chat/completions", "application/json"), &script().chat(&request).json());
        request["stream"] = json!(true);
        request["stream_options"] = json!({"include_usage": true});
        for event in script().chat(&request).events().iter().filter(|event| *event != "[DONE]") {
            check(answer_schema("/v1/chat/completions", "text/event-stream"), event);
        }
    }
    let mut request = json!({"prompt": "p", "echo": true, "logprobs": 1});
    check(answer_schema("/v1/completions", "application/json"), &script().post("/v1/completions", &request).json());
    request["stream"] = json!(true);
    for event in script().post("/v1/completions", &request).events().iter().filter(|event| *event != "[DONE]") {
        check(answer_schema("/v1/completions", "text/event-stream"), event);
    }
    let mut request = json!({"prompt": "p", "n_probs": 1});
    check(answer_schema("/completion", "application/json"), &script().post("/completion", &request).json());
    request["stream"] = json!(true);
    for event in script().post("/completion", &request).events() {
        check(answer_schema("/completion", "text/event-stream"), &event);
    }
    let named = json!({
        "max_tokens": 9, "messages": [{"role": "user", "content": "a"}], "thinking": {"type": "adaptive"}, "tools": [{"name": "f", "input_schema": {}}]
    });
    check(answer_schema("/v1/messages", "application/json"), &script().post("/v1/messages", &named).json());
    let mut streamed = named.clone();
    streamed["stream"] = json!(true);
    let events = script().post("/v1/messages", &streamed).named_events();
    assert!(events.len() > 12);
    let broken = World::new([Step::Text("a"), Step::Fail(failure("internal", "?"))]).post("/v1/messages", &streamed).named_events();
    for event in events.iter().chain(&broken) {
        check(answer_schema("/v1/messages", "text/event-stream"), event);
    }
    for (path, request) in
        [("/api/chat", hello(json!({"tools": tools, "logprobs": true}))), ("/api/generate", json!({"prompt": "a", "logprobs": true}))]
    {
        let lines = script().post(path, &request).lines();
        assert!(lines.len() > 1);
        for line in &lines {
            check(answer_schema(path, "application/x-ndjson"), line);
        }
        let mut whole = request.clone();
        whole["stream"] = json!(false);
        check(answer_schema(path, "application/json"), &script().post(path, &whole).json());
    }
    let respond = |request: Value| {
        let mut script = script();
        script = script.setting("store_responses", "false");
        script.respond(&request)
    };
    let mut request = json!({
        "input": "a", "tools": [{"type": "function", "name": "f"}], "include": ["message.output_text.logprobs"], "top_logprobs": 1
    });
    check(request_schema("/v1/responses"), &request);
    check(answer_schema("/v1/responses", "application/json"), &respond(request.clone()).json());
    request["stream"] = json!(true);
    for event in respond(request).events() {
        check(answer_schema("/v1/responses", "text/event-stream"), &event);
    }
    for (path, request) in [
        ("/v1/embeddings", json!({"input": "a", "encoding_format": "base64"})),
        ("/v1/rerank", json!({"query": "a", "documents": ["b"], "return_documents": true})),
        ("/tokenize", json!({"content": "a"})),
    ] {
        check(answer_schema(path, "application/json"), &World::obliging().post(path, &request).json());
    }
    for path in ["/tokenize", "/v1/messages", "/v1/messages/count_tokens", "/api/chat", "/api/embed"] {
        let refusal = World::new([]).post(path, &json!({"wrong": 1})).json();
        check(&API["paths"][path]["post"]["responses"]["default"]["content"]["application/json"]["schema"], &refusal);
    }
}

#[test]
fn the_page_runs_nothing_but_its_own_files() {
    let world = World::new([]);
    let page = world.get("/docs");
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    let html = page.text();
    for inline in ["<script>", "<style", " style=", " onclick=", " onload=", "javascript:", "http://", "https://"] {
        assert!(!html.contains(inline), "{inline}");
    }
    for (file, of_type) in [("/docs.js", "text/javascript; charset=utf-8"), ("/docs.css", "text/css; charset=utf-8")] {
        assert!(html.contains(&format!("\"{file}\"")), "{file}");
        let file = world.get(file);
        assert_eq!((file.status.as_u16(), file.header("content-type")), (200, of_type));
        for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"] {
            assert!(!file.text().contains(markup), "{markup}");
        }
    }
    assert_eq!(world.post("/docs", &json!({})).header("allow"), "GET, HEAD");
}
