//! The catalog's MiniLM against sentence-transformers, whose embeddings `tests/python/minilm_golden.py` has written.

use hearth_engine::{DeviceChoice, Engine, EngineOptions, Tensor};
use hearth_tests::{root, skip, test_data};
use serde_json::{Value, json};

/// Bound on the difference of any of the 384 numbers.
const DIFFERENCE: f64 = 1e-3;

#[tokio::test]
async fn embeddings_are_those_of_sentence_transformers() {
    let Some(folder) = test_data("minilm") else { return };
    let golden: Vec<Value> = serde_json::from_slice(&std::fs::read(root().join("tests/data/minilm.json")).unwrap()).unwrap();
    for device in [DeviceChoice::Cpu, DeviceChoice::Gpu] {
        let engine = match Engine::start(EngineOptions { device, threads: 2, ..EngineOptions::default() }) {
            Ok(engine) => engine,
            Err(error) => {
                skip(&format!("no GPU: {error}"));
                continue;
            }
        };
        engine.add_model("minilm", folder.clone(), None);
        let mut context = engine.ready("minilm").await.expect("the model loads").init_execution_context().unwrap();
        // Together, and so each beside the others.
        let texts: Vec<&str> = golden.iter().map(|golden| golden["text"].as_str().unwrap()).collect();
        let request = Tensor::from_bytes(json!({"input": texts}).to_string().into_bytes());
        let outputs = context.compute(vec![("request".into(), request)]).await.unwrap();
        let numbers: Vec<f64> = outputs[0].1.data.as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect();
        let result: Value = serde_json::from_slice(&outputs[1].1.data).unwrap();
        assert!(result["usage"]["prompt_tokens"].as_u64().unwrap() > 200);
        for (golden, ours) in golden.iter().zip(numbers.chunks_exact(384)) {
            let theirs = golden["embedding"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap());
            let largest = theirs.zip(ours).map(|(theirs, ours)| (theirs - ours).abs()).fold(0.0, f64::max);
            println!("{device:?}: {largest:.1e} {}", golden["text"]);
            assert!(largest <= DIFFERENCE, "{device:?}: {largest} from sentence-transformers' number: {}", golden["text"]);
        }
    }
}
