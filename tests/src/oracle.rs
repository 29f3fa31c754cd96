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

/// Asks llama.cpp about models, each with its cases; `None` where it is not installed (see [`test_data`]).
///
/// # Panics
/// When it fails.
pub fn oracle(questions: &[(&Path, &[Case])]) -> Option<Vec<Vec<OracleResult>>> {
    let case = |case: &Case| match case {
        Case::Greedy(Prompt::Text(text), count) => json!({"text": text, "generate": count}),
        Case::Greedy(Prompt::Tokens(tokens), count) => json!({"tokens": tokens, "generate": count}),
        Case::Logits(tokens) => json!({"tokens": tokens, "logits": true}),
    };
    let question = |(model, cases): &(&Path, &[Case])| {
        let cases: Vec<_> = cases.iter().map(case).collect();
        json!({"model": model, "context": 512, "cases": cases})
    };
    let answers = ask(questions.iter().map(question).collect())?;
    Some(answers.iter().map(|answers| answers.iter().map(parse).collect()).collect())
}

/// Asks llama.cpp for the embeddings of `texts`, of up to 128 tokens each; `None` where it is not installed.
///
/// # Panics
/// When it fails.
pub fn oracle_embeddings(model: &Path, texts: &[&str]) -> Option<Vec<Vec<f64>>> {
    let cases: Vec<_> = texts.iter().map(|text| json!({"text": text})).collect();
    let answers = ask(vec![json!({"model": model, "context": 129, "embed": true, "cases": cases})])?;
    let numbers = |value: &Value| value.as_array().expect("an embedding").iter().map(|number| number.as_f64().expect("a number")).collect();
    Some(answers.iter().flatten().map(|answer| numbers(&answer["embedding"])).collect())
}

/// The oracle's answers to each question.
fn ask(questions: Vec<Value>) -> Option<Vec<Vec<Value>>> {
    // One at a time: it is slow where it shares the processor with another.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let modules = test_data("node/node_modules")?;
    let mut child = Command::new("node")
        .arg(root().join("tests/node/oracle.mjs"))
        .arg(modules.parent().expect("node_modules lies in a folder"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts");
    child.stdin.take().expect("piped").write_all(Value::from(questions).to_string().as_bytes()).expect("the oracle reads");
    let output = child.wait_with_output().expect("the oracle answers");
    assert!(output.status.success(), "the oracle failed: {}", output.status);
    Some(serde_json::from_slice(&output.stdout).expect("the oracle answers JSON"))
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
