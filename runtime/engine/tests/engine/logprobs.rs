//! Log-probabilities of tokens and of prompts, against log-softmax of what the network says.

use futures::future::join_all;
use hearth_engine::{EngineOptions, ErrorKind};
use serde_json::{Value, json};

use crate::{
    client::{context, generate, greedy, start, wait_for},
    toy::{self, END, VOCABULARY, kv_bytes, logits_after, options, tokens},
};

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f32::MIN, f32::max);
    let total: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
    logits.iter().map(|logit| f64::from(logit - highest) - total.ln()).collect()
}

/// That an element is of the token after `history`, with its `top` likeliest neighbours.
#[track_caller]
fn check(told: &Value, history: &[u32], token: u32, top: usize) {
    let want = log_softmax(&logits_after(history));
    let near = |told: &Value, token: u32| {
        assert_eq!(told["id"], token);
        let (got, want) = (told["logprob"].as_f64().unwrap(), want[token as usize]);
        assert!((got - want).abs() < 1e-4, "token {token}: {got} in place of {want}");
    };
    near(told, token);
    let mut order: Vec<u32> = (0..VOCABULARY as u32).collect();
    order.sort_by(|a, b| want[*b as usize].total_cmp(&want[*a as usize]).then(a.cmp(b)));
    let likeliest = told["top"].as_array().unwrap();
    assert_eq!(likeliest.len(), top);
    likeliest.iter().zip(order).for_each(|(told, token)| near(told, token));
}

#[tokio::test]
async fn each_token_has_its_own_of_the_models_distribution() {
    let (_engine, graph, _) = toy::engine(options());
    // Whatever the request does to the logits: a grammar, a bias, a temperature, filters.
    let sampling = json!({"temperature": 3.0, "seed": 5, "top_k": 4, "repeat_penalty": 2.0, "logit_bias": {"100": 30}});
    let grammar = json!({"regex": "[a-z]{3,}[0-9]{5}"});
    for (top, sampling, grammar) in [(0, json!({"temperature": 0}), None), (20, sampling.clone(), None), (3, sampling, Some(grammar))] {
        let mut document =
            json!({"prompt": "Odds.", "max_tokens": 30, "ignore_end": true, "logprobs": top, "sampling": sampling, "stop": ["zz"]});
        document.as_object_mut().unwrap().extend(grammar.map(|grammar| ("grammar".to_owned(), grammar)));
        let whole = generate(&graph, &document).await;
        assert!(whole.tokens.len() >= 8 && whole.logprobs.len() == whole.tokens.len());
        let mut history = tokens("Odds.");
        for (told, token) in whole.logprobs.iter().zip(&whole.tokens) {
            check(told, &history, *token as u32, top);
            history.push(*token as u32);
            let text = if *token as u32 == END { "</s>".to_owned() } else { char::from((*token - 3) as u8).to_string() };
            assert_eq!((&told["token"], &told["bytes"]), (&json!(text), &json!(text.as_bytes())));
        }
    }
}

/// Tokens are held back while their text may be a stop string or half a character: each chunk has as many elements as tokens.
#[tokio::test]
async fn a_chunk_has_an_element_for_each_of_its_tokens() {
    let (_engine, graph, _) = toy::engine(options());
    let lark = json!({"lark": "start: \"aé\" \"ab\" \"🦙b\" \"abc\" \"x\""});
    let document =
        json!({"prompt": "Held", "max_tokens": 60, "logprobs": 1, "grammar": lark, "stop": ["abc", "ébx"], "sampling": {"temperature": 0}});
    let mut context = context(&graph);
    let (mut chunk, mut text, mut sizes) = (start(&mut context, &document).await.unwrap(), String::new(), Vec::new());
    loop {
        assert_eq!(chunk.logprobs.len(), chunk.tokens.len());
        let ids: Vec<i64> = chunk.logprobs.iter().map(|told| told["id"].as_i64().unwrap()).collect();
        assert_eq!(ids, chunk.tokens.iter().map(|token| i64::from(*token)).collect::<Vec<_>>());
        sizes.push(chunk.tokens.len());
        text += &chunk.text;
        if let Some(result) = chunk.result {
            assert_eq!((&result["finish_reason"], &result["stop"]), (&json!("stop"), &json!("abc")));
            break;
        }
        chunk = crate::client::next(&mut context).await.unwrap();
    }
    assert_eq!(text, "aéab🦙b");
    assert!(sizes.iter().max() > Some(&2) && sizes.iter().sum::<usize>() == 13, "{sizes:?}");
}

