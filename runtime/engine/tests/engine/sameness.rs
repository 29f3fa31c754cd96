//! A text is the same alone and in any company, with and without a known beginning, with its blocks taken away and with tokens guessed ahead.

use futures::future::join_all;
use hearth_engine::{Engine, EngineOptions, ErrorKind, Graph, Stats};
use serde_json::{Value, json};

use crate::{
    client::{Chunk, context, finish, generate, greedy, start, wait_for},
    toy::{self, PANICS, REPEATS, expected, kv_bytes, options},
};

/// Requests that begin alike in groups, greedy and sampled, some that can be guessed.
fn requests(count: usize) -> Vec<Value> {
    let request = |number: usize| {
        let mark = if number.is_multiple_of(2) { char::from(REPEATS) } else { '_' };
        let prompt = format!("{}{mark}{number}{}", "group".repeat(5 + number % 3 * 8), "tail".repeat(number % 5));
        let temperature = if number % 4 < 2 { 0.0 } else { 4.0 };
        json!({"prompt": prompt, "max_tokens": 90, "ignore_end": true, "sampling": {"temperature": temperature, "seed": number}})
    };
    (0..count).map(request).collect()
}

/// The tokens of each, `together` at once.
async fn tokens(graph: &Graph, requests: &[Value], together: usize) -> Vec<Vec<i32>> {
    let mut all = Vec::new();
    for group in requests.chunks(together) {
        let texts = join_all(group.iter().map(|request| generate(graph, request))).await;
        all.extend(texts.into_iter().map(|whole| whole.tokens));
    }
    all
}

fn cached(whole: &Chunk) -> u64 {
    whole.result.as_ref().unwrap()["usage"]["cached_tokens"].as_u64().unwrap()
}

#[tokio::test]
async fn a_text_is_the_same_in_any_company_with_every_option() {
    let requests = requests(32);
    let plain = EngineOptions { sequences: 32, prefix_cache: false, ..options() };
    let (_engine, graph, _) = toy::engine(plain.clone());
    let alone = tokens(&graph, &requests, 1).await;
    for (prefix_cache, speculation, blocks) in
        [(false, 0, 512), (true, 0, 512), (false, 5, 512), (true, 5, 512), (true, 0, 64), (true, 5, 64)]
    {
        let (engine, graph, _) = toy::engine(EngineOptions { prefix_cache, speculation, kv_bytes: kv_bytes(blocks), ..plain.clone() });
        for together in [1, 2, 8, 32] {
            assert!(tokens(&graph, &requests, together).await == alone, "{together} together, {prefix_cache} {speculation} {blocks}");
        }
        wait_for(&engine, |stats| stats.blocks_used == 0 && stats.running == 0 && stats.waiting == 0);
        let Stats { prefix_cache_hits, prefix_cache_queries, drafted_tokens, accepted_tokens, blocks_cached, .. } = engine.stats();
        assert!(prefix_cache_queries > 0 && prefix_cache_hits < prefix_cache_queries);
        assert_eq!((prefix_cache_hits > 0, blocks_cached > 0), (prefix_cache, prefix_cache));
        assert_eq!((accepted_tokens > 100, drafted_tokens > accepted_tokens), (speculation > 0, speculation > 0));
    }
}

#[tokio::test]
async fn a_text_is_the_same_whatever_a_draft_model_guesses() {
    let requests = requests(32);
    let plain = EngineOptions { sequences: 32, ..options() };
    let (_engine, graph, _) = toy::engine(plain.clone());
    let alone = tokens(&graph, &requests, 1).await;
    // Caches for all, and for few; a draft model with a shorter context than the texts have; one that is always wrong.
    for (blocks, context, errs, right) in [(512, 1024, 7, true), (96, 1024, 7, true), (512, 128, 5, true), (512, 1024, 1, false)] {
        let engine = Engine::start(EngineOptions { kv_bytes: 2 * kv_bytes(blocks), ..plain.clone() }).unwrap();
        let (draft, control) = toy::erring(context, None, errs);
        let graph = engine.add_loaded("toy", toy::model(1024, None).0, Some(draft)).unwrap();
        for together in [1, 2, 8, 32] {
            assert!(tokens(&graph, &requests, together).await == alone, "{together} together, {blocks} {context} {errs}");
        }
        wait_for(&engine, |stats| stats.blocks_used == 0 && stats.running == 0 && stats.waiting == 0);
        let Stats { drafted_tokens, accepted_tokens, .. } = engine.stats();
        assert!(drafted_tokens > 100 && (accepted_tokens > 1000) == right, "{accepted_tokens} of {drafted_tokens} guesses were right");
        assert!(!control.rows().is_empty());
    }
}

