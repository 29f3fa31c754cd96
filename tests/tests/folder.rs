//! A Hugging Face folder behind both shapes, named as a user names it: the same answers as the same weights in a GGUF, and answers when it is quantized.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use hearth_tests::{Server, Shape, python, request, root, test_data};
use serde_json::json;

/// The default model as a folder and as a GGUF, made of the same numbers; they go with the test.
struct Made(PathBuf);

impl Made {
    fn new() -> Option<Self> {
        let (source, python) = (test_data("smollm2.gguf")?, python()?);
        let made = Self(std::env::temp_dir().join(format!("hearth-made-{}", std::process::id())));
        std::fs::create_dir_all(&made.0).expect("a folder");
        let mut command = Command::new(python);
        command.arg(root().join("models/tests/hugging_face.py")).arg("folder").arg(source).arg(made.folder());
        assert!(command.args(["BF16", "99"]).status().expect("Python starts").success(), "the folder could not be made");
        Some(made)
    }

    /// Its name has a full stop, as those of models do.
    fn folder(&self) -> PathBuf {
        self.0.join("SmolLM2-0.1B")
    }

    fn gguf(&self) -> PathBuf {
        self.0.join("SmolLM2-0.1B.gguf")
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The name that a server gives its model, and what the model says.
fn ask(shape: Shape, model: &Path, flags: &[&str]) -> (String, String) {
    let server = Server::start(shape, model, &[&["--context", "512"], flags].concat());
    let models = request(server.address, "GET", "/v1/models", None).expect("an answer").json();
    // Its answer does not hang by a thread: of capitals this model talks in made-up French where a logit is a little off, here as in llama.cpp.
    let messages = json!([{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "Who wrote Hamlet?"}]);
    let body = json!({"messages": messages, "max_tokens": 24, "temperature": 0}).to_string();
    let answer = request(server.address, "POST", "/v1/chat/completions", Some(body.as_bytes())).expect("an answer").json();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (text(&models["data"][0]["id"]), text(&answer["choices"][0]["message"]["content"]))
}

#[test]
fn a_folder_answers_as_its_gguf_does_in_both_shapes() {
    let Some(made) = Made::new() else { return };
    let (_, want) = ask(Shape::Native, &made.gguf(), &[]);
    for shape in Shape::ALL {
        assert_eq!(ask(shape, &made.folder(), &[]), ("SmolLM2-0.1B".to_owned(), want.clone()), "{shape:?}");
    }
    assert!(want.contains("Shakespeare"), "{want}");
    for shape in Shape::ALL {
        let (_, text) = ask(shape, &made.folder(), &["--quantize", "q8_0"]);
        assert!(text.contains("Shakespeare"), "{shape:?}: {text}");
    }
}
