//! Clients that users have, unchanged, against both shapes.

use std::process::Command;

use hearth_tests::{Server, Shape, python, request, root, test_data};
use serde_json::json;

/// Runs a script of OpenAI's Python client against both shapes.
fn run(script: &str, arguments: &[&str]) {
    let (Some(model), Some(python)) = (test_data("smollm2.gguf"), python()) else { return };
    for shape in Shape::ALL {
        let server = Server::start(shape, &model, &["--context", "2048"]);
        let output = Command::new(&python)
            .arg(root().join("tests/python").join(script))
            .arg(format!("http://{}/v1", server.address))
            .args(arguments)
            .output()
            .expect("python starts");
        assert!(output.status.success(), "{shape:?}: {}", String::from_utf8_lossy(&output.stderr));
        eprintln!("{shape:?}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn openai_python_streams_from_both_shapes() {
    run("openai_client.py", &[]);
}

#[test]
fn openai_python_keeps_responses_and_conversations_in_both_shapes() {
    run("responses_client.py", &["plain"]);
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
