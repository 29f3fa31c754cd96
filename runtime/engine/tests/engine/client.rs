//! Short ways to say what a guest says.

use std::time::{Duration, Instant};

use hearth_engine::{Context, Engine, Error, Graph, NamedTensor, Stats, Tensor, TensorType};
use serde_json::Value;

/// What a chunk holds.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) tool_calls: Vec<Value>,
    pub(crate) tokens: Vec<i32>,
    pub(crate) result: Option<Value>,
    pub(crate) logprobs: Vec<Value>,
    pub(crate) prompt_logprobs: Option<Vec<Value>>,
}

pub(crate) fn context(graph: &Graph) -> Context {
    graph.init_execution_context().unwrap()
}

pub(crate) fn request(document: &Value) -> Vec<NamedTensor> {
    vec![("request".into(), Tensor::from_bytes(document.to_string().into_bytes()))]
}

pub(crate) fn input_ids(tokens: &[u32]) -> Vec<NamedTensor> {
    let tokens: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
    vec![("input_ids".into(), Tensor::from_i32(&tokens))]
}

/// A greedy request.
pub(crate) fn greedy(prompt: &str, max_tokens: usize) -> Value {
    serde_json::json!({"prompt": prompt, "max_tokens": max_tokens, "sampling": {"temperature": 0}})
}

pub(crate) fn chunk(outputs: Vec<NamedTensor>) -> Chunk {
    let mut chunk = Chunk::default();
    for (name, tensor) in outputs {
        match name.as_str() {
            "text" => chunk.text = String::from_utf8(tensor.data).expect("whole characters"),
            "tokens" => chunk.tokens = tensor.data.as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect(),
            "reasoning" => chunk.reasoning = String::from_utf8(tensor.data).expect("whole characters"),
            "tool_calls" => chunk.tool_calls = serde_json::from_slice(&tensor.data).unwrap(),
            "result" => chunk.result = Some(serde_json::from_slice(&tensor.data).unwrap()),
            "logprobs" => chunk.logprobs = serde_json::from_slice(&tensor.data).unwrap(),
            "prompt_logprobs" => chunk.prompt_logprobs = Some(serde_json::from_slice(&tensor.data).unwrap()),
            other => panic!("an output `{other}`"),
        }
    }
    chunk
}

pub(crate) async fn start(context: &mut Context, document: &Value) -> Result<Chunk, Error> {
    in_time(context.compute(request(document))).await.map(chunk)
}

pub(crate) async fn next(context: &mut Context) -> Result<Chunk, Error> {
    in_time(context.compute(vec![])).await.map(chunk)
}

/// A test that waits for what never comes fails, and does not hang.
async fn in_time<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(300), answer).await.expect("an answer within five minutes")
}

/// Reads on from `first` to the end: the whole text, tokens and result.
pub(crate) async fn finish(context: &mut Context, first: Chunk) -> Chunk {
    let mut whole = first;
    while whole.result.is_none() {
        let chunk = next(context).await.unwrap();
        whole.text += &chunk.text;
        whole.reasoning += &chunk.reasoning;
        whole.tool_calls.extend(chunk.tool_calls);
        whole.tokens.extend(chunk.tokens);
        whole.result = chunk.result;
        whole.logprobs.extend(chunk.logprobs);
        assert!(chunk.prompt_logprobs.is_none(), "they come with the first chunk");
    }
    whole
}

/// A whole generation.
pub(crate) async fn generate(graph: &Graph, document: &Value) -> Chunk {
    let mut context = context(graph);
    let first = start(&mut context, document).await.unwrap();
    finish(&mut context, first).await
}

/// A call in tensor mode: the row of logits.
pub(crate) async fn logits(context: &mut Context, tokens: &[u32]) -> Result<Vec<f32>, Error> {
    let outputs = context.compute(input_ids(tokens)).await?;
    let [(name, tensor)] = &outputs[..] else { panic!("{} outputs", outputs.len()) };
    assert_eq!((name.as_str(), tensor.ty), ("logits", TensorType::Fp32));
    let row: Vec<f32> = tensor.data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    assert_eq!(tensor.dimensions, [1, row.len() as u32]);
    Ok(row)
}

/// Waits until the counters are as `good` says; what happens on the engine's thread is not seen at once.
pub(crate) fn wait_for(engine: &Engine, good: impl Fn(&Stats) -> bool) {
    wait_until(|| good(&engine.stats()), || format!("{:?}", engine.stats()));
}

pub(crate) fn wait_until(good: impl Fn() -> bool, state: impl Fn() -> String) {
    let begun = Instant::now();
    while !good() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it did not come to that: {}", state());
        std::thread::sleep(Duration::from_millis(1));
    }
}
