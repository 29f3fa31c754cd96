//! `hearth capacity` on the models that `cargo xtask test` fetches, against the memory of a server that serves them.
#![cfg(target_os = "linux")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use common::{Home, run};
use serde_json::{Value, json};

/// How far the prediction may be from what was measured; docs/capacity.md has how far it was.
const TOLERANCE: f64 = 0.15;
/// The chats that are measured: so many at once, each of so many tokens of prompt and of answer.
const CHATS: usize = 8;
const PROMPT: usize = 512;
const ANSWER: usize = 64;

/// A fetched model; without it the test is skipped loudly, and fails in CI.
fn model(link: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("HEARTH_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-data"), PathBuf::from);
    let path = folder.join(link);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "skipped in CI: {} is missing", path.display());
    eprintln!("SKIPPED: {} is missing; `cargo xtask test` fetches it", path.display());
    None
}

fn capacity(home: &Home, model: &Path, flags: &[&str]) -> Value {
    let mut command = home.hearth(&["capacity", "--device", "cpu", "--bandwidth", "40", "--json", "--model", model.to_str().unwrap()]);
    serde_json::from_str(&run(command.args(flags)).succeeded().out).unwrap()
}

/// A server that is ended with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The most memory that a server has used after [`CHATS`] at once.
fn measured(home: &Home, model: &Path) -> f64 {
    let chats = CHATS.to_string();
    let flags =
        ["serve", "--listen", "127.0.0.1:0", "--device", "cpu", "--no-store", "--context", "1024", "--sequences", &chats, "--model"];
    let mut command = home.hearth(&flags);
    let mut server = Server(command.arg(model).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut line = String::new();
    // Open to the end: the server has more to say.
    let mut said = BufReader::new(server.0.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("Hearth is ready at http://").unwrap();
    std::thread::scope(|scope| (0..CHATS).for_each(|number| drop(scope.spawn(move || chat(address, number)))));
    let status = fs::read_to_string(format!("/proc/{}/status", server.0.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap() * 1024.0
}

/// One chat, from its first token on another than those of other numbers: what they have in common would be kept once.
fn chat(address: &str, number: usize) {
    // Each word is a token; `ignore_eos` has the answer be as long as it may.
    let prompt = format!("{number} {}", "the ".repeat(PROMPT - 2));
    let body = json!({"prompt": prompt, "max_tokens": ANSWER, "temperature": 0, "ignore_eos": true}).to_string();
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(300))).unwrap();
    let head = format!("POST /v1/completions HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n");
    write!(socket, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn the_memory_of_a_server_is_predicted() {
    for link in ["smollm2.gguf", "gemma3.gguf"] {
        let Some(model) = model(link) else { return };
        let home = Home::new();
        let (used, chats) = ((PROMPT + ANSWER).to_string(), CHATS.to_string());
        let report = capacity(&home, &model, &["--context", &used, "--sequences", &chats]);
        let predicted = report["need"]["peak_bytes"].as_f64().unwrap();
        let measured = measured(&home, &model);
        eprintln!(
            "{link}: {:.1} MB predicted, {:.1} MB measured, {:+.1} %",
            predicted / 1e6,
            measured / 1e6,
            (predicted / measured - 1.0) * 1e2
        );
        assert!((predicted / measured - 1.0).abs() < TOLERANCE, "{link}: {predicted} bytes predicted, {measured} measured: {report}");
    }
}

#[test]
fn weights_cache_and_reading_follow_from_the_header() {
    let (Some(smollm2), Some(gemma3)) = (model("smollm2.gguf"), model("gemma3.gguf")) else { return };
    let home = Home::new();
    // SmolLM2: 30 layers, 3 key-value heads of 64, keys and values of two bytes.
    let report = capacity(&home, &smollm2, &["--context", "1000", "--sequences", "4"]);
    let need = &report["need"];
    assert_eq!(need["kv_bytes_per_token"], 2 * 30 * 3 * 64 * 2);
    assert_eq!(need["kv_bytes"], 4 * 1008 * 23040, "whole blocks of 16");
    assert_eq!(report["read"]["kv_bytes_per_token"], 1000 * 23040);
    let eight_bits = capacity(&home, &smollm2, &["--context", "1000", "--kv-cache", "q8_0"]);
    assert_eq!(eight_bits["need"]["kv_bytes_per_token"], 23040 / 32 * 17);
    // Gemma 3 keeps all positions of all layers, but 15 of its 18 see only the last 512.
    let report = capacity(&home, &gemma3, &["--context", "4096"]);
    let layer = 2 * 256 * 2;
    assert_eq!(report["need"]["kv_bytes"], 18 * layer * 4096);
    assert_eq!(report["read"]["kv_bytes_per_token"], (3 * 4096 + 15 * 512) * layer);
    assert_eq!(report["model"]["layers_with_window"], 15);
}

#[test]
fn what_does_not_fit_is_said_with_what_would() {
    let Some(smollm2) = model("smollm2.gguf") else { return };
    let home = Home::new();
    let flags = ["--context", "8192", "--sequences", "8", "--memory", "1000"];
    let report = capacity(&home, &smollm2, &flags);
    assert_eq!(report["fits"], false);
    let (most, one) = (report["most_sequences"].as_u64().unwrap(), report["need"]["kv_bytes_per_sequence"].as_u64().unwrap());
    let rest = report["need"]["weight_bytes"].as_u64().unwrap() + report["need"]["working_bytes"].as_u64().unwrap();
    assert!(rest + most * one <= 1000 << 20 && rest + (most + 1) * one > 1000 << 20, "{report}");
    let text = run(home.hearth(&["capacity", "--device", "cpu", "--model", smollm2.to_str().unwrap(), "--bandwidth", "40"]).args(flags));
    let text = text.succeeded().out;
    assert!(text.contains("NOT ENOUGH") && text.contains(&format!("{most} chats of 8192 tokens")), "{text}");
    assert!(text.contains("--context 8192 --sequences 8 --cache-memory 1440"), "{text}");
    let refused = home.hearth(&["capacity", "--model", smollm2.to_str().unwrap(), "--context", "9000"]);
    run(&mut { refused }).failed_with(&["trained for 8192 tokens"]);
    fs::write(home.path("broken.gguf"), b"GGUF").unwrap();
    run(&mut home.hearth(&["capacity", "--model", home.path("broken.gguf").to_str().unwrap()]))
        .failed_with(&["broken.gguf", "not a valid GGUF"]);
}

/// The machine itself: its memory and a bandwidth that is measured.
#[test]
fn this_machine_is_looked_at() {
    let Some(smollm2) = model("smollm2.gguf") else { return };
    let home = Home::new();
    let mut command = home.hearth(&["capacity", "--device", "cpu", "--json", "--model", smollm2.to_str().unwrap()]);
    let report: Value = serde_json::from_str(&run(&mut command).succeeded().out).unwrap();
    let machine = &report["machine"];
    assert_eq!(machine["bandwidth_measured"], true);
    assert!(machine["bandwidth_bytes_per_second"].as_f64() > Some(1e8), "{machine}");
    assert!(machine["free_bytes"].as_u64() > Some(1 << 20) && machine["cores"].as_u64() > Some(0), "{machine}");
    assert_eq!(report["need"]["context"], 8192, "the model's own");
}
