//! Tokenizers against llama.cpp: its golden vocabularies token for token, and nasty strings against the library itself.

mod data;
mod texts;

use std::{
    io::Write,
    process::{Command, Stdio},
};

use hearth_models::{
    gguf::{Gguf, Value},
    tokenizer::Tokenizer,
};
use serde_json::json;
use texts::nasty_texts;

/// The vocabularies that come with goldens.
const GOLDENS: &[&str] = &[
    "bert-bge",
    "command-r",
    "deepseek-coder",
    "deepseek-llm",
    "falcon",
    "gemma-4",
    "gpt-2",
    "llama-bpe",
    "llama-spm",
    "mpt",
    "phi-3",
    "qwen2",
    "qwen35",
    "refact",
    "starcoder",
];

fn open(path: &std::path::Path) -> Tokenizer {
    let bytes = std::fs::read(path).unwrap();
    Tokenizer::from_gguf(&Gguf::parse(&bytes).unwrap()).unwrap()
}

#[test]
fn golden_vocabularies() {
    let Some(folder) = data::require(&format!("{}/models", data::LLAMA_CPP)) else { return };
    let mut failures = Vec::new();
    for name in GOLDENS {
        let file = folder.join(format!("ggml-vocab-{name}.gguf"));
        let start = std::time::Instant::now();
        let tokenizer = open(&file);
        eprintln!("{name}: {} tokens, loaded in {:?}", tokenizer.vocabulary(), start.elapsed());
        let read = |suffix: &str| std::fs::read_to_string(file.with_extension(format!("gguf.{suffix}"))).unwrap();
        let (texts, goldens) = (read("inp"), read("out"));
        // The last text ends with the separator's newline, or without a separator.
        let texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
        let goldens: Vec<Vec<u32>> = goldens.lines().map(|line| line.split_whitespace().map(|id| id.parse().unwrap()).collect()).collect();
        assert!(goldens.len() > 40 && texts.len().abs_diff(goldens.len()) <= 1, "{name}: {} texts, {} goldens", texts.len(), goldens.len());
        for (text, golden) in texts.iter().zip(&goldens) {
            let tokens = tokenizer.encode(text, false, false).unwrap();
            if tokens != *golden {
                failures.push(format!("{name}: {text:?}\n  expected {golden:?}\n       got {tokens:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

/// Answers of llama.cpp for `[{model, pre, texts}]`, `None` where it cannot run.
fn oracle(job: &serde_json::Value) -> Option<Vec<serde_json::Value>> {
    let folder = data::require("node")?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tokenizer_oracle.mjs");
    let child = Command::new("node").arg(script).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else { return data::skip("node cannot run; install Node.js 20 or later") };
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(job).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the oracle failed");
    let answers = output.stdout.rsplit(|byte| *byte == b'\n').next().unwrap();
    Some(serde_json::from_slice(answers).unwrap())
}

fn ids(value: &serde_json::Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// Compares the tokens of `texts` with an answer of the oracle.
fn compare(name: &str, tokenizer: &Tokenizer, texts: &[String], answer: &serde_json::Value, differing: &mut Vec<String>) {
    for (mode, special) in [("plain", false), ("special", true)] {
        for (text, expected) in texts.iter().zip(answer[mode].as_array().unwrap()) {
            let (expected, got) = (ids(expected), tokenizer.encode(text, false, special).unwrap());
            if expected != got {
                differing.push(format!("{name}, {mode}: {text:?}\n  expected {expected:?}\n       got {got:?}"));
            }
        }
    }
}

#[test]
fn models_tokenize_as_llama_cpp_does() {
    let files: Vec<_> = ["smollm2.gguf", "gemma3.gguf"].iter().filter_map(|file| data::require(file)).collect();
    let texts = nasty_texts(600);
    let job = files.iter().map(|file| json!({ "model": file, "pre": null, "texts": texts })).collect();
    let Some(answers) = oracle(&job) else { return };
    let mut differing = Vec::new();
    for (file, answer) in files.iter().zip(answers) {
        let name = file.file_stem().unwrap().to_string_lossy();
        let tokenizer = open(file);
        compare(&name, &tokenizer, &texts, &answer, &mut differing);
        let pieces = answer["pieces"].as_array().unwrap();
        assert_eq!(pieces.len(), tokenizer.vocabulary());
        for (id, piece) in (0..).zip(pieces) {
            let got = tokenizer.decode(&[id], true);
            // Incomplete characters are replaced on both sides, though not by the same number.
            if got.trim_end_matches('\u{fffd}') != piece.as_str().unwrap().trim_end_matches('\u{fffd}') {
                differing.push(format!("{name}: token {id} is {piece}, got {got:?}"));
            }
        }
        let ends: Vec<u32> = (0..tokenizer.vocabulary() as u32).filter(|id| tokenizer.is_end(*id)).collect();
        assert_eq!(ends, ids(&answer["ends"]), "{name}: tokens that end a generation");
        for text in texts.iter().filter(|text| !text.contains(['\0', '\u{1}', '\u{7f}', '▁'])) {
            assert_eq!(tokenizer.decode(&tokenizer.encode(text, false, true).unwrap(), true), *text, "{name}: round trip");
        }
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}

/// One name for each way to split that a golden or a model above does not cover, tried on another model's vocabulary.
const PRE_TOKENIZERS: &[&str] = &[
    "default",
    "gpt-2",
    "smollm",
    "llama-bpe",
    "dbrx",
    "glm4",
    "qwen2",
    "qwen35",
    "laguna",
    "minicpm5",
    "seed-coder",
    "bailingmoe",
    "tekken",
    "gpt-4o",
    "deepseek-llm",
    "deepseek-coder",
    "deepseek-v3",
    "falcon",
    "bloom",
    "viking",
];

#[test]
fn pre_tokenizers_split_as_llama_cpps() {
    let Some(file) = data::require(&format!("{}/models/ggml-vocab-starcoder.gguf", data::LLAMA_CPP)) else { return };
    let texts = nasty_texts(600);
    let job = PRE_TOKENIZERS.iter().map(|pre| json!({ "model": file, "pre": pre, "texts": texts })).collect();
    let Some(answers) = oracle(&job) else { return };
    let bytes = std::fs::read(&file).unwrap();
    let mut differing = Vec::new();
    for (pre, answer) in PRE_TOKENIZERS.iter().zip(answers) {
        let mut gguf = Gguf::parse(&bytes).unwrap();
        gguf.metadata.insert("tokenizer.ggml.pre", Value::String(pre.as_bytes()));
        compare(pre, &Tokenizer::from_gguf(&gguf).unwrap(), &texts, &answer, &mut differing);
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}
