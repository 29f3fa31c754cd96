//! Texts held to a grammar, and tokens held back or forth by a bias.

use futures::future::join_all;
use hearth_engine::{EngineOptions, ErrorKind};
use serde_json::{Value, json};

use crate::{
    client::{context, finish, generate, greedy, next, request, start, wait_for},
    toy::{self, REPEATS, expected, kv_bytes, options, token},
};

fn held(prompt: &str, grammar: &Value, seed: u64) -> Value {
    json!({"prompt": prompt, "max_tokens": 200, "grammar": grammar, "sampling": {"temperature": 4.0, "seed": seed}})
}

#[tokio::test]
async fn a_text_follows_its_grammar_and_ends_with_it() {
    let (engine, graph, control) = toy::engine(options());
    let mut document = greedy("Hold", 100);
    document["grammar"] = json!({"regex": "[0-9]{4}[a-z]{3}!"});
    let whole = generate(&graph, &document).await;
    let (letters, rest) = whole.text[4..].split_at(3);
    assert!(whole.text[..4] == *"0000" && letters.bytes().all(|letter| letter.is_ascii_lowercase()) && rest == "!", "{}", whole.text);
    let result = whole.result.unwrap();
    assert_eq!(
        (&result["finish_reason"], &result["usage"]["completion_tokens"]),
        (&json!("stop"), &json!(8)),
        "no step is spent on the end token"
    );
    assert_eq!(control.rows().len(), 8);
    // An end that may come, but need not, is the model's choice.
    document["grammar"] = json!({"regex": "(a|b)*"});
    let open = generate(&graph, &document).await;
    assert_eq!((open.tokens.len(), open.result.unwrap()["finish_reason"].clone()), (100, json!("length")));
    document["ignore_end"] = true.into();
    document["grammar"] = json!({"regex": "a{5}"});
    assert_eq!(generate(&graph, &document).await.text, "aaaaa", "a grammar's end is an end");
    wait_for(&engine, |stats| stats.blocks_used == 0);
}

#[tokio::test]
async fn filters_and_penalties_never_leave_the_grammar() {
    let (_engine, graph, _) = toy::engine(options());
    for (number, filter) in [
        json!({"top_k": 1}),
        json!({"top_k": 3, "top_p": 0.5}),
        json!({"min_p": 0.9}),
        json!({"repeat_penalty": 9.0}),
        json!({"logit_bias": {"13": 100}}),
    ]
    .iter()
    .enumerate()
    {
        for seed in 0..10 {
            let mut document = held("Filter", &json!({"regex": "([0-9]{3}-[A-Z]{2};){4}"}), seed);
            document["sampling"].as_object_mut().unwrap().extend(filter.as_object().unwrap().clone());
            let text = generate(&graph, &document).await.text;
            let parts: Vec<&str> = text.split_terminator(';').collect();
            let good = |part: &&str| {
                part.len() == 6 && part[..3].parse::<u16>().is_ok() && part[4..].bytes().all(|letter| letter.is_ascii_uppercase())
            };
            assert!(parts.len() == 4 && parts.iter().all(good), "{text} with filter {number}");
        }
    }
}

