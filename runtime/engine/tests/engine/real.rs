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

/// Temperature 1: without the grammar hardly one of these would be JSON, and none the schema's.
#[tokio::test]
async fn every_answer_of_a_schema_parses_and_is_valid() {
    let Some((engine, graph)) = load().await else { return };
    let schema = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 12},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "mood": {"enum": ["happy", "sad", null]},
            "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]{1,8}$"}, "minItems": 1, "maxItems": 3},
            "home": {"$ref": "#/$defs/place"},
        },
        "required": ["name", "age", "mood", "tags", "home"],
        "additionalProperties": false,
        "$defs": {"place": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 10}, "x": {"type": "integer", "minimum": -1, "maximum": 1}}, "required": ["city", "x"], "additionalProperties": false}},
    });
    let documents = (0..32).map(|seed| {
        let mut document = chat("Describe a person of your choice as JSON.", 600);
        document["sampling"] = json!({"temperature": 1.0, "seed": seed});
        document["grammar"] = json!({"json_schema": schema});
        document
    });
    let documents: Vec<Value> = documents.collect();
    let answers = join_all(documents.iter().map(|document| generate(&graph, document))).await;
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for (seed, answer) in answers.iter().enumerate() {
        let text = &answer.text;
        assert_eq!(answer.result.as_ref().unwrap()["finish_reason"], "stop", "seed {seed}: {text}");
        let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("seed {seed}: {error}: {text}"));
        assert_eq!(
            (keys(&value), keys(&value["home"])),
            (["name", "age", "mood", "tags", "home"].map(String::from).to_vec(), vec!["city".into(), "x".into()])
        );
        let length = |value: &Value| value.as_str().unwrap().chars().count();
        assert!((1..=12).contains(&length(&value["name"])) && length(&value["home"]["city"]) <= 10, "seed {seed}: {text}");
        assert!(
            (0.0..=150.0).contains(&value["age"].as_f64().unwrap()) && value["age"].as_f64().unwrap().fract() == 0.0,
            "seed {seed}: {text}"
        );
        assert!([json!("happy"), json!("sad"), Value::Null].contains(&value["mood"]), "seed {seed}: {text}");
        let tags = value["tags"].as_array().unwrap();
        let is_tag = |tag: &Value| (1..=8).contains(&length(tag)) && tag.as_str().unwrap().bytes().all(|byte| byte.is_ascii_lowercase());
        assert!((1..=3).contains(&tags.len()) && tags.iter().all(is_tag), "seed {seed}: {text}");
        assert!((-1.0..=1.0).contains(&value["home"]["x"].as_f64().unwrap()), "seed {seed}: {text}");
    }
    assert_eq!(generate(&graph, &documents[7]).await.tokens, answers[7].tokens, "alone as in company");
    wait_for(&engine, |stats| stats.blocks_used == 0);
}

#[tokio::test]
async fn a_json_object_and_a_grammar_in_lark_hold_the_model() {
    let Some((_engine, graph)) = load().await else { return };
    let mut document = chat("Give the capitals of France, Italy and Spain as a JSON object.", 200);
    document["grammar"] = json!({"json_object": true});
    let object = generate(&graph, &document).await;
    assert!(serde_json::from_str::<Value>(&object.text).is_ok_and(|value| value.is_object()), "{}", object.text);
    document["grammar"] = json!({"lark": "start: \"The capital is \" NAME \".\"\nNAME: /[A-Z][a-z]{2,20}/"});
    let sentence = generate(&graph, &document).await.text;
    let name = sentence.strip_prefix("The capital is ").and_then(|rest| rest.strip_suffix('.')).unwrap_or_else(|| panic!("{sentence}"));
    assert!(
        name.starts_with(|letter: char| letter.is_ascii_uppercase()) && name[1..].bytes().all(|letter| letter.is_ascii_lowercase()),
        "{sentence}"
    );
}

#[tokio::test]
async fn log_probabilities_are_those_of_the_logits_in_tensor_mode() {
    let Some((_engine, graph)) = load().await else { return };
    let prompt: Vec<u32> = vec![504, 3575, 282, 4649, 314];
    let document = json!({"tokens": prompt, "max_tokens": 10, "ignore_end": true, "logprobs": 20, "prompt_logprobs": 3, "sampling": {"temperature": 1.0, "seed": 4, "repeat_penalty": 1.5}});
    let whole = generate(&graph, &document).await;
    let prompted = whole.prompt_logprobs.unwrap();
    assert_eq!((prompted.len(), prompted[0]["logprob"].clone(), whole.logprobs.len()), (5, Value::Null, 10));
    let mut context = context(&graph);
    let told: Vec<&Value> = prompted.iter().skip(1).chain(&whole.logprobs).collect();
    let tokens: Vec<u32> = prompt.iter().copied().chain(whole.tokens.iter().map(|token| *token as u32)).collect();
    for (at, told) in told.into_iter().enumerate() {
        let row = logits(&mut context, &tokens[at..=at]).await.unwrap();
        let highest = f64::from(row.iter().copied().fold(f32::MIN, f32::max));
        let total: f64 = row.iter().map(|logit| (f64::from(*logit) - highest).exp()).sum();
        let near = |told: &Value| {
            let want = f64::from(row[told["id"].as_u64().unwrap() as usize]) - highest - total.ln();
            assert!((told["logprob"].as_f64().unwrap() - want).abs() < 1e-4, "{told} in place of {want} at {at}");
        };
        assert_eq!(told["id"], tokens[at + 1]);
        near(told);
        let top = told["top"].as_array().unwrap();
        top.iter().for_each(near);
        let sum: f64 = top.iter().map(|told| told["logprob"].as_f64().unwrap().exp()).sum();
        assert!(top.len() == if at < 4 { 3 } else { 20 } && sum < 1.0 + 1e-6, "{sum}");
    }
}
