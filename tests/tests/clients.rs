//! Clients that users have, unchanged, against both shapes.

use std::{path::Path, process::Command};

use hearth_tests::{Server, Shape, python, request, root, test_data};
use serde_json::json;

/// Runs a script of `tests/python` against a server of each shape, at `path` of its address.
fn run(script: &str, path: &str, arguments: &[&str], model: &Path, flags: &[&str]) {
    let Some(python) = python() else { return };
    for shape in Shape::ALL {
        let server = Server::start(shape, model, flags);
        let output = Command::new(&python)
            .arg(root().join("tests/python").join(script))
            .arg(format!("http://{}{path}", server.address))
            .args(arguments)
            .output()
            .expect("python starts");
        assert!(output.status.success(), "{shape:?}: {}", String::from_utf8_lossy(&output.stderr));
        eprintln!("{shape:?}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn openai_python_streams_from_both_shapes() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    run("openai_client.py", "/v1", &[], &model, &["--context", "2048"]);
}

#[test]
fn anthropic_python_talks_to_both_shapes() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    run("anthropic_client.py", "", &[], &model, &["--context", "2048"]);
}

#[test]
fn ollama_python_talks_to_both_shapes() {
    let (Some(model), Some(minilm)) = (test_data("smollm2.gguf"), test_data("minilm")) else { return };
    run("ollama_client.py", "", &[], &model, &["--context", "2048", "--model", &minilm.to_string_lossy()]);
}

#[test]
fn openai_python_keeps_responses_and_conversations_in_both_shapes() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    run("responses_client.py", "/v1", &["plain"], &model, &["--context", "2048"]);
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
