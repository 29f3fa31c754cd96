//! Tokenizers against llama.cpp: its golden vocabularies token for token, and nasty strings against the library itself.

mod data;

use std::{
    io::Write,
    process::{Command, Stdio},
};

use hearth_models::{
    gguf::{Gguf, Value},
    tokenizer::Tokenizer,
};
use serde_json::json;

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

/// What texts are made of: whitespace in runs, scripts, emoji with joiners, invalid-looking and control characters, numbers, contractions, code, and the texts of
/// special tokens, whole and broken.
const PARTS: &[&str] = &[
    " ",
    "  ",
    "   ",
    "     ",
    "\n",
    "\n\n",
    "\n\n\n\n",
    "\t",
    "\t\t",
    "\r\n",
    "\r",
    "\u{a0}",
    "\u{3000}",
    "\u{2028}",
    "\u{85}",
    "\u{b}",
    "\u{200b}",
    "\0",
    "\u{1}",
    "\u{7f}",
    "\u{feff}",
    "\u{fffd}",
    "▁",
    "▁▁",
    "Hello",
    "world",
    " the",
    "ing",
    "HELLO",
    "camelCase",
    "snake_case",
    "naïve",
    "e\u{301}",
    "Å\u{30a}",
    "żółw",
    "ß",
    "Straße",
    "ﬁ",
    "Ⅷ",
    "½",
    "²",
    "Привет",
    "мир",
    "Ελληνικά",
    "עברית",
    "العربية",
    "हिन्दी",
    "ไทย",
    "ภาษาไทย",
    "កាន់តែ",
    "한국어",
    "ㅎㅎ",
    "日本語",
    "にほんご",
    "カタカナ",
    "中文",
    "你好，世界。",
    "𠮷",
    "龥",
    "１２３",
    "٣٤",
    "😀",
    "👩‍👩‍👧‍👦",
    "🏳️‍🌈",
    "🇵🇱",
    "👍🏽",
    "🦙",
    "∑∫≠",
    "→",
    "…",
    "—",
    "“q”",
    "‘s",
    "0",
    "1",
    "12",
    "123",
    "1234",
    "12345678901",
    "3.14",
    "1e-5",
    "0x1F",
    "I'll",
    "don't",
    "'S",
    "'RE",
    "we've",
    "''",
    "'",
    "\"",
    "`",
    "``",
    "!",
    "?!",
    "...",
    "---",
    "___",
    "***",
    "$$",
    "#",
    "@user",
    "https://a.b/c?d=e&f=g",
    "<",
    ">",
    "<b>",
    "</b>",
    "{}",
    "[]",
    "()",
    "{{ x }}",
    "\\n",
    "//",
    "/* c */",
    "a+b=c;",
    "if (x) {\n    return y;\n}",
    "<|im_start|>",
    "<|im_end|>",
    "<|im_start",
    "|im_end|>",
    "<|endoftext|>",
    "<s>",
    "</s>",
    "<unk>",
    "<pad>",
    "<bos>",
    "<eos>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<start_of_turn",
    "<0x0A>",
    "<0xE2>",
    "[CLS]",
    "[MASK]",
    "<mask>",
    "<unused1>",
    "<table>",
    "</h1>",
    "<|eot_id|>",
    "<|user|>",
    "<|end|>",
    "<repo_name>",
    "<file_sep>",
    "<reponame>",
    "user\n",
    "system",
    "assistant",
    "a",
    "b",
    "Z",
    "é",
    "x\u{300}\u{301}\u{302}",
    "\u{1F600}\u{FE0F}",
    "🫠",
    "\u{e000}",
];

/// Texts of random parts, the same in every run.
fn nasty_texts(count: usize) -> Vec<String> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % below
    };
    let mut texts: Vec<String> = PARTS.iter().map(|part| (*part).to_owned()).collect();
    while texts.len() < count {
        texts.push((0..=next(12)).map(|_| PARTS[next(PARTS.len())]).collect());
    }
    texts
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
