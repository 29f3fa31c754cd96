//! The default model, where its file is: `HEARTH_TEST_DATA` (else `target/test-data`) `/smollm2.gguf`.

use std::path::PathBuf;

use futures::future::join_all;
use hearth_engine::{DeviceChoice, Engine, EngineOptions, Graph, ModelFile};
use serde_json::{Value, json};

use crate::client::{context, generate, logits, wait_for};

/// The model's file. Without it a test is skipped, but not where everything must be there.
pub(crate) fn model() -> Option<PathBuf> {
    let folder = std::env::var_os("HEARTH_TEST_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/test-data")), PathBuf::from);
    let path = folder.join("smollm2.gguf");
    if path.exists() {
        return Some(path);
    }
    let message = format!("{} is missing: `cargo xtask test` fetches it, or set HEARTH_TEST_DATA", path.display());
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
    eprintln!("SKIPPED: {message}");
    None
}

async fn load() -> Option<(Engine, Graph)> {
    let path = model()?;
    let engine = Engine::start(EngineOptions { device: DeviceChoice::Cpu, context: 2048, ..EngineOptions::default() }).unwrap();
    engine.add_model("smollm2", path, None);
    let graph = engine.ready("smollm2").await.unwrap();
    Some((engine, graph))
}

/// Greedily. The system message is given: with the template's own this model, small as it is, answers in made-up French, here as in llama.cpp.
fn chat(content: &str, max_tokens: usize) -> Value {
    let messages = json!([{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": content}]);
    json!({"messages": messages, "max_tokens": max_tokens, "sampling": {"temperature": 0}})
}

#[tokio::test]
async fn it_knows_the_capital_of_france() {
    let Some((_engine, graph)) = load().await else { return };
    let whole = generate(&graph, &chat("What is the capital of France?", 40)).await;
    assert!(whole.text.contains("Paris"), "{}", whole.text);
    assert_eq!(whole.result.unwrap()["finish_reason"], "stop");
}

#[tokio::test]
async fn the_same_bytes_are_loaded_once_and_go_with_their_last_user() {
    let Some(path) = model() else { return };
    let bytes = std::fs::read(path).unwrap();
    let engine = Engine::start(EngineOptions { device: DeviceChoice::Cpu, context: 2048, ..EngineOptions::default() }).unwrap();
    let (first, second) = (engine.load(bytes.clone()).await.unwrap(), engine.load(bytes).await.unwrap());
    let answer = generate(&second, &chat("What is the capital of France?", 3)).await.text;
    assert_eq!(generate(&first, &chat("What is the capital of France?", 3)).await.text, answer);
    assert_eq!(engine.stats().blocks_total, 32 * 1024 / 16, "one KV cache");
    drop(first);
    assert!(generate(&second, &chat("Hi", 3)).await.result.is_some());
    drop(second);
    wait_for(&engine, |stats| stats.blocks_total == 0);
}

#[tokio::test]
async fn thirty_two_at_once_each_say_what_they_say_alone() {
    let Some((engine, graph)) = load().await else { return };
    let subjects = ["rivers", "bread", "the moon", "bees", "chess", "glass", "rain", "trains"];
    let questions: Vec<Value> = (0..32)
        .map(|number| {
            let subject = subjects[number % 8];
            chat(&format!("Tell me {} things about {subject}. {}", number + 2, "Be brief. ".repeat(number)), 24)
        })
        .collect();
    let mut alone = Vec::new();
    for question in &questions {
        alone.push(generate(&graph, question).await.tokens);
    }
    let together = join_all(questions.iter().map(|question| generate(&graph, question))).await;
    for (number, (alone, together)) in alone.iter().zip(&together).enumerate() {
        assert_eq!(alone, &together.tokens, "question {number}");
    }
    wait_for(&engine, |stats| stats.blocks_used == 0 && stats.running == 0);
}

/// The model guesses for itself: nearly all is right, and on real weights too nothing depends on it.
#[tokio::test]
async fn a_draft_model_changes_no_text() {
    let (Some(path), Some((_engine, plain))) = (model(), load().await) else { return };
    let draft_model = Some(ModelFile { path: path.clone(), sha256: None });
    let options = EngineOptions { device: DeviceChoice::Cpu, context: 2048, draft_model, ..EngineOptions::default() };
    let engine = Engine::start(options).unwrap();
    engine.add_model("smollm2", path, None);
    let drafted = engine.ready("smollm2").await.unwrap();
    let questions = ["What is the capital of France?", "Count to twenty.", "Write a line about bees."].map(|question| chat(question, 48));
    let together = join_all(questions.iter().map(|question| generate(&drafted, question))).await;
    for (question, drafted) in questions.iter().zip(together) {
        assert_eq!(generate(&plain, question).await.text, drafted.text);
    }
    let stats = engine.stats();
    assert!(stats.accepted_tokens * 10 > stats.drafted_tokens * 9, "{} of {}", stats.accepted_tokens, stats.drafted_tokens);
}

#[tokio::test]
async fn tensor_mode_leads_to_the_same_tokens_as_generating() {
    let Some((_engine, graph)) = load().await else { return };
    let prompt: Vec<u32> = vec![504, 3575, 282, 4649, 314];
    let document = json!({"tokens": prompt, "max_tokens": 12, "ignore_end": true, "sampling": {"temperature": 0}});
    let generated = generate(&graph, &document).await.tokens;
    let mut context = context(&graph);
    let mut given = prompt;
    let mut chosen = Vec::new();
    while chosen.len() < 12 {
        let row = logits(&mut context, &given).await.unwrap();
        let best = (0..row.len()).rev().max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
        chosen.push(best as i32);
        given = vec![best as u32];
    }
    assert_eq!(chosen, generated);
}
