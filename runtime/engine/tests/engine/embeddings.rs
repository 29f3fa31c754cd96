//! Embedding mode: what comes back, in which order it is computed, and what is refused.

use std::time::Duration;

use futures::{FutureExt, future::join_all};
use hearth_engine::{Context, EngineOptions, Error, ErrorKind, Graph, TensorType};
use serde_json::{Value, json};

use crate::{
    client::{context, generate, greedy, logits, next, request, start, wait_for},
    encoder::{self, CONTEXT, LAYERS, WIDTH, embedding},
    toy::{self, options},
};

/// A call in embedding mode: the embeddings and the result.
async fn embed_in(context: &mut Context, document: &Value) -> Result<(Vec<Vec<f32>>, Value), Error> {
    context.compute(request(document)).await.map(read)
}

fn read(outputs: Vec<hearth_engine::NamedTensor>) -> (Vec<Vec<f32>>, Value) {
    let [(first, embeddings), (second, result)] = &outputs[..] else { panic!("{} outputs", outputs.len()) };
    assert_eq!((first.as_str(), second.as_str(), embeddings.ty), ("embeddings", "result", TensorType::Fp32));
    let numbers: Vec<f32> = embeddings.data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    assert_eq!(embeddings.dimensions, [(numbers.len() / WIDTH) as u32, WIDTH as u32]);
    (numbers.chunks(WIDTH).map(<[f32]>::to_vec).collect(), serde_json::from_slice(&result.data).unwrap())
}

async fn embed(graph: &Graph, document: &Value) -> Result<(Vec<Vec<f32>>, Value), Error> {
    embed_in(&mut context(graph), document).await
}

/// Waits until the engine's thread has taken so many requests. Its counters are told after a step, so a stopped step comes first.
fn settle() {
    std::thread::sleep(Duration::from_millis(50));
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, kind: &ErrorKind, expected: &str) {
    let error = result.unwrap_err();
    assert_eq!(&error.kind, kind, "{}", error.message);
    assert!(error.message.contains(expected), "{:?} does not say {expected:?}", error.message);
}

#[tokio::test]
async fn texts_and_tokens_are_embedded_in_their_order() {
    let (engine, graph, _) = encoder::engine(options());
    let mut context = context(&graph);
    let long = "x".repeat(250);
    let (embeddings, result) = embed_in(&mut context, &json!({"input": ["one", [5, 6, 7], "", long, "one"]})).await.unwrap();
    let inputs = [toy::tokens("one"), vec![5, 6, 7], toy::tokens(""), toy::tokens(&long), toy::tokens("one")];
    let want: Vec<_> = inputs.iter().map(|tokens| embedding(tokens).to_vec()).collect();
    assert_eq!(embeddings, want);
    let tokens: usize = inputs.iter().map(Vec::len).sum();
    assert_eq!(result["usage"], json!({"prompt_tokens": tokens}));
    assert!(["queue_ms", "compute_ms"].iter().all(|name| result["timings"][name].as_f64().unwrap() >= 0.0));
    wait_for(&engine, |stats| stats.prompt_tokens == tokens as u64 && stats.running == 0);
    // The context can be used again.
    assert_eq!(embed_in(&mut context, &json!({"input": ["two"]})).await.unwrap().0, [embedding(&toy::tokens("two"))]);
}

#[tokio::test]
async fn many_at_once_each_get_their_own() {
    let (_engine, graph, _) = encoder::engine(options());
    let texts = |number: usize| (0..1 + number % 7).map(|part| format!("{number}.{part}-{}", "y".repeat(number * 3))).collect::<Vec<_>>();
    let answers = join_all((0..40).map(|number| {
        let graph = &graph;
        async move { embed(graph, &json!({"input": texts(number), "client": format!("{}", number % 3)})).await.unwrap().0 }
    }));
    for (number, embeddings) in answers.await.into_iter().enumerate() {
        let want: Vec<_> = texts(number).iter().map(|text| embedding(&toy::tokens(text)).to_vec()).collect();
        assert_eq!(embeddings, want, "request {number}");
    }
}

