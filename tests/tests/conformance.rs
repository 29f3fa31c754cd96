//! What the API says of itself, and what an answer is held to, judged by others: Schemathesis, PyPI's jsonschema and OpenAI's client, against both shapes.

use std::process::Command;

use hearth_tests::{Server, Shape, python, root, succeed, test_data};

/// Runs a script of `tests/python` on each shape; `path` follows the server's address. The script fails where something is wrong.
fn judge(script: &str, path: &str, arguments: impl Fn(Shape) -> Vec<&'static str>, flags: &[&str]) {
    let (Some(model), Some(python)) = (test_data("smollm2.gguf"), python()) else { return };
    for shape in Shape::ALL {
        let arguments = arguments(shape);
        // Servers of several tests compute beside each other.
        let server = Server::start(shape, &model, &[flags, &["--threads", "1"]].concat());
        let script = root().join("tests/python").join(script);
        succeed(shape, Command::new(&python).arg(script).arg(format!("http://{}{path}", server.address)).args(arguments));
    }
}

/// An answer without a limit fills the context, so that is small. The script alone also has the phase `coverage`, some minutes of requests that go through all that the
/// document says; here each shape gets random ones of its own.
#[test]
fn no_request_breaks_the_document() {
    let arguments = |shape| match shape {
        Shape::Native => vec!["20", "1", "examples,fuzzing"],
        Shape::Wasm => vec!["20", "2", "examples,fuzzing"],
    };
    judge("openapi_fuzz.py", "", arguments, &["--context", "64"]);
}

#[test]
fn answers_are_valid_by_their_schemas_and_refusals_say_why() {
    judge("json_schemas.py", "/v1", |_| vec![], &["--context", "2048"]);
}

#[test]
fn tools_are_called_streamed_and_answered() {
    judge("tool_loop.py", "/v1", |_| vec!["60"], &["--context", "2048"]);
}
