//! Clients that users have, unchanged, against both shapes.

use std::process::Command;

use hearth_tests::{Server, Shape, python, request, root, succeed, test_data};
use serde_json::json;

/// What the models are called.
const CHAT: &str = "smollm2";
const EMBEDDER: &str = "embedder";

/// A server of each shape with a model that chats and one that embeds.
fn servers() -> impl Iterator<Item = (Shape, Server)> {
    let models = test_data("smollm2.gguf").zip(test_data("minilm"));
    models.into_iter().flat_map(|(chat, embedder)| {
        let embedder = format!("{EMBEDDER}={}", embedder.display());
        Shape::ALL.map(|shape| (shape, Server::start(shape, &chat, &["--context", "2048", "--model", &embedder])))
    })
}

/// Runs a script of `tests/python` against both shapes, at `path` of their addresses.
fn run(script: &str, path: &str, arguments: &[&str]) {
    let Some(python) = python() else { return };
    for (shape, server) in servers() {
        let script = root().join("tests/python").join(script);
        succeed(shape, Command::new(&python).arg(script).arg(format!("http://{}{path}", server.address)).args(arguments));
    }
}

#[test]
fn openai_python() {
    run("openai_client.py", "/v1", &[]);
}

#[test]
fn openai_and_ai_sdk_of_javascript() {
    let Some(packages) = test_data("node") else { return };
    for (shape, server) in servers() {
        let mut node = Command::new("node");
        node.current_dir(&packages).arg(root().join("tests/node/clients.mjs"));
        succeed(shape, node.args([&format!("http://{}/v1", server.address), CHAT, EMBEDDER]));
    }
}

#[test]
fn langchain_python() {
    run("langchain_client.py", "/v1", &[CHAT, EMBEDDER]);
}

#[test]
fn litellm_python() {
    run("litellm_client.py", "/v1", &[CHAT, EMBEDDER]);
}

#[test]
fn anthropic_python() {
    run("anthropic_client.py", "", &[]);
}

#[test]
fn ollama_python() {
    run("ollama_client.py", "", &[]);
}

#[test]
fn openai_python_keeps_responses_and_conversations() {
    run("responses_client.py", "/v1", &[]);
}

#[test]
fn a_response_outlives_the_server_that_is_killed_in_both_shapes() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    for shape in Shape::ALL {
        let mut server = Server::start(shape, &model, &["--context", "2048"]);
        let post = |server: &Server, body: serde_json::Value| {
            let response = request(server.address, "POST", "/v1/responses", Some(body.to_string().as_bytes())).expect("an answer");
            assert_eq!(response.status, 200, "{shape:?}: {}", String::from_utf8_lossy(&response.body));
            response.json()
        };
        let first = post(&server, json!({"input": "My name is Ada. Say hello.", "temperature": 0, "max_output_tokens": 16}));
        // Nothing is told to it: what was acknowledged is on the disk.
        server.restart();
        let path = format!("/v1/responses/{}", first["id"].as_str().expect("an id"));
        assert_eq!(request(server.address, "GET", &path, None).expect("an answer").json(), first, "{shape:?}");
        let second = post(
            &server,
            json!({"input": "What is my name?", "previous_response_id": first["id"], "temperature": 0, "max_output_tokens": 16}),
        );
        assert!(second["usage"]["input_tokens"].as_u64() > first["usage"]["input_tokens"].as_u64(), "{shape:?}: {second}");
        assert_eq!(request(server.address, "DELETE", &path, None).expect("an answer").status, 200);
        server.restart();
        assert_eq!(request(server.address, "GET", &path, None).expect("an answer").status, 404, "{shape:?}");
    }
}