#[tokio::test]
async fn what_a_step_computes_is_bounded() {
    let engine = hearth_engine::Engine::start(options()).unwrap();
    let (model, control) = toy::model(1024, None);
    let generator = engine.add_loaded("toy", model, None).unwrap();
    let (embedder, watch) = encoder::add(&engine);
    control.allow(1);
    // The generation's first step is computed, its second stops; behind it wait sequences longer than a step has rows.
    let mut generating = context(&generator);
    start(&mut generating, &greedy("Hello", 30)).await.unwrap();
    settle();
    let mut embedding = context(&embedder);
    let inputs: Vec<Vec<u32>> = (0..5).map(|_| vec![9; CONTEXT]).collect();
    let mut answer = Box::pin(embedding.compute(request(&json!({"input": inputs}))));
    assert!(answer.as_mut().now_or_never().is_none());
    settle();
    // The request is taken between two steps.
    control.allow(1);
    settle();
    for steps in 1..12 {
        let before = watch.layers.lock().unwrap().len();
        control.allow(1);
        settle();
        let layers = watch.layers.lock().unwrap().len() - before;
        assert!(layers > 0 && layers * CONTEXT <= 128 * LAYERS, "{layers} layers of {CONTEXT} rows in step {steps}");
    }
    control.release();
    assert_eq!(read(answer.await.unwrap()).0.len(), 5);
}

#[tokio::test]
async fn clients_take_turns() {
    let (_engine, graph, watch) = encoder::engine(options());
    watch.control.allow(0);
    let (mut greedy, mut modest) = (context(&graph), context(&graph));
    let many: Vec<Vec<u32>> = (0..100).map(|_| vec![9; 100]).collect();
    let mut large = Box::pin(greedy.compute(request(&json!({"input": many, "client": "greedy"}))));
    assert!(large.as_mut().now_or_never().is_none());
    settle();
    let mut small = Box::pin(modest.compute(request(&json!({"input": [[1, 2, 3]], "client": "modest"}))));
    assert!(small.as_mut().now_or_never().is_none());
    settle();
    watch.control.release();
    assert_eq!(read(small.await.unwrap()).0, [embedding(&[1, 2, 3])]);
    assert_eq!(read(large.await.unwrap()).0.len(), 100);
    let layers = watch.layers.lock().unwrap();
    let first = layers.iter().position(|lengths| lengths.contains(&3)).unwrap();
    assert!(first <= LAYERS, "the small request was embedded after {first} layers of the large one");
}

#[tokio::test]
async fn dropping_the_context_cancels() {
    let (engine, graph, watch) = encoder::engine(options());
    watch.control.allow(0);
    let mut context = context(&graph);
    let inputs: Vec<Vec<u32>> = (0..1000).map(|_| vec![9; 100]).collect();
    assert!(context.compute(request(&json!({"input": inputs}))).now_or_never().is_none());
    settle();
    drop(context);
    watch.control.release();
    wait_for(&engine, |stats| stats.running == 0 && stats.waiting == 0);
    assert_eq!(embed(&graph, &json!({"input": ["after"]})).await.unwrap().0, [embedding(&toy::tokens("after"))]);
    assert!(watch.layers.lock().unwrap().len() <= 3 * LAYERS, "what nobody waits for is not computed");
}

#[tokio::test]
async fn a_dropped_call_can_be_waited_for_again() {
    let (_engine, graph, watch) = encoder::engine(options());
    watch.control.allow(0);
    let mut context = context(&graph);
    assert!(context.compute(request(&json!({"input": ["x"]}))).now_or_never().is_none());
    refused(embed_in(&mut context, &json!({"input": ["y"]})).await, &ErrorKind::InvalidRequest, "are being computed");
    watch.control.release();
    assert_eq!(read(context.compute(vec![]).await.unwrap()).0, [embedding(&toy::tokens("x"))]);
    refused(context.compute(vec![]).await, &ErrorKind::InvalidRequest, "nothing was asked for");
}

