//! Tensor mode.

use futures::{FutureExt, future::join_all};
use hearth_engine::{EngineOptions, ErrorKind, Tensor, TensorType};

use crate::{
    client::{context, generate, greedy, input_ids, logits, next, start, wait_for},
    toy::{self, expected, kv_bytes, logits_after, options},
};

#[tokio::test]
async fn each_call_extends_the_sequence_and_returns_the_logits_after_its_last_token() {
    let (engine, graph, _) = toy::engine(options());
    let mut context = context(&graph);
    let all = toy::tokens("in tensor mode, a little at a time");
    let mut given = 0;
    for count in [1, 4, 20, 1, 9] {
        let row = logits(&mut context, &all[given..given + count]).await.unwrap();
        given += count;
        assert_eq!(row, logits_after(&all[..given]));
        // The blocks are kept between calls, and nothing is computed twice.
        wait_for(&engine, |stats| stats.blocks_used == given.div_ceil(16) && stats.prompt_tokens == given as u64);
    }
    drop(context);
    wait_for(&engine, |stats| stats.blocks_used == 0);
}

#[tokio::test]
async fn idle_contexts_give_their_blocks_to_those_that_need_them_and_know_all_still() {
    let (_engine, graph, _) = toy::engine(EngineOptions { kv_bytes: kv_bytes(64), ..options() });
    let histories: Vec<Vec<u32>> = (0..6).map(|number| toy::tokens(&format!("{number}{}", "long ".repeat(60)))).collect();
    let mut contexts: Vec<_> = histories.iter().map(|_| context(&graph)).collect();
    let calls = contexts.iter_mut().zip(&histories).map(|(context, history)| async move {
        assert_eq!(logits(context, history).await.unwrap(), logits_after(history));
    });
    join_all(calls).await;
    assert_eq!(generate(&graph, &greedy("other", 500)).await.text, expected("other", 500).0);
    for (context, history) in contexts.iter_mut().zip(histories) {
        let longer = [&history[..], &[50]].concat();
        assert_eq!(logits(context, &[50]).await.unwrap(), logits_after(&longer));
    }
}

#[tokio::test]
async fn a_dropped_call_still_counts() {
    let (_engine, graph, control) = toy::engine(options());
    control.allow(0);
    let mut context = context(&graph);
    let all = toy::tokens("dropped");
    assert!(logits(&mut context, &all[..3]).now_or_never().is_none());
    assert!(logits(&mut context, &all[3..5]).now_or_never().is_none());
    control.release();
    assert_eq!(logits(&mut context, &all[5..]).await.unwrap(), logits_after(&all));
}

#[tokio::test]
async fn what_is_not_a_call_in_tensor_mode_is_refused() {
    let (_engine, graph, _) = toy::engine(options());
    let mut tensor = context(&graph);
    let refused = |error: hearth_engine::Error, expected: &str| {
        assert_eq!(error.kind, ErrorKind::InvalidRequest);
        assert!(error.message.contains(expected), "{}", error.message);
    };
    refused(logits(&mut tensor, &[]).await.unwrap_err(), "at least one");
    refused(logits(&mut tensor, &[259]).await.unwrap_err(), "token 259");
    refused(logits(&mut tensor, &[u32::MAX]).await.unwrap_err(), "token -1");
    let floats = Tensor { ty: TensorType::Fp32, ..Tensor::from_i32(&[1]) };
    refused(tensor.compute(vec![("input_ids".into(), floats)]).await.unwrap_err(), "Fp32");
    let two = [input_ids(&[1]), input_ids(&[2])].concat();
    refused(tensor.compute(two).await.unwrap_err(), "2 inputs");

    logits(&mut tensor, &[1, 2]).await.unwrap();
    refused(start(&mut tensor, &greedy("x", 1)).await.unwrap_err(), "tensor mode");
    refused(next(&mut tensor).await.unwrap_err(), "tensor mode");
    let mut generating = context(&graph);
    start(&mut generating, &greedy("x", 100)).await.unwrap();
    refused(logits(&mut generating, &[1]).await.unwrap_err(), "generates");
}

#[tokio::test]
async fn a_sequence_may_fill_the_context_and_no_more() {
    let (_engine, graph, _) = toy::engine(options());
    let mut context = context(&graph);
    logits(&mut context, &[7; 1000]).await.unwrap();
    let error = logits(&mut context, &[7; 25]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ContextLength { prompt_tokens: 1025, context_length: 1024 });
    assert_eq!(logits(&mut context, &[7; 24]).await.unwrap(), logits_after(&[7; 1024]));
}
