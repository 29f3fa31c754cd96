//! Clients that users have, unchanged, against both shapes.

use std::{path::Path, process::Command};

use hearth_tests::{Server, Shape, python, root, test_data};

/// Runs a script of `tests/python` against a server of each shape, at `path` of its address.
fn run(script: &str, path: &str, model: &Path, flags: &[&str]) {
    let Some(python) = python() else { return };
    for shape in Shape::ALL {
        let server = Server::start(shape, model, flags);
        let output = Command::new(&python)
            .arg(root().join("tests/python").join(script))
            .arg(format!("http://{}{path}", server.address))
            .output()
            .expect("python starts");
        assert!(output.status.success(), "{shape:?}: {}", String::from_utf8_lossy(&output.stderr));
        eprintln!("{shape:?}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn openai_python_streams_from_both_shapes() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    run("openai_client.py", "/v1", &model, &["--context", "2048"]);
}

#[test]
fn anthropic_python_talks_to_both_shapes() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    run("anthropic_client.py", "", &model, &["--context", "2048"]);
}

#[test]
fn ollama_python_talks_to_both_shapes() {
    let (Some(model), Some(minilm)) = (test_data("smollm2.gguf"), test_data("minilm")) else { return };
    run("ollama_client.py", "", &model, &["--context", "2048", "--model", &minilm.to_string_lossy()]);
}
