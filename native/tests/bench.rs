//! `hearth bench` on the default model, where `cargo xtask test` has fetched it, and on servers.
#![cfg(unix)]

mod common;

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use common::{Home, model, run};
use serde_json::Value;

#[test]
fn a_model_is_measured_from_its_start_to_its_batches() {
    let Some(model) = model() else { return };
    let home = Home::new();
    let sizes = ["--prompt", "32", "--generate", "8", "--depth", "0,16", "--batch", "1,3", "--batch-prompt", "8", "--repeat", "2"];
    let measured = run(home.hearth(&["bench", "--device", "cpu", "--json", "--file", &model]).args(sizes)).succeeded();
    let report: Value = serde_json::from_str(&measured.out).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let tests: Vec<&str> = rows.iter().map(|row| row["test"].as_str().unwrap()).collect();
    assert_eq!(tests, ["load", "first_token", "prefill", "decode", "decode", "decode_tensors", "batch", "batch"]);
    for row in rows {
        let number = |name: &str| row[name].as_f64().unwrap();
        assert!(number("min") > 0.0 && number("min") <= number("median") && number("median") <= number("max"), "{row}");
        assert_eq!(row["samples"].as_array().unwrap().len(), 2, "{row}");
    }
    assert!(rows[1]["median"].as_f64() > rows[0]["median"].as_f64(), "a token comes after loading");
    assert!(report["file_bytes"].as_u64() > Some(90_000_000));
    #[cfg(target_os = "linux")]
    assert!(report["peak_memory_bytes"].as_u64() > report["file_bytes"].as_u64());
    assert!(measured.err.contains("measuring decode of 8 after 8, 3 together"), "{}", measured.err);
}

#[test]
fn a_model_that_cannot_be_loaded_is_an_error_and_no_figure() {
    let home = Home::new();
    std::fs::write(home.path("broken.gguf"), b"GGUF").unwrap();
    let path = home.path("broken.gguf");
    for flags in [&[][..], &["--no-start"]] {
        let mut command = home.hearth(&["bench", "--device", "cpu", "--file", path.to_str().unwrap()]);
        let ran = run(command.args(flags)).failed_with(&["error: ", "broken.gguf"]);
        assert!(ran.out.is_empty());
    }
    run(&mut home.hearth(&["bench", "--url", "http://127.0.0.1:9"])).failed_with(&["error: cannot reach http://127.0.0.1:9/v1/models"]);
    let usage = home.hearth(&["bench", "--clients", "2"]).output().unwrap();
    assert!(usage.status.code() == Some(2) && String::from_utf8_lossy(&usage.stderr).contains("--url"));
}

/// A server that is ended with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_is_measured_over_http() {
    let Some(model) = model() else { return };
    let home = Home::new();
    let flags = ["serve", "--listen", "127.0.0.1:0", "--device", "cpu", "--context", "512", "--sequences", "2", "--queue", "2", "--model"];
    let mut command = home.hearth(&flags);
    let mut server = Server(command.arg(&model).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut line = String::new();
    // Open to the end: the server has more to say.
    let mut said = BufReader::new(server.0.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("Hearth is ready at ").unwrap();

    let load = ["--url", url, "--requests", "4", "--prompt-tokens", "8", "--max-tokens", "6", "--turns", "2", "--json"];
    let measured = run(home.hearth(&["bench", "--clients", "1,2"]).args(load)).succeeded();
    let report: Value = serde_json::from_str(&measured.out).unwrap();
    assert_eq!(report["model"], "smollm2");
    for (level, clients) in report["levels"].as_array().unwrap().iter().zip([1, 2]) {
        assert_eq!((&level["clients"], &level["answers"]), (&clients.into(), &8.into()), "{level}");
        assert_eq!((&level["completion_tokens"], &level["counted_by_server"]), (&48.into(), &true.into()), "{level}");
        assert_eq!(level["turns"].as_array().unwrap().len(), 2);
        assert!(level["ttft_ms"]["p99"].as_f64() > Some(0.0) && level["tokens_per_second"].as_f64() > Some(0.0), "{level}");
    }

    // What is refused is counted by its kind, and is no figure.
    let load = ["--url", url, "--requests", "24", "--prompt-tokens", "8", "--max-tokens", "48"];
    let measured = run(home.hearth(&["bench", "--clients", "24"]).args(load)).succeeded();
    assert!(measured.out.contains("failed with status 503"), "{}", measured.out);
    let missing = run(&mut home.hearth(&["bench", "--url", url, "no-such-model"]));
    missing.failed_with(&["error: ", "no-such-model"]);
}
