//! Suites that are not ours against both shapes: openai-python's tests of its calls, and the tests of llama.cpp's server. `tests/suites/run.py` runs them, and holds
//! docs/suites.md to what they say.

use std::{path::Path, process::Command};

use hearth_tests::{Server, Shape, binary, free_address, python, root, succeed, test_data};

/// The suites run beside each other.
const THREADS: [&str; 2] = ["--threads", "1"];

#[test]
fn openai_python_passes_its_own_tests() {
    let (Some(_), Some(minilm), Some(model), Some(python)) =
        (test_data("openai-3.54.0"), test_data("minilm"), test_data("smollm2.gguf"), python())
    else {
        return;
    };
    let named = |name: &str, path: &Path| format!("{name}={}", path.display());
    for shape in Shape::ALL {
        // Its tests name OpenAI's models. Few of them limit an answer, so that the context does.
        let models = ["--model", &named("gpt-3.5-turbo-instruct", &model), "--model", &named("text-embedding-3-small", &minilm)];
        let flags = [&["--context", "48"], &models[..], &THREADS].concat();
        let server = Server::start(shape, Path::new(&named("gpt-6-astra", &model)), &flags);
        succeed(shape, suite(&python, "openai").arg(data_of(&model)).arg(server.address.to_string()));
    }
}

#[test]
fn the_tests_of_llama_cpps_server_pass() {
    let (Some(_), Some(_), Some(model), Some(python)) =
        (test_data("llama-cpp-python-0.3.36"), test_data("minilm"), test_data("smollm2.gguf"), python())
    else {
        return;
    };
    for shape in Shape::ALL {
        // The suite starts servers itself, with the options that each of its tests wants, one after another at the same address.
        let mut command = suite(&python, "llama");
        command.arg(data_of(&model)).arg(free_address().port().to_string()).arg("--");
        match shape {
            Shape::Native => command.arg(binary("hearth")).arg("serve"),
            Shape::Wasm => {
                let state = std::env::temp_dir().join(format!("hearth-suites-{}", std::process::id()));
                std::fs::create_dir_all(&state).expect("a scratch folder");
                command.arg(binary("trigger-nn-http")).arg("--from").arg(root().join("spin.toml")).arg("--state-dir").arg(state)
            }
        };
        succeed(shape, command.args(["--device", "cpu"]).args(THREADS));
    }
}

fn suite(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    // Without compiled modules: they would lie in folders that are not the suites' own.
    command.arg("-B").arg(root().join("tests/suites/run.py")).arg(name);
    command
}

/// The folder that a file of the test data lies in, by its own name and not by that of what it may be a link to.
fn data_of(file: &Path) -> &Path {
    file.parent().expect("test data lies in a folder")
}
