//! One table of cases over both shapes: each request must get what the table says, and the same bytes from both (ids and times apart).

use std::{
    env::var_os,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use hearth_tests::{Response, Scratch, Server, Shape, Surroundings, application, free_address, request, test_data};
use serde_json::{Value, json};

/// A request, and what must come back.
struct Case {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    body: Option<Vec<u8>>,
    status: u16,
    check: fn(&Response),
}

fn chat(body: Value) -> Option<Vec<u8>> {
    Some(body.to_string().into_bytes())
}

fn anything(_: &Response) {}

/// OpenAI's error envelope with a message.
fn is_error(response: &Response) {
    let error = &response.json()["error"];
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "no message in {error}");
    assert!(error["type"].is_string(), "no type in {error}");
    assert!(error.get("param").is_some() && error.get("code").is_some(), "no param or code in {error}");
}

fn message(response: &Response) -> String {
    response.json()["choices"][0]["message"]["content"].as_str().expect("content").to_owned()
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    // With the system message that this small model would add by itself, llama.cpp too answers nonsense: it is given another.
    let hello = || {
        json!([{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "What is the capital of France?"}])
    };
    let case = |name, method, path, body, status, check| Case { name, method, path, body, status, check };
    vec![
        case("health", "GET", "/health", None, 200, |r| assert_eq!(r.json(), json!({"status": "ok"}))),
        case("health by HEAD", "HEAD", "/health", None, 200, |r| assert!(r.body.is_empty())),
        case("page", "GET", "/", None, 200, |r| {
            assert!(r.header("content-type").is_some_and(|ty| ty.starts_with("text/html")));
            assert!(r.header("content-security-policy").is_some());
        }),
        case("socket", "GET", "/v1/chat/ws", None, 426, |r| {
            is_error(r);
            assert_eq!(r.json()["websocket"]["post"], "/v1/chat/completions");
        }),
        case("models", "GET", "/v1/models", None, 200, |r| {
            assert_eq!(r.json()["object"], "list");
            assert_eq!(r.json()["data"].as_array().map(Vec::len), Some(1));
        }),
        case("chat", "POST", "/v1/chat/completions", chat(json!({"messages": hello(), "max_tokens": 24, "temperature": 0})), 200, |r| {
            assert!(message(r).contains("Paris"), "{}", message(r));
            let usage = &r.json()["usage"];
            assert!(usage["prompt_tokens"].as_u64() > Some(5) && usage["completion_tokens"].as_u64() > Some(3), "{usage}");
            assert_eq!(r.json()["object"], "chat.completion");
        }),
        case("chat stops at the limit", "POST", "/v1/chat/completions", chat(json!({"messages": hello(), "max_tokens": 3, "temperature": 0})), 200, |r| {
            assert_eq!(r.json()["choices"][0]["finish_reason"], "length");
            assert_eq!(r.json()["usage"]["completion_tokens"], 3);
        }),
        case("chat stops at a string", "POST", "/v1/chat/completions",
            chat(json!({"messages": hello(), "max_tokens": 64, "temperature": 0, "stop": ["Paris"]})), 200, |r| {
            assert!(!message(r).contains("Paris"), "{}", message(r));
            assert_eq!(r.json()["choices"][0]["finish_reason"], "stop");
        }),
        case("seeded sampling repeats", "POST", "/v1/chat/completions",
            chat(json!({"messages": hello(), "max_tokens": 24, "temperature": 1, "top_p": 0.9, "seed": 7})), 200, anything),
        case("streamed chat", "POST", "/v1/chat/completions",
            chat(json!({"messages": hello(), "max_tokens": 24, "temperature": 0, "stream": true, "stream_options": {"include_usage": true}})), 200, |r| {
            assert!(r.header("content-type").is_some_and(|ty| ty.starts_with("text/event-stream")));
            let text = String::from_utf8_lossy(&r.body);
            assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
            assert!(text.contains("\"usage\""), "{text}");
        }),
        case("response", "POST", "/v1/responses",
            chat(json!({"input": "What is the capital of France?", "instructions": "You are a helpful assistant.", "max_output_tokens": 24, "temperature": 0})), 200, |r| {
            let text = r.json()["output"][0]["content"][0]["text"].as_str().expect("a text").to_owned();
            assert!(text.contains("Paris"), "{text}");
            assert_eq!(r.json()["store"], true);
        }),
        case("streamed response", "POST", "/v1/responses",
            chat(json!({"input": "What is the capital of France?", "max_output_tokens": 8, "temperature": 0, "stream": true})), 200, |r| {
            let text = String::from_utf8_lossy(&r.body);
            assert!(text.starts_with("event: response.created\n") && text.contains("event: response.output_text.delta\n"), "{text}");
        }),
        case("conversation", "POST", "/v1/conversations", chat(json!({"metadata": {"a": "b"}})), 200, |r| assert_eq!(r.json()["metadata"]["a"], "b")),
        case("unknown response", "GET", "/v1/responses/resp_000000000000000000000000000000000000000000000000", None, 404, is_error),
        case("hosted tool", "POST", "/v1/responses", chat(json!({"input": "x", "tools": [{"type": "web_search"}]})), 400, is_error),
        case("malformed JSON", "POST", "/v1/chat/completions", Some(b"{\"messages\": [".to_vec()), 400, is_error),
        case("not UTF-8", "POST", "/v1/chat/completions", Some(b"{\"messages\": \"\xff\"}".to_vec()), 400, is_error),
        case("no messages", "POST", "/v1/chat/completions", chat(json!({})), 400, is_error),
        case("empty messages", "POST", "/v1/chat/completions", chat(json!({"messages": []})), 400, is_error),
        case("wrong type", "POST", "/v1/chat/completions", chat(json!({"messages": hello(), "temperature": "hot"})), 400, is_error),
        case("out of range", "POST", "/v1/chat/completions", chat(json!({"messages": hello(), "temperature": 9})), 400, is_error),
        case("unknown model", "POST", "/v1/chat/completions", chat(json!({"model": "gpt-9", "messages": hello()})), 404, |r| {
            is_error(r);
            assert_eq!(r.json()["error"]["code"], "model_not_found");
        }),
        case("prompt over the context", "POST", "/v1/chat/completions",
            chat(json!({"messages": [{"role": "user", "content": "word ".repeat(3000)}]})), 400, |r| {
            is_error(r);
            let message = r.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
            assert!(message.contains("2048") && message.contains("30"), "both numbers: {message}");
        }),
        case("body over the limit", "POST", "/v1/chat/completions", Some(vec![b' '; 5 << 20]), 413, is_error),
        case("unknown route", "GET", "/v1/nothing", None, 404, is_error),
        case("wrong method", "DELETE", "/v1/chat/completions", None, 405, is_error),
    ]
}

