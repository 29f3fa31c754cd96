//! The engine against llama.cpp: greedy text on real weights, logits on random weights of every tensor type.

use std::{path::Path, process::Command};

use hearth_engine::{DeviceChoice, Engine, EngineOptions, Graph, Tensor, TensorType};
use hearth_tests::{Case, OracleResult, Prompt, oracle, python, root, test_data};
use serde_json::json;

/// Where greedy texts part, the two candidates' logits (as llama.cpp computes them) differ by less than this: both sides round activations to 8 bits, each in its own
/// blocks, which moves a logit by some tenths.
const LOGIT_TOLERANCE: f64 = 0.6;

/// Bound on KL(llama.cpp ‖ ours) in nats for random weights. Quantized types: both sides round activations to 8 bits (K types in blocks of 32 here, of 256 there).
const KL_QUANTIZED: f64 = 5e-3;
/// The same for float weights, where only the KV cache (f16) rounds.
const KL_FLOAT: f64 = 1e-4;

const TYPES: [&str; 13] = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"];

/// The types that the other cases are tried with on a GPU: a float, plain blocks, and blocks with scales and minimums of their own.
const FEW: [&str; 3] = ["F32", "Q8_0", "Q4_K"];

/// The cases of `random_gguf.py`, and the tensor types that each is tried with: an architecture with all, its variants with one.
const CASES: [(&str, &[&str]); 17] = [
    ("llama", &TYPES),
    ("llama3", &["F32"]),
    ("llama-linear", &["F32"]),
    ("llama-yarn", &["F32"]),
    ("mistral", &["F32"]),
    ("qwen2", &TYPES),
    ("qwen2-yarn", &["F32"]),
    ("qwen3", &TYPES),
    ("qwen3-yarn", &["F32"]),
    ("qwen3moe", &TYPES),
    ("gemma2", &TYPES),
    ("gemma2-sharp", &["F32"]),
    ("gemma2-27b", &["F32"]),
    ("gemma3", &TYPES),
    ("phi3", &TYPES),
    ("phi3-short", &["F32"]),
    ("phi3-long", &["F32"]),
];

/// Prompts of several kinds: prose, code, lists, other scripts, and a chat as the template writes it.
const PROMPTS: [&str; 20] = [
    "The capital of France is",
    "Once upon a time, in a village by the sea, there lived",
    "def fibonacci(n):\n    ",
    "The three laws of robotics are:\n1.",
    "Water boils at a temperature of",
    "Q: What is the largest planet of the solar system?\nA:",
    "SELECT name, age FROM users WHERE",
    "The quick brown fox jumps over the lazy dog. The dog",
    "La capitale de la France est",
    "In 1969, the first humans",
    "Dear Sir or Madam,\n\nI am writing to",
    "Ingredients:\n- 2 eggs\n- 100 g flour\n-",
    "The derivative of x^2 is",
    "<html>\n<head>\n<title>",
    "To be, or not to be, that is",
    "Photosynthesis is the process by which",
    "One, two, three, four,",
    "A good password should",
    "Die Hauptstadt von Deutschland ist",
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n",
];

fn engine(device: DeviceChoice) -> Engine {
    let options = EngineOptions { device, threads: 2, context: 512, sequences: 4, queue: 32, ..EngineOptions::default() };
    Engine::start(options).expect("the engine starts")
}

async fn load(engine: &Engine, path: &Path) -> Graph {
    let name = path.file_name().expect("a file").to_string_lossy();
    engine.add_model(&name, path.to_owned(), None);
    engine.ready(&name).await.expect("the model loads")
}

