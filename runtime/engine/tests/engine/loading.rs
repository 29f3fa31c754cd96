//! Models by name and by bytes: what is there, what is not yet, and why something is not.

use hearth_engine::{DeviceChoice, Engine, EngineOptions, Error, ErrorCode, ErrorKind, Graph, KvType};
use hearth_models::{gguf::Gguf, tokenizer::Tokenizer};

use crate::toy::{self, kv_bytes, options};

#[track_caller]
fn refused(result: Result<Graph, Error>, kind: &ErrorKind, expected: &str) {
    let error = result.unwrap_err();
    assert_eq!(&error.kind, kind, "{}", error.message);
    assert!(error.message.contains(expected), "{:?} does not say {expected:?}", error.message);
}

#[tokio::test]
async fn an_unknown_name_is_answered_with_those_that_are_known() {
    let (engine, ..) = toy::engine(options());
    refused(engine.load_by_name("other").await, &ErrorKind::ModelNotFound, "there is `toy`");
    refused(engine.ready("other").await, &ErrorKind::ModelNotFound, "`other`");
    assert!(engine.load_by_name("toy").await.is_ok() && engine.ready("toy").await.is_ok());
    assert_eq!(engine.models(), ["toy"]);
}

#[tokio::test]
async fn a_file_that_cannot_be_loaded_says_why_under_its_name() {
    let engine = Engine::start(options()).unwrap();
    let folder = std::env::temp_dir().join(format!("hearth-engine-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    engine.add_model("missing", folder.join("missing.gguf"), None);
    refused(engine.ready("missing").await, &ErrorKind::LoadFailed, "missing.gguf does not exist");
    refused(engine.load_by_name("missing").await, &ErrorKind::LoadFailed, "model `missing` could not be loaded");
    assert_eq!(engine.load_by_name("missing").await.unwrap_err().code(), ErrorCode::RuntimeError);

    let path = folder.join("text.gguf");
    std::fs::write(&path, "not a model").unwrap();
    engine.add_model("text", path, None);
    refused(engine.ready("text").await, &ErrorKind::LoadFailed, "not a valid GGUF file");
    // A file that says that it is there, but has no network.
    let path = folder.join("vocabulary.gguf");
    std::fs::write(&path, toy::gguf()).unwrap();
    engine.add_model("vocabulary", path, None);
    refused(engine.ready("vocabulary").await, &ErrorKind::LoadFailed, "general.architecture");
    // A folder is one of Hugging Face's, or none.
    engine.add_model("folder", folder.clone(), None);
    refused(engine.ready("folder").await, &ErrorKind::LoadFailed, "has no config.json");
    assert_eq!(engine.models(), ["missing", "text", "vocabulary", "folder"]);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn bytes_are_taken_up_to_the_cap_and_only_as_gguf() {
    let engine = Engine::start(EngineOptions { load_cap: 10_000, ..options() }).unwrap();
    refused(engine.load(vec![b'G'; 10_001]).await, &ErrorKind::ModelTooLarge, "at most 9.8 KiB");
    refused(engine.load(b"ONNX".to_vec()).await, &ErrorKind::UnsupportedEncoding, "not a GGUF file");
    refused(engine.load(b"GGUF....".to_vec()).await, &ErrorKind::LoadFailed, "GGUF");
    refused(engine.load(toy::gguf()).await, &ErrorKind::LoadFailed, "general.architecture");
}

#[test]
fn a_context_that_the_cache_cannot_hold_is_refused_with_what_fits() {
    let engine = Engine::start(EngineOptions { kv_bytes: kv_bytes(10), context: 512, ..options() }).unwrap();
    let (model, _) = toy::model(1024, None);
    refused(engine.add_loaded("toy", model, None), &ErrorKind::LoadFailed, "at most 160 tokens");
}

#[test]
fn a_draft_model_with_other_tokens_is_refused() {
    let engine = Engine::start(options()).unwrap();
    let (mut draft, _) = toy::model(1024, None);
    let mut bytes = toy::gguf();
    let at = bytes.windows(4).position(|text| text == b"</s>").unwrap();
    bytes[at + 2] = b'e';
    draft.tokenizer = Tokenizer::from_gguf(&Gguf::parse(&bytes).unwrap()).unwrap();
    refused(engine.add_loaded("toy", toy::model(1024, None).0, Some(draft)), &ErrorKind::LoadFailed, "token 2 of the draft model");
}

#[test]
fn heads_that_a_quantized_cache_cannot_hold_are_refused_with_the_cure() {
    let engine = Engine::start(EngineOptions { kv_type: KvType::Q8_0, ..options() }).unwrap();
    let (model, _) = toy::model(1024, None);
    refused(engine.add_loaded("toy", model, None), &ErrorKind::LoadFailed, "this model's have 4: choose f16");
}

#[test]
fn the_device_is_told_with_its_reason() {
    let engine = Engine::start(EngineOptions { device: DeviceChoice::Cpu, threads: 2, ..options() }).unwrap();
    let description = engine.device_description();
    assert!(description.starts_with("CPU (") && description.ends_with("): as was asked for"), "{description}");
    let automatic = Engine::start(EngineOptions { device: DeviceChoice::Auto, ..options() }).unwrap().device_description();
    assert!(automatic.contains("): "), "{automatic}");
}
