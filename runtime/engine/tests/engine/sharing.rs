//! Many sequences at once: none changes another, none stalls another, and what has gone leaves nothing behind.

use std::sync::atomic::Ordering;

use futures::{FutureExt, future::join_all};
use hearth_engine::{EngineOptions, ErrorKind, Graph};

use crate::{
    client::{context, finish, generate, greedy, next, start, wait_for, wait_until},
    toy::{self, NOT_A_NUMBER, PANICS, expected, kv_bytes, options},
};

/// Prompts of many lengths.
fn prompts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number}_{}", "words_and_".repeat(number * 7 % 30))).collect()
}

async fn all_as_expected(graph: &Graph, count: usize, max_tokens: usize) {
    let prompts = prompts(count);
    let texts = join_all(prompts.iter().map(|prompt| async { generate(graph, &greedy(prompt, max_tokens)).await.text })).await;
    for (prompt, text) in prompts.iter().zip(texts) {
        assert_eq!(text, expected(prompt, max_tokens).0);
    }
}

#[tokio::test]
async fn together_each_says_what_it_says_alone() {
    let (engine, graph, control) = toy::engine(options());
    all_as_expected(&graph, 40, 50).await;
    assert!(control.rows().iter().all(|rows| *rows <= 128), "a step has its bound");
    wait_for(&engine, |stats| stats.blocks_used == 0 && stats.running == 0 && stats.waiting == 0);
}

#[tokio::test]
async fn also_where_blocks_are_so_short_that_sequences_take_them_from_one_another() {
    // Room for one whole context, or for about four of these sequences.
    let (engine, graph, _) = toy::engine(EngineOptions { kv_bytes: kv_bytes(64), context: 1024, ..options() });
    all_as_expected(&graph, 24, 200).await;
    wait_for(&engine, |stats| stats.blocks_used == 0);
    let given: usize = prompts(24).iter().map(|prompt| prompt.len() + 1).sum();
    assert!(engine.stats().prompt_tokens > given as u64, "some were computed anew: {:?}", engine.stats());
}

#[tokio::test]
async fn a_client_has_as_many_sequences_as_its_limit_says_and_others_have_theirs() {
    let (_engine, graph, control) = toy::engine(options());
    let asks = |client: &str, limit: usize| {
        let mut document = greedy("Hi", 5);
        (document["client"], document["client_limit"]) = (client.into(), limit.into());
        document
    };
    // They wait for their first step.
    control.allow(0);
    let (mut first, mut second) = (context(&graph), context(&graph));
    assert!(start(&mut first, &asks("anna", 2)).now_or_never().is_none());
    assert!(start(&mut second, &asks("anna", 2)).now_or_never().is_none());
    let (mut third, mut other) = (context(&graph), context(&graph));
    let one_more = asks("anna", 2);
    let mut refused = Box::pin(start(&mut third, &one_more).map(Result::unwrap_err)).fuse();
    assert!((&mut refused).now_or_never().is_none(), "the engine's thread is in a step");
    assert!(start(&mut other, &asks("berta", 1)).now_or_never().is_none());
    control.release();
    let error = refused.await;
    assert_eq!(error.kind, ErrorKind::ClientBusy);
    assert!(error.data().contains("client_busy") && error.message.contains("limit"), "{error}");
    for sequence in [&mut first, &mut second, &mut other] {
        let chunk = next(sequence).await.unwrap();
        assert_eq!(finish(sequence, chunk).await.text, expected("Hi", 5).0);
    }
    // Those that have ended make room, and so does one that is dropped.
    assert_eq!(generate(&graph, &asks("anna", 1)).await.text, expected("Hi", 5).0);
    control.allow(0);
    let mut left = context(&graph);
    assert!(start(&mut left, &asks("anna", 1)).now_or_never().is_none());
    drop(left);
    control.release();
    assert_eq!(generate(&graph, &asks("anna", 1)).await.text, expected("Hi", 5).0);
}

#[tokio::test]
async fn a_long_prompt_leaves_the_others_their_row_in_each_step() {
    let (_engine, graph, control) = toy::engine(options());
    control.allow(1);
    let mut short = context(&graph);
    let first = start(&mut short, &greedy("short", 20)).await.unwrap();
    let mut long = context(&graph);
    assert!(start(&mut long, &greedy(&"long_".repeat(100), 1)).now_or_never().is_none());
    control.release();
    let whole = finish(&mut short, first).await;
    assert_eq!(whole.text, expected("short", 20).0);
    // 501 tokens of prompt beside one of decoding, 128 rows a step.
    assert!(next(&mut long).await.unwrap().result.is_some());
    let rows = control.rows();
    let chunks = rows.iter().skip_while(|rows| **rows < 100).take(4).collect::<Vec<_>>();
    assert_eq!(chunks, [&128, &128, &128, &121]);
}