#[tokio::test]
async fn a_prompt_has_one_for_each_token_whatever_the_cache_knows() {
    let (engine, graph, control) = toy::engine(options());
    let prompt = "prompt_whose_rows_are_all_wanted".repeat(5);
    let history = tokens(&prompt);
    let mut document = greedy(&prompt, 4);
    generate(&graph, &document).await;
    document["prompt_logprobs"] = 2.into();
    let before = control.rows().len();
    let whole = generate(&graph, &document).await;
    let told = whole.prompt_logprobs.unwrap();
    assert_eq!(told.len(), history.len());
    assert_eq!(told[0], json!({"id": 1, "token": "<s>", "bytes": b"<s>", "logprob": null}));
    for at in 1..history.len() {
        check(&told[at], &history[..at], history[at], 2);
    }
    assert_eq!((whole.text, whole.logprobs.len()), (toy::expected(&prompt, 4).0, 0));
    assert_eq!(whole.result.unwrap()["usage"]["cached_tokens"], 0);
    let rows = &control.rows()[before..];
    assert!(rows.iter().sum::<usize>() == history.len() + 3 && rows.iter().all(|rows| *rows <= 32), "{rows:?}");

    // Nothing but the prompt; its blocks are known from then on.
    document["max_tokens"] = 0.into();
    let none = generate(&graph, &document).await;
    assert_eq!((none.text.as_str(), none.tokens.len(), none.prompt_logprobs), ("", 0, Some(told)));
    let result = none.result.unwrap();
    assert_eq!((&result["finish_reason"], &result["usage"]["completion_tokens"]), (&json!("length"), &json!(0)));
    assert!(generate(&graph, &greedy(&prompt, 1)).await.result.unwrap()["usage"]["cached_tokens"].as_u64() > Some(0));
    let one = generate(&graph, &json!({"tokens": [7], "max_tokens": 0, "prompt_logprobs": 5})).await;
    assert_eq!(one.prompt_logprobs.unwrap().len(), 1);
    wait_for(&engine, |stats| stats.blocks_used == 0 && stats.generated_tokens == 4 + 4 + 1);
    // A prompt that fills the context leaves no room for a token, but none is asked for.
    let full = json!({"tokens": vec![7; 1024], "max_tokens": 0, "prompt_logprobs": 0});
    assert_eq!(generate(&graph, &full).await.prompt_logprobs.unwrap().len(), 1024);
}

/// Long prompts whose blocks are taken away in their midst.
#[tokio::test]
async fn a_prompts_are_told_once_where_blocks_are_short() {
    let (engine, graph, _) = toy::engine(EngineOptions { kv_bytes: kv_bytes(70), ..options() });
    let document = |number: usize| json!({"prompt": format!("{number}{}", "long".repeat(60)), "max_tokens": 150, "prompt_logprobs": 1, "logprobs": 1, "ignore_end": true, "sampling": {"temperature": 0}});
    let together = join_all((0..6).map(|number| {
        let graph = &graph;
        async move { generate(graph, &document(number)).await }
    }))
    .await;
    for (number, whole) in together.into_iter().enumerate() {
        let mut history = tokens(&format!("{number}{}", "long".repeat(60)));
        let told = whole.prompt_logprobs.unwrap();
        assert_eq!((told.len(), whole.logprobs.len()), (history.len(), 150));
        (1..history.len()).for_each(|at| check(&told[at], &history[..at], history[at], 1));
        for (told, token) in whole.logprobs.iter().zip(&whole.tokens) {
            check(told, &history, *token as u32, 1);
            history.push(*token as u32);
        }
    }
    wait_for(&engine, |stats| stats.blocks_used == 0);
    let computed = engine.stats().prompt_tokens;
    assert!(computed > 6 * 242, "some prompt was computed twice: {computed}");
}

#[tokio::test]
async fn rows_that_are_not_numbers_fail_and_more_than_is_kept_is_refused() {
    let (_engine, graph, _) = toy::engine(options());
    let strange = format!("what{}", char::from(toy::NOT_A_NUMBER));
    let error = start(&mut context(&graph), &json!({"prompt": strange, "max_tokens": 0, "prompt_logprobs": 1})).await;
    // The last row says nothing of the prompt.
    assert!(error.is_ok());
    let error =
        start(&mut context(&graph), &json!({"prompt": format!("{strange}x"), "max_tokens": 0, "prompt_logprobs": 1})).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Internal);
    let engine = hearth_engine::Engine::start(EngineOptions { kv_bytes: kv_bytes(4096), ..options() }).unwrap();
    let graph = engine.add_loaded("long", toy::model(20_000, None).0, None).unwrap();
    let document = json!({"tokens": vec![9; 15_000], "max_tokens": 0, "prompt_logprobs": 20});
    let error = start(&mut context(&graph), &document).await.unwrap_err();
    assert!(error.kind == ErrorKind::InvalidRequest && error.message.contains("315000 log-probabilities"), "{error}");
}