#[tokio::test]
async fn the_second_turn_of_a_chat_finds_the_first_with_its_answer() {
    let (engine, graph, _) = toy::engine(options());
    let prompt = "first_turn_of_a_chat".repeat(2);
    let first = generate(&graph, &greedy(&prompt, 50)).await;
    assert_eq!(cached(&first), 0);
    let second = format!("{prompt}{}and_the_second", first.text);
    let whole = generate(&graph, &greedy(&second, 20)).await;
    assert_eq!(whole.text, expected(&second, 20).0);
    // 41 tokens of prompt and 49 of the 50 generated are computed: five blocks.
    assert_eq!(cached(&whole), 80);
    assert_eq!(engine.stats().prefix_cache_hits, 80);
    let again = generate(&graph, &greedy(&"x".repeat(31), 5)).await;
    assert_eq!(cached(&again), 0);
    assert_eq!(cached(&generate(&graph, &greedy(&"x".repeat(31), 5)).await), 16, "the last token is always computed");
}

#[tokio::test]
async fn after_a_step_that_failed_nothing_is_found() {
    let (_engine, graph, _) = toy::engine(options());
    let prompt = "known_for_now".repeat(4);
    generate(&graph, &greedy(&prompt, 5)).await;
    assert!(cached(&generate(&graph, &greedy(&prompt, 5)).await) > 0);
    let error = start(&mut context(&graph), &greedy(&format!("panic{}", char::from(PANICS)), 5)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Internal);
    let whole = generate(&graph, &greedy(&prompt, 5)).await;
    assert_eq!((cached(&whole), whole.text), (0, expected(&prompt, 5).0));
}

#[tokio::test]
async fn right_guesses_save_steps_and_a_request_may_do_without() {
    let (engine, graph, control) = toy::engine(EngineOptions { speculation: 6, ..options() });
    let prompt = format!("{}_cycle", char::from(REPEATS));
    let mut request = greedy(&prompt, 200);
    assert_eq!(generate(&graph, &request).await.text, expected(&prompt, 200).0);
    let steps = control.rows().len();
    assert!(steps < 120, "{steps} steps for 200 tokens");
    // The counters are told after the step that ended the text.
    wait_for(&engine, |stats| stats.generated_tokens == 200);
    let drafted = engine.stats().drafted_tokens;
    request["speculation"] = false.into();
    assert_eq!(generate(&graph, &request).await.text, expected(&prompt, 200).0);
    wait_for(&engine, |stats| stats.generated_tokens == 400);
    assert_eq!((control.rows().len() - steps, engine.stats().drafted_tokens), (200, drafted));
}

#[tokio::test]
async fn a_slow_reader_loses_no_guessed_token() {
    let (_engine, graph, _) = toy::engine(EngineOptions { speculation: 6, ..options() });
    let prompt = format!("{}_slow", char::from(REPEATS));
    let mut slow = context(&graph);
    let first = start(&mut slow, &greedy(&prompt, 400)).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(finish(&mut slow, first).await.text, expected(&prompt, 400).0);
}

#[tokio::test]
async fn who_has_waited_too_long_is_refused_and_may_ask_again() {
    let max_wait = std::time::Duration::from_millis(50);
    let (engine, graph, control) = toy::engine(EngineOptions { sequences: 1, max_wait, ..options() });
    control.allow(1);
    let (mut running, mut waiting) = (context(&graph), context(&graph));
    let first = start(&mut running, &greedy("running", 20)).await.unwrap();
    let release = async {
        tokio::time::sleep(2 * max_wait).await;
        control.release();
    };
    let request = greedy("waiting", 3);
    let (error, ()) = futures::join!(start(&mut waiting, &request), release);
    let error = error.unwrap_err();
    assert_eq!(error.kind, ErrorKind::QueueFull);
    assert!(error.message.contains("waited 0.05 s"), "{}", error.message);
    assert_eq!(finish(&mut running, first).await.text, expected("running", 20).0, "who has begun goes on");
    let first = start(&mut waiting, &request).await.unwrap();
    assert_eq!(finish(&mut waiting, first).await.text, expected("waiting", 3).0);
    wait_for(&engine, |stats| stats.blocks_used == 0);
}
