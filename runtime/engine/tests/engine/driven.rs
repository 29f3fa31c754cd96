//! The engine without threads: it computes what the one with a thread does, whenever somebody waits.

use std::sync::atomic::Ordering;

use hearth_engine::{Context, DrivenEngine, EngineOptions, ErrorKind, Graph};
use serde_json::json;

use crate::{
    client::{Chunk, chunk, context, greedy, request},
    real,
    toy::{expected, kv_bytes, model, options},
};

fn driven(options: EngineOptions) -> (DrivenEngine, Graph) {
    let engine = DrivenEngine::start(options).unwrap();
    let graph = engine.engine().add_loaded("toy", model(1024, None).0, None).unwrap();
    (engine, graph)
}

fn next(engine: &DrivenEngine, context: &mut Context) -> Chunk {
    chunk(engine.wait(context.compute(Vec::new())).unwrap())
}

/// The text from `first` to the end.
fn rest(engine: &DrivenEngine, context: &mut Context, first: Chunk) -> String {
    let (mut text, mut ended) = (first.text, first.result.is_some());
    while !ended {
        let chunk = next(engine, context);
        text += &chunk.text;
        ended = chunk.result.is_some();
    }
    text
}

#[test]
fn contexts_of_one_caller_are_computed_together() {
    let (engine, graph) = driven(options());
    let prompts = ["one", "another", "third"];
    let mut contexts: Vec<Context> = prompts.iter().map(|_| context(&graph)).collect();
    let begin = |(context, prompt): (&mut Context, &&str)| chunk(engine.wait(context.compute(request(&greedy(prompt, 20)))).unwrap());
    let firsts: Vec<Chunk> = contexts.iter_mut().zip(&prompts).map(begin).collect();
    let before = engine.engine().stats().steps;
    for ((context, first), prompt) in contexts.iter_mut().zip(firsts).zip(prompts) {
        assert_eq!(rest(&engine, context, first), expected(prompt, 20).0);
    }
    let steps = engine.engine().stats().steps - before;
    assert!(steps < 2 * 20, "three texts of 20 tokens in {steps} steps");
}

#[test]
fn a_slow_reader_holds_up_nobody() {
    let (engine, graph) = driven(EngineOptions { sequences: 1, ..options() });
    let (mut slow, mut other) = (context(&graph), context(&graph));
    let first = chunk(engine.wait(slow.compute(request(&greedy("slow", 200)))).unwrap());
    // Computed ahead as far as its channel goes, it gives its place to who waits.
    let others = chunk(engine.wait(other.compute(request(&greedy("other", 2)))).unwrap());
    assert_eq!(rest(&engine, &mut other, others), expected("other", 2).0);
    assert_eq!(rest(&engine, &mut slow, first), expected("slow", 200).0);
}

#[test]
fn who_waits_for_what_never_comes_is_told() {
    let (engine, _graph) = driven(options());
    let error = engine.wait(std::future::pending::<Result<(), _>>()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::QueueFull);
}

#[test]
fn a_grammar_is_compiled_by_who_waits_for_it() {
    let (engine, graph) = driven(options());
    let mut held = context(&graph);
    let document = json!({"prompt": "digits", "max_tokens": 8, "grammar": {"regex": "[0-9]{3}"}, "sampling": {"temperature": 0}});
    let first = chunk(engine.wait(held.compute(request(&document))).unwrap());
    let text = rest(&engine, &mut held, first);
    assert!(text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
}

#[test]
fn a_model_is_loaded_when_it_is_wanted_and_unloaded_for_another() {
    let Some(path) = real::model() else { return };
    let folder = std::env::temp_dir().join(format!("hearth-driven-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let huge = folder.join("huge.gguf");
    // Its length alone, and nothing on the disk.
    std::fs::File::create(&huge).unwrap().set_len(1 << 43).unwrap();
    let engine = DrivenEngine::start(EngineOptions { context: 512, sequences: 2, kv_bytes: 0, ..options() }).unwrap();
    let load = |name: &str| engine.wait(engine.engine().load_by_name(name));
    engine.engine().offer_model("small", path.clone(), None);
    engine.engine().offer_model("huge", huge, None);
    assert_eq!(load("absent").unwrap_err().kind, ErrorKind::ModelNotFound);
    let graph = load("small").unwrap();
    let mut chat = context(&graph);
    let first = chunk(engine.wait(chat.compute(request(&greedy("One, two,", 4)))).unwrap());
    assert!(!rest(&engine, &mut chat, first).is_empty());
    drop((chat, graph));
    assert_eq!(load("huge").unwrap_err().kind, ErrorKind::OutOfMemory);
    let _ = std::fs::remove_dir_all(&folder);
    assert_eq!(engine.engine().stats().blocks_total, 0, "the small one went for it");
    assert!(load("small").is_ok(), "and comes again");
    engine.engine().add_bytes("embedded", &std::fs::read(path).unwrap()).unwrap();
    assert!(load("embedded").is_ok());
}

#[test]
fn a_context_that_is_dropped_frees_its_blocks_and_an_engine_its_models() {
    let engine = DrivenEngine::start(EngineOptions { prefix_cache: false, kv_bytes: kv_bytes(64), ..options() }).unwrap();
    let (toy, control) = model(1024, None);
    let graph = engine.engine().add_loaded("toy", toy, None).unwrap();
    let (mut gone, mut stays) = (context(&graph), context(&graph));
    engine.wait(gone.compute(request(&greedy("gone", 400)))).unwrap();
    assert!(engine.engine().stats().blocks_used > 0);
    drop(gone);
    let first = chunk(engine.wait(stays.compute(request(&greedy("stays", 3)))).unwrap());
    rest(&engine, &mut stays, first);
    drop(stays);
    // Anything that is waited for sees what was dropped before.
    let mut last = context(&graph);
    let first = chunk(engine.wait(last.compute(request(&greedy("last", 1)))).unwrap());
    rest(&engine, &mut last, first);
    assert_eq!(engine.engine().stats().blocks_used, 0);
    drop((last, graph, engine));
    assert!(control.dropped.load(Ordering::SeqCst));
}
