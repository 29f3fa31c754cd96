//! Embeddings against llama.cpp, on a BERT of random weights with a WordPiece vocabulary.

use std::{path::Path, process::Command};

use hearth_engine::{DeviceChoice, Engine, EngineOptions, ErrorKind, Tensor, TensorType};
use hearth_tests::{oracle_embeddings, python, root, skip};
use serde_json::{Value, json};

/// Bound on the cosine distance to llama.cpp's embedding. Float weights: it reads GELU from a table in f16, and rounds activations to f16 where the weights are.
const DISTANCE_FLOAT: f64 = 1e-6;
/// Quantized types: both sides round activations to 8 bits, each in its own blocks.
const DISTANCE_QUANTIZED: f64 = 2e-4;

/// Whole words of the vocabulary, words that are taken apart, an unknown one, punctuation; and one of the most tokens that the model takes.
fn texts() -> Vec<String> {
    let long = vec!["word"; 126].join(" ");
    let texts = ["The words of it are not this.", "a", "Testing, tested: the tester's strongest statement!", "日本 and ñandú", &long];
    texts.map(str::to_owned).to_vec()
}

fn engine(device: DeviceChoice) -> Option<Engine> {
    match Engine::start(EngineOptions { device, threads: 2, ..EngineOptions::default() }) {
        Ok(engine) => Some(engine),
        Err(error) => {
            skip(&format!("no GPU: {error}"));
            None
        }
    }
}

/// The embeddings that `request` asks for, and the result.
async fn embed(engine: &Engine, model: &Path, request: &Value) -> Result<(Vec<Vec<f64>>, Value), hearth_engine::Error> {
    let name = model.file_name().expect("a file").to_string_lossy();
    engine.add_model(&name, model.to_owned(), None);
    let mut context = engine.ready(&name).await.expect("the model loads").init_execution_context()?;
    let outputs = context.compute(vec![("request".to_owned(), Tensor::from_bytes(request.to_string().into_bytes()))]).await?;
    let [(first, embeddings), (second, result)] = &outputs[..] else { panic!("{} outputs", outputs.len()) };
    assert_eq!((first.as_str(), second.as_str(), embeddings.ty), ("embeddings", "result", TensorType::Fp32));
    let numbers: Vec<f64> = embeddings.data.as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect();
    let rows: Vec<Vec<f64>> = numbers.chunks(embeddings.dimensions[1] as usize).map(<[f64]>::to_vec).collect();
    assert_eq!(rows.len(), embeddings.dimensions[0] as usize);
    Ok((rows, serde_json::from_slice(&result.data).expect("a result")))
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// A file of random weights, in a folder that is gone with what this returns.
fn random_bert(pooling: &str, ty: &str, test: &str) -> Option<(Scratch, std::path::PathBuf)> {
    let folder = std::env::temp_dir().join(format!("hearth-bert-{test}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a scratch folder");
    let path = folder.join(format!("{pooling}-{ty}.gguf"));
    let made = Command::new(python()?).arg(root().join("tests/python/random_bert.py")).args([pooling, ty]).arg(&path).status();
    assert!(made.expect("python starts").success(), "random_bert.py failed");
    Some((Scratch(folder), path))
}

struct Scratch(std::path::PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn agrees(device: DeviceChoice, kinds: &[(&str, &str)]) {
    let Some(engine) = engine(device) else { return };
    let texts = texts();
    let questions: Vec<&str> = texts.iter().map(String::as_str).collect();
    for (pooling, ty) in kinds {
        let Some((_scratch, path)) = random_bert(pooling, ty, &format!("{device:?}")) else { return };
        let Some(answers) = oracle_embeddings(&path, &questions) else { return };
        let (ours, result) = embed(&engine, &path, &json!({"input": texts})).await.expect("embeddings");
        assert_eq!(ours.len(), texts.len());
        let bound = if ["F32", "F16"].contains(ty) { DISTANCE_FLOAT } else { DISTANCE_QUANTIZED };
        for ((text, ours), theirs) in texts.iter().zip(&ours).zip(&answers) {
            let distance = distance(ours, theirs);
            let text: String = text.chars().take(20).collect();
            eprintln!("{pooling} {ty} on {device:?}, {text:?}: cosine distance {distance:.2e}");
            assert!(distance < bound, "{pooling} {ty} on {device:?}, {text:?}: {distance:.3e} is not under {bound:.0e}");
            let length: f64 = ours.iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-5, "an embedding of length {}", length.sqrt());
        }
        // Counted with the tokens before and after each text.
        assert!(result["usage"]["prompt_tokens"].as_u64().expect("a count") > 2 * texts.len() as u64 + 126);
        // Each alone has the same bits as among the others.
        let (alone, _) = embed(&engine, &path, &json!({"input": [texts[2]]})).await.expect("an embedding");
        assert_eq!(alone[0], ours[2]);
    }
}

#[tokio::test]
async fn bert_agrees_with_llama_cpp() {
    let kinds = [("mean", "F32"), ("cls", "F32"), ("mean", "F16"), ("mean", "Q8_0"), ("cls", "Q8_0"), ("mean", "Q4_K")];
    agrees(DeviceChoice::Cpu, &kinds).await;
}

/// On any adapter that wgpu finds; in CI that is Mesa's software Vulkan.
#[tokio::test]
async fn bert_agrees_on_the_gpu() {
    agrees(DeviceChoice::Gpu, &[("mean", "F32"), ("cls", "Q8_0"), ("mean", "Q4_K")]).await;
}

#[tokio::test]
async fn a_text_longer_than_the_context_is_refused_or_cut_as_asked() {
    let Some((_scratch, path)) = random_bert("mean", "F32", "long") else { return };
    let Some(engine) = engine(DeviceChoice::Cpu) else { return };
    let (long, fits) = (vec!["word"; 200].join(" "), vec!["word"; 126].join(" "));
    let error = embed(&engine, &path, &json!({"input": ["a", long]})).await.expect_err("too long");
    assert_eq!(error.kind, ErrorKind::ContextLength { prompt_tokens: 202, context_length: 128 });
    assert!(error.message.contains("element 1 of `input` has 202 tokens") && error.message.contains("128"), "{}", error.message);
    let (rows, result) = embed(&engine, &path, &json!({"input": [long, fits], "truncate": true})).await.expect("embeddings");
    assert_eq!(rows[0], rows[1], "what was cut ends as every text does");
    assert_eq!(result["usage"]["prompt_tokens"], 256);
}