#[tokio::test]
async fn what_does_not_fit_the_model_is_refused_with_what_would() {
    let (engine, embedder, _) = encoder::engine(options());
    let (model, _) = toy::model(1024, None);
    let generator = engine.add_loaded("toy", model, None).unwrap();
    let invalid = ErrorKind::InvalidRequest;
    refused(
        start(&mut context(&embedder), &greedy("Hi", 3)).await,
        &invalid,
        "makes embeddings and nothing else: give `request` with `input`",
    );
    refused(logits(&mut context(&embedder), &[1]).await, &invalid, "makes embeddings and nothing else");
    refused(embed(&generator, &json!({"input": ["Hi"]})).await, &invalid, "`input` asks for embeddings, but this model generates text");
    refused(embed(&embedder, &json!({"input": []})).await, &invalid, "give 1 to 2048");
    refused(embed(&embedder, &json!({"input": ["x", []]})).await, &invalid, "element 1 of `input` has no tokens");
    refused(embed(&embedder, &json!({"input": [[1, 259]]})).await, &invalid, "token 259");
    refused(next(&mut context(&embedder)).await, &invalid, "nothing was asked for");
    // After a refusal the context is as it was.
    let mut context = context(&embedder);
    refused(embed_in(&mut context, &json!({"input": [7]})).await, &invalid, "neither a text nor an array");
    assert!(embed_in(&mut context, &json!({"input": ["x"]})).await.is_ok());
    assert_eq!(generate(&generator, &greedy("Hi", 3)).await.text, toy::expected("Hi", 3).0);
}

#[tokio::test]
async fn an_input_may_fill_the_context_and_no_more_unless_it_is_to_be_cut() {
    let (_engine, graph, _) = encoder::engine(options());
    let long: Vec<u32> = (0..CONTEXT as u32 + 50).map(|number| 70 + number % 180).collect();
    assert_eq!(embed(&graph, &json!({"input": [long[..CONTEXT]]})).await.unwrap().0, [embedding(&long[..CONTEXT])]);
    let kind = ErrorKind::ContextLength { prompt_tokens: CONTEXT + 50, context_length: CONTEXT };
    refused(embed(&graph, &json!({"input": ["x", long]})).await, &kind, "element 1 of `input` has 350 tokens; the context holds 300");
    let cut = embed(&graph, &json!({"input": [long], "truncate": true})).await.unwrap();
    assert_eq!((cut.0, &cut.1["usage"]["prompt_tokens"]), (vec![embedding(&long[..CONTEXT]).to_vec()], &json!(CONTEXT)));
    // The context that was asked for is shorter than the model's.
    let (_engine, graph, _) = encoder::engine(EngineOptions { context: 20, ..options() });
    assert_eq!(graph.context_length(), 20);
    refused(
        embed(&graph, &json!({"input": [long[..21]]})).await,
        &ErrorKind::ContextLength { prompt_tokens: 21, context_length: 20 },
        "holds 20",
    );
}

#[tokio::test]
async fn more_than_the_queue_holds_and_who_waits_too_long_is_refused() {
    let bounds = EngineOptions { sequences: 1, queue: 2, max_wait: Duration::from_millis(30), ..options() };
    let (engine, graph, watch) = encoder::engine(bounds);
    watch.control.allow(0);
    let inputs: Vec<Vec<u32>> = (0..3).map(|_| vec![9; 100]).collect();
    let document = json!({"input": inputs});
    let mut contexts: Vec<_> = (0..4).map(|_| context(&graph)).collect();
    let mut calls: Vec<_> = contexts.iter_mut().map(|context| Box::pin(context.compute(request(&document)))).collect();
    for call in &mut calls {
        assert!(call.as_mut().now_or_never().is_none());
        settle();
    }
    watch.control.release();
    let answers = join_all(calls).await;
    let full = answers.iter().filter(|answer| answer.as_ref().is_err_and(|error| error.kind == ErrorKind::QueueFull)).count();
    assert!(answers[0].is_ok(), "what has begun is never refused");
    assert_eq!(full, 3, "one found no place, two waited too long");
    wait_for(&engine, |stats| stats.running == 0 && stats.waiting == 0);
    // A full queue leaves the context as it was.
    assert!(embed_in(&mut contexts[3], &document).await.is_ok());
}

#[tokio::test]
async fn a_failing_input_fails_its_batch_and_nothing_else() {
    let (engine, graph, _) = encoder::engine(options());
    refused(embed(&graph, &json!({"input": ["fine", "not!"]})).await, &ErrorKind::Internal, "told to panic");
    refused(embed(&graph, &json!({"input": ["fine", "what?"]})).await, &ErrorKind::Internal, "not numbers");
    assert_eq!(embed(&graph, &json!({"input": ["fine"]})).await.unwrap().0, [embedding(&toy::tokens("fine"))]);
    wait_for(&engine, |stats| stats.running == 0 && stats.waiting == 0);
}