/// A body without what may differ between two answers: ids, times, durations.
fn normal(response: &Response) -> Vec<u8> {
    fn clean(value: &mut Value) {
        match value {
            Value::Object(map) => {
                for key in ["id", "item_id", "created", "created_at", "completed_at", "timings"] {
                    map.remove(key);
                }
                map.values_mut().for_each(clean);
            }
            Value::Array(values) => values.iter_mut().for_each(clean),
            _ => {}
        }
    }
    let clean_json = |bytes: &[u8]| {
        serde_json::from_slice(bytes).map(|mut value: Value| {
            clean(&mut value);
            value.to_string()
        })
    };
    if let Ok(json) = clean_json(&response.body) {
        return json.into_bytes();
    }
    let text = String::from_utf8_lossy(&response.body);
    let line =
        |line: &str| line.strip_prefix("data: ").and_then(|data| clean_json(data.as_bytes()).ok()).unwrap_or_else(|| line.to_owned());
    text.lines().map(line).collect::<Vec<_>>().join("\n").into_bytes()
}

/// Answers of the servers to all cases: what is wrong with each, and where they differ.
fn failures<const N: usize>(servers: [(&str, &Server); N]) -> Vec<String> {
    let mut failures = Vec::new();
    for case in cases() {
        let answers = servers.map(|(shape, server)| {
            let response = request(server.address, case.method, case.path, case.body.as_deref())
                .unwrap_or_else(|error| panic!("{} on {shape}: {error}", case.name));
            if response.status != case.status {
                let said = String::from_utf8_lossy(&response.body);
                failures.push(format!("{} on {shape}: status {}: {said}", case.name, response.status));
            } else if let Err(panic) = std::panic::catch_unwind(|| (case.check)(&response)) {
                failures.push(format!("{} on {shape}: {:?}", case.name, panic.downcast_ref::<String>()));
            }
            normal(&response)
        });
        for ((shape, _), answer) in servers.iter().zip(&answers).skip(1) {
            if *answer != answers[0] {
                let [first, this] = [&answers[0], answer].map(|answer| String::from_utf8_lossy(answer));
                failures.push(format!("{}: the shapes differ\n{}: {first}\n{shape}: {this}", case.name, servers[0].0));
            }
        }
    }
    failures
}

#[test]
fn both_shapes_answer_the_table_alike() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    let [native, wasm] = Shape::ALL.map(|shape| Server::start(shape, &model, &["--context", "2048"]));
    let scratch = Scratch::new("shapes");
    let surroundings = Surroundings { manifest: Some(older(&scratch)), ..Surroundings::default() };
    let older = Server::start_amid(&surroundings, Shape::Wasm, &model, &["--context", "2048"]);
    older.wait();
    let failures = failures([("native", &native), ("wasm", &wasm), ("wasm of WASI 0.2", &older)]);
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// The repository's application with the component for hosts that have no WASI 0.3.
fn older(scratch: &Scratch) -> PathBuf {
    scratch.write("spin.toml", &application("spin.toml", "hearth_function.component.wasm", "hearth_function.p2.component.wasm"))
}

/// Everything in one component, under a host that knows neither wasi-nn nor Spin. `cargo xtask portable` makes the component and the host.
#[test]
fn the_portable_component_answers_the_table_as_the_native_shape_does() {
    let (Some(host), Some(component)) = (var_os("HEARTH_TEST_WASMTIME"), var_os("HEARTH_TEST_PORTABLE")) else {
        eprintln!("LEFT OUT: `cargo xtask portable` runs this");
        return;
    };
    let (Some(model), Some(folder)) = (test_data("smollm2.gguf"), test_data("models")) else { return };
    let address = free_address();
    let mut command = Command::new(host);
    command.args(["serve", "-S", "cli", "-W", "component-model-async", "--idle-instance-timeout", "600s", "--addr", &address.to_string()]);
    command.arg("--dir").arg(format!("{}::/models", folder.display()));
    command
        .args(["--env", "HEARTH_NN_CONTEXT=2048", "--env", "SPIN_VARIABLE_MODELS=smollm2-135m-instruct"])
        .arg(component)
        .stdout(Stdio::null());
    let portable = Server::of(command, address);
    // By the catalog's name, as the folder has it.
    let named = format!("smollm2-135m-instruct={}", model.display());
    let native = Server::start(Shape::Native, Path::new(&named), &["--context", "2048"]);
    portable.wait();
    let failures = failures([("native", &native), ("portable", &portable)]);
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
