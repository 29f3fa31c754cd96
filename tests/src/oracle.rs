//! llama.cpp, prebuilt for this machine (npm's node-llama-cpp), as the oracle.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use serde_json::{Value, json};

use crate::{root, test_data};

/// A question to the oracle.
#[derive(Debug, Clone)]
pub enum Case {
    /// The greedy continuation, of this many tokens.
    Greedy(Prompt, usize),
    /// The logits after these tokens.
    Logits(Vec<u32>),
}

/// What is continued.
#[derive(Debug, Clone)]
pub enum Prompt {
    /// A text, which the oracle tokenizes.
    Text(String),
    /// Tokens as they are.
    Tokens(Vec<u32>),
}

/// A token that the oracle chose.
#[derive(Debug, Clone)]
pub struct Generated {
    /// The token.
    pub token: u32,
    /// The best candidates and their logits, best first.
    pub top: Vec<(u32, f64)>,
}

/// An answer of the oracle.
#[derive(Debug, Clone)]
pub struct OracleResult {
    /// The prompt's tokens.
    pub tokens: Vec<u32>,
    /// For [`Case::Greedy`].
    pub generated: Vec<Generated>,
    /// For [`Case::Logits`].
    pub logits: Vec<f64>,
}

/// Asks llama.cpp; `None` where it is not installed (see [`test_data`]).
///
/// # Panics
/// When it fails.
pub fn oracle(model: &Path, cases: &[Case]) -> Option<Vec<OracleResult>> {
    // One at a time: it is slow where it shares the processor with another.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let modules = test_data("node/node_modules")?;
    let cases: Vec<_> = cases
        .iter()
        .map(|case| match case {
            Case::Greedy(Prompt::Text(text), count) => json!({"text": text, "generate": count}),
            Case::Greedy(Prompt::Tokens(tokens), count) => json!({"tokens": tokens, "generate": count}),
            Case::Logits(tokens) => json!({"tokens": tokens, "logits": true}),
        })
        .collect();
    let mut child = Command::new("node")
        .arg(root().join("tests/node/oracle.mjs"))
        .arg(modules.parent().expect("node_modules lies in a folder"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts");
    let question = json!({"model": model, "context": 512, "cases": cases}).to_string();
    child.stdin.take().expect("piped").write_all(question.as_bytes()).expect("the oracle reads");
    let output = child.wait_with_output().expect("the oracle answers");
    assert!(output.status.success(), "the oracle failed: {}", output.status);
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).expect("the oracle answers JSON");
    Some(answers.iter().map(parse).collect())
}

fn parse(answer: &Value) -> OracleResult {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let token = |value: &Value| u32::try_from(value.as_u64().expect("a token")).expect("a token");
    OracleResult {
        tokens: list(&answer["tokens"]).iter().map(token).collect(),
        generated: list(&answer["generated"])
            .iter()
            .map(|step| Generated {
                token: token(&step["token"]),
                top: list(&step["top"]).iter().map(|pair| (token(&pair[0]), pair[1].as_f64().expect("a logit"))).collect(),
            })
            .collect(),
        logits: list(&answer["logits"]).iter().map(|logit| logit.as_f64().expect("a logit")).collect(),
    }
}