/// The greedy continuation of `tokens` in generate mode.
async fn greedy(graph: &Graph, tokens: &[u32], count: usize) -> Vec<u32> {
    let request = json!({"tokens": tokens, "max_tokens": count, "ignore_end": true, "sampling": {"temperature": 0.0}});
    let mut context = graph.init_execution_context().expect("a context");
    let data = request.to_string().into_bytes();
    let mut inputs = vec![("request".to_owned(), Tensor { dimensions: vec![data.len() as u32], ty: TensorType::U8, data })];
    let mut generated = Vec::new();
    loop {
        let outputs = context.compute(std::mem::take(&mut inputs)).await.expect("a chunk");
        for (name, tensor) in &outputs {
            if name == "tokens" {
                generated.extend(tensor.data.chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes"))));
            }
        }
        if outputs.iter().any(|(name, _)| name == "result") {
            return generated;
        }
    }
}

/// The logits after `tokens` in tensor mode.
async fn logits(graph: &Graph, tokens: &[u32]) -> Vec<f64> {
    let mut context = graph.init_execution_context().expect("a context");
    let data = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
    let input = Tensor { dimensions: vec![tokens.len() as u32], ty: TensorType::I32, data };
    let outputs = context.compute(vec![("input_ids".to_owned(), input)]).await.expect("logits");
    outputs[0].1.data.chunks_exact(4).map(|bytes| f64::from(f32::from_le_bytes(bytes.try_into().expect("four bytes")))).collect()
}

/// Where ours leaves the oracle's path, both candidates must have been within the tolerance of each other there.
fn assert_same_greedy_path(prompt: &str, ours: &[u32], theirs: &OracleResult) -> bool {
    assert_eq!(ours.len(), theirs.generated.len(), "{prompt:?}: another length");
    let Some(parting) = ours.iter().zip(&theirs.generated).position(|(ours, theirs)| *ours != theirs.token) else { return true };
    let step = &theirs.generated[parting];
    let logit = |token| step.top.iter().find(|(candidate, _)| *candidate == token).map(|(_, logit)| *logit);
    let (best, other) = (logit(step.token).expect("the choice is a candidate"), logit(ours[parting]));
    let gap = other.map(|other| best - other);
    assert!(
        gap.is_some_and(|gap| gap < LOGIT_TOLERANCE),
        "{prompt:?}: at token {parting} we chose {} and llama.cpp {} (logits {best} and {other:?})",
        ours[parting],
        step.token
    );
    eprintln!("{prompt:?}: parts at token {parting} over a gap of {:.3} logits", gap.unwrap_or_default());
    false
}

async fn greedy_equals_the_oracle(model: &str) {
    let Some(path) = test_data(model) else { return };
    let cases: Vec<_> = PROMPTS.iter().map(|prompt| Case::Greedy(Prompt::Text((*prompt).to_owned()), 64)).collect();
    let Some(answers) = oracle(&[(&path, &cases)]) else { return };
    let engine = engine(DeviceChoice::Cpu);
    let graph = load(&engine, &path).await;
    let mut equal = 0;
    for (prompt, answer) in PROMPTS.iter().zip(&answers[0]) {
        let ours = greedy(&graph, &answer.tokens, 64).await;
        equal += usize::from(assert_same_greedy_path(prompt, &ours, answer));
    }
    eprintln!("{model}: {equal} of {} texts are equal to the last token", PROMPTS.len());
}

#[tokio::test]
async fn smollm2_greedy_equals_llama_cpp() {
    greedy_equals_the_oracle("smollm2.gguf").await;
}

#[tokio::test]
async fn gemma3_greedy_equals_llama_cpp() {
    greedy_equals_the_oracle("gemma3.gguf").await;
}

fn kl_divergence(theirs: &[f64], ours: &[f64]) -> f64 {
    let log_softmax = |logits: &[f64]| {
        let max = logits.iter().copied().fold(f64::MIN, f64::max);
        let sum = logits.iter().map(|logit| (logit - max).exp()).sum::<f64>().ln();
        logits.iter().map(|logit| logit - max - sum).collect::<Vec<_>>()
    };
    assert_eq!(theirs.len(), ours.len(), "another vocabulary");
    log_softmax(theirs).iter().zip(log_softmax(ours)).map(|(p, q)| p.exp() * (p - q)).sum()
}

async fn random_weights_agree(case: &str, types: &[&str], device: DeviceChoice) {
    let Some(python) = python() else { return };
    let folder = std::env::temp_dir().join(format!("hearth-random-{case}-{device:?}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a scratch folder");
    // Longer than the sliding windows of the files, so that they slide.
    let prompt: Vec<u32> = (0..40).map(|i| if i == 0 { 1 } else { (i * 97 + 13) % 512 }).collect();
    let questions =
        [Case::Logits(prompt.clone()), Case::Logits(prompt[..7].to_vec()), Case::Greedy(Prompt::Tokens(prompt[..11].to_vec()), 16)];
    let made = Command::new(&python).arg(root().join("tests/python/random_gguf.py")).arg(&folder).arg(case).args(types).status();
    assert!(made.expect("python starts").success(), "random_gguf.py failed");
    let is_float = |ty| ["F32", "F16", "BF16"].contains(&ty);
    let files: Vec<_> = types.iter().map(|ty| folder.join(format!("{case}-{ty}.gguf"))).collect();
    // What rounds activations goes other ways where two tokens are nearly as likely.
    let asked = types.iter().zip(&files).map(|(&ty, path)| (path.as_path(), if is_float(ty) { &questions[..] } else { &questions[..2] }));
    let Some(answers) = oracle(&asked.collect::<Vec<_>>()) else { return };
    let engine = engine(device);
    for ((ty, path), answers) in types.iter().zip(&files).zip(&answers) {
        let graph = load(&engine, path).await;
        let bound = if is_float(*ty) { KL_FLOAT } else { KL_QUANTIZED };
        for answer in &answers[..2] {
            let kl = kl_divergence(&answer.logits, &logits(&graph, &answer.tokens).await);
            eprintln!("{case} {ty} on {device:?}, {} tokens: KL {kl:.2e}", answer.tokens.len());
            assert!(kl < bound, "{case} {ty} on {device:?}: KL {kl:.3e} is not under {bound:.0e}");
        }
        for answer in &answers[2..] {
            assert_same_greedy_path(&format!("{case} {ty} on {device:?}"), &greedy(&graph, &answer.tokens, 16).await, answer);
        }
    }
    let _ = std::fs::remove_dir_all(folder);
}

#[tokio::test]
async fn every_architecture_agrees() {
    for (case, types) in CASES {
        random_weights_agree(case, types, DeviceChoice::Cpu).await;
    }
}

/// On any adapter that wgpu finds; in CI that is Mesa's software Vulkan.
#[tokio::test]
async fn every_architecture_agrees_on_the_gpu() {
    if let Err(error) = Engine::start(EngineOptions {
        device: DeviceChoice::Gpu,
        threads: 0,
        context: 512,
        sequences: 1,
        queue: 1,
        ..EngineOptions::default()
    }) {
        return hearth_tests::skip(&format!("no GPU: {error}"));
    }
    random_weights_agree("llama", &TYPES, DeviceChoice::Gpu).await;
    for case in ["qwen2-yarn", "qwen3", "qwen3moe", "gemma2", "gemma3", "phi3-long"] {
        random_weights_agree(case, &FEW, DeviceChoice::Gpu).await;
    }
}

/// A short greedy case on real weights: the GPU's text is the CPU's.
#[tokio::test]
async fn gpu_text_equals_cpu_text() {
    let Some(path) = test_data("smollm2.gguf") else { return };
    let options = EngineOptions { device: DeviceChoice::Gpu, threads: 0, context: 256, sequences: 1, queue: 1, ..EngineOptions::default() };
    let gpu = match Engine::start(options) {
        Ok(engine) => engine,
        Err(error) => return hearth_tests::skip(&format!("no GPU: {error}")),
    };
    let cpu = engine(DeviceChoice::Cpu);
    let prompt = [504, 3575, 282, 4649, 314]; // "The capital of France is"
    let (gpu, cpu) = (load(&gpu, &path).await, load(&cpu, &path).await);
    assert_eq!(greedy(&gpu, &prompt, 12).await, greedy(&cpu, &prompt, 12).await);
}