/// Constrained sequences among others, with shared beginnings, blocks taken away and guesses for those that have no grammar.
#[tokio::test]
async fn a_constrained_text_is_the_same_in_any_company() {
    let grammars = [
        json!({"regex": "([a-z]{3}-){2,30}"}),
        json!({"lark": "start: (WORD \".\")+\nWORD: /[a-m]{2,9}/"}),
        json!({"json_schema": {"type": "array", "items": {"enum": ["one", "two", 3]}, "minItems": 3, "maxItems": 20}}),
    ];
    let documents: Vec<Value> = (0..24)
        .map(|number| {
            let prompt =
                format!("{}{}{number}", "group".repeat(4 + number % 3 * 8), if number % 2 == 0 { char::from(REPEATS) } else { '_' });
            match number % 4 {
                3 => json!({"prompt": prompt, "max_tokens": 90, "ignore_end": true, "sampling": {"temperature": 0}}),
                kind => held(&prompt, &grammars[kind], number as u64),
            }
        })
        .collect();
    let plain = EngineOptions { sequences: 24, prefix_cache: false, ..options() };
    let (_engine, graph, _) = toy::engine(plain.clone());
    let mut alone = Vec::new();
    for document in &documents {
        alone.push(generate(&graph, document).await.tokens);
    }
    for (speculation, blocks) in [(0, 512), (5, 512), (0, 64)] {
        let (engine, graph, _) =
            toy::engine(EngineOptions { prefix_cache: true, speculation, kv_bytes: kv_bytes(blocks), ..plain.clone() });
        let together = join_all(documents.iter().map(|document| generate(&graph, document))).await;
        for (number, (whole, alone)) in together.iter().zip(&alone).enumerate() {
            assert_eq!(whole.tokens, *alone, "text {number} with {speculation} guesses and {blocks} blocks");
        }
        wait_for(&engine, |stats| stats.blocks_used == 0 && stats.running == 0);
        assert_eq!(engine.stats().drafted_tokens > 0, speculation > 0);
    }
}

#[tokio::test]
async fn what_cannot_be_honoured_is_refused_at_the_first_call() {
    let (engine, graph, control) = toy::engine(options());
    let cases = [
        (json!({"json_schema": {"type": "object", "if": {}}}), "`if` at #"),
        (json!({"json_schema": {"type": "string", "minLength": 2, "maxLength": 1}}), "nsatisfiable"),
        (json!({"regex": "a{2"}), "grammar.regex"),
        (json!({"regex": "[^\\s\\S]"}), "no text"),
        (json!({"lark": "start: a"}), "grammar.lark"),
    ];
    for (grammar, says) in cases {
        let mut context = context(&graph);
        let error = start(&mut context, &held("Refuse", &grammar, 1)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidRequest, "{error}");
        assert!(error.message.contains(says), "{:?} does not say {says:?}", error.message);
        // The context is as it was.
        let first = start(&mut context, &greedy("Refuse", 5)).await.unwrap();
        assert_eq!(finish(&mut context, first).await.text, expected("Refuse", 5).0);
    }
    assert_eq!(control.rows().len(), 25);
    wait_for(&engine, |stats| stats.blocks_used == 0);
}

#[tokio::test]
async fn a_call_that_is_dropped_while_the_grammar_is_compiled_loses_nothing() {
    use futures::FutureExt;
    let (_engine, graph, _) = toy::engine(options());
    let document = held("Drop", &json!({"regex": "[a-z]{9}"}), 3);
    let mut context = context(&graph);
    assert!(context.compute(request(&document)).now_or_never().is_none());
    assert!(context.compute(request(&document)).await.unwrap_err().message.contains("is running"));
    let first = next(&mut context).await.unwrap();
    let whole = finish(&mut context, first).await;
    assert_eq!((whole.text.len(), whole.text), (9, generate(&graph, &document).await.text));
}

#[tokio::test]
async fn a_bias_forces_and_forbids_tokens() {
    let (_engine, graph, _) = toy::engine(options());
    let mut document = greedy("Bias", 40);
    let plain = generate(&graph, &document).await;
    let first = plain.tokens[0].to_string();
    document["sampling"]["logit_bias"] = json!({first.clone(): -100});
    assert!(!generate(&graph, &document).await.tokens.contains(&plain.tokens[0]));
    document["sampling"]["logit_bias"] = json!({first: 100});
    assert_eq!(generate(&graph, &document).await.tokens, vec![plain.tokens[0]; 40]);
    document["sampling"] = json!({"temperature": 1.0, "logit_bias": {token(b'q').to_string(): 100}});
    assert_eq!(generate(&graph, &document).await.text, "q".repeat(40));
    document["sampling"]["logit_bias"] = json!({"259": 1});
    let error = start(&mut context(&graph), &document).await.unwrap_err();
    assert!(error.kind == ErrorKind::InvalidRequest && error.message.contains("`sampling.logit_bias`: token 259"), "{error}");
}