#[tokio::test]
async fn a_slow_reader_pauses_itself_and_nobody_else() {
    // One slot: the paused sequence must give it up.
    let (engine, graph, _) = toy::engine(EngineOptions { sequences: 1, ..options() });
    let mut slow = context(&graph);
    let first = start(&mut slow, &greedy("slow", 400)).await.unwrap();
    wait_for(&engine, |stats| stats.running == 0 && stats.generated_tokens >= 32);
    let ahead = engine.stats().generated_tokens;
    assert!(ahead < 40, "the engine decodes ahead within bounds: {ahead}");
    assert_eq!(generate(&graph, &greedy("fast", 400)).await.text, expected("fast", 400).0);
    // The slow one stood still.
    wait_for(&engine, |stats| stats.generated_tokens == ahead + 400);
    assert_eq!(finish(&mut slow, first).await.text, expected("slow", 400).0, "and goes on when it is read");
    wait_for(&engine, |stats| stats.blocks_used == 0);
}

#[tokio::test]
async fn a_dropped_context_frees_its_blocks_whatever_it_was_doing() {
    let (engine, graph, control) = toy::engine(EngineOptions { sequences: 2, ..options() });
    let mut contexts = Vec::new();
    for number in 0..5 {
        let mut context = context(&graph);
        assert!(start(&mut context, &greedy(&format!("{number}"), 900)).now_or_never().is_none());
        contexts.push(context);
    }
    // The first two run until their channels are full and they pause, then the others have their turn.
    wait_for(&engine, |stats| stats.generated_tokens == 5 * 32 && stats.running == 0 && stats.waiting == 0);
    assert!(engine.stats().blocks_used >= 5);
    drop(contexts);
    wait_for(&engine, |stats| stats.blocks_used == 0);

    control.allow(0);
    let mut running = context(&graph);
    assert!(start(&mut running, &greedy("running", 900)).now_or_never().is_none());
    let mut waiting: Vec<_> = (0..4).map(|_| context(&graph)).collect();
    for context in &mut waiting {
        assert!(start(context, &greedy("waiting", 900)).now_or_never().is_none());
    }
    drop(waiting);
    control.release();
    drop(running);
    wait_for(&engine, |stats| stats.blocks_used == 0 && stats.waiting == 0);
}

#[tokio::test]
async fn a_full_queue_refuses_and_later_takes_the_same_context() {
    let (engine, graph, control) = toy::engine(EngineOptions { sequences: 1, queue: 1, ..options() });
    control.allow(0);
    let (mut running, mut waiting, mut refused) = (context(&graph), context(&graph), context(&graph));
    assert!(start(&mut running, &greedy("one", 3)).now_or_never().is_none());
    control.wait_for_step();
    assert!(start(&mut waiting, &greedy("two", 3)).now_or_never().is_none());
    let third = greedy("three", 3);
    let mut refusal = Box::pin(start(&mut refused, &third).map(Result::unwrap_err)).fuse();
    assert!((&mut refusal).now_or_never().is_none());
    control.allow(1);
    assert_eq!(refusal.await.kind, ErrorKind::QueueFull);
    control.release();
    for (context, prompt) in [(&mut running, "one"), (&mut waiting, "two")] {
        assert_eq!(finish(context, Default::default()).await.text, expected(prompt, 3).0);
    }
    wait_for(&engine, |stats| stats.blocks_used == 0);
    let first = start(&mut refused, &greedy("three", 3)).await.unwrap();
    assert_eq!(finish(&mut refused, first).await.text, expected("three", 3).0);
}

#[tokio::test]
async fn a_step_that_fails_ends_its_sequences_and_the_engine_goes_on() {
    let (engine, graph, _) = toy::engine(options());
    let mut bystander = context(&graph);
    let first = start(&mut bystander, &greedy("bystander", 300)).await.unwrap();
    wait_for(&engine, |stats| stats.running == 0 && stats.generated_tokens >= 32);

    let panics = format!("panic{}", char::from(PANICS));
    let error = start(&mut context(&graph), &greedy(&panics, 5)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Internal);
    assert!(error.message.contains("told to panic"), "{}", error.message);
    let nonsense = format!("nan{}", char::from(NOT_A_NUMBER));
    let error = start(&mut context(&graph), &greedy(&nonsense, 5)).await.unwrap_err();
    assert!(error.message.contains("not numbers"), "{}", error.message);

    assert_eq!(generate(&graph, &greedy("after", 30)).await.text, expected("after", 30).0);
    let whole = finish(&mut bystander, first).await;
    assert_eq!(whole.text, expected("bystander", 300).0, "a sequence that was not computed then lives on");
    wait_for(&engine, |stats| stats.blocks_used == 0);
}

#[tokio::test]
async fn when_the_last_handle_is_gone_the_thread_ends() {
    let (engine, graph, control) = toy::engine(options());
    let mut context = context(&graph);
    let first = start(&mut context, &greedy("last", 200)).await.unwrap();
    drop(engine);
    drop(graph);
    assert_eq!(finish(&mut context, first).await.text, expected("last", 200).0, "a context alone keeps it going");
    assert!(!control.dropped.load(Ordering::SeqCst));
    drop(context);
    wait_until(|| control.dropped.load(Ordering::SeqCst), || "the network lives".into());
}
