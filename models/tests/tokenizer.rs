//! Tokenizers against llama.cpp: its golden vocabularies token for token, and nasty strings against the library itself.

mod data;

use hearth_models::{gguf::Gguf, tokenizer::Tokenizer};

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
