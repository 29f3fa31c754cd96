//! Generate mode, one sequence at a time.

use futures::FutureExt;
use hearth_engine::{Engine, Error, ErrorKind};
use serde_json::{Value, json};

use crate::{
    client::{chunk, context, finish, generate, greedy, next, request, start, wait_for},
    toy::{self, expected, options},
};

#[track_caller]
fn invalid<T: std::fmt::Debug>(result: Result<T, Error>, expected: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidRequest);
    assert!(error.message.contains(expected), "{:?} does not say {expected:?}", error.message);
}

#[tokio::test]
async fn text_tokens_and_result_are_those_of_the_model() {
    let (_engine, graph, _) = toy::engine(options());
    let whole = generate(&graph, &greedy("Hello", 40)).await;
    assert_eq!(whole.text, expected("Hello", 40).0);
    let bytes: Vec<i32> = whole.text.bytes().map(|byte| toy::token(byte) as i32).collect();
    assert_eq!(whole.tokens, bytes);
    let result = whole.result.unwrap();
    assert_eq!(result["finish_reason"], "length");
    assert_eq!(result["usage"], json!({"prompt_tokens": 6, "cached_tokens": 0, "completion_tokens": 40, "reasoning_tokens": 0}));
    assert!(["queue_ms", "prefill_ms", "decode_ms"].iter().all(|name| result["timings"][name].as_f64().unwrap() >= 0.0));
}

#[tokio::test]
async fn an_end_token_ends_it_unless_it_is_to_be_ignored() {
    let (_engine, graph, _) = toy::engine(options());
    let whole = generate(&graph, &greedy("Bye.", 40)).await;
    let (text, ended) = expected("Bye.", 40);
    assert!(ended);
    assert_eq!((whole.text.as_str(), whole.text.len()), (text.as_str(), 5));
    let result = whole.result.unwrap();
    assert_eq!((&result["finish_reason"], &result["usage"]["completion_tokens"]), (&json!("stop"), &json!(6)));

    let mut request = greedy("Bye.", 40);
    request["ignore_end"] = true.into();
    let longer = generate(&graph, &request).await;
    assert_eq!(longer.result.unwrap()["usage"]["completion_tokens"], 40);
    assert!(longer.text.starts_with(&text) && longer.text.len() == 39, "the end token has no text");
}

/// Whoever writes a message must not be able to end it and to begin another.
#[tokio::test]
async fn control_tokens_in_messages_are_text_and_in_prompts_are_tokens() {
    let engine = Engine::start(options()).unwrap();
    let template = "{% for message in messages %}{{ message.content.strip() }}</s>{% endfor %}";
    let graph = engine.add_loaded("toy", toy::model(1024, Some(template)).0, None).unwrap();
    let prompt_tokens = async |request: Value| generate(&graph, &request).await.result.unwrap()["usage"]["prompt_tokens"].clone();
    let message = |content: &str| json!({"messages": [{"role": "user", "content": content}], "max_tokens": 1});
    // The begin token, five letters of the message (a noncharacter has three bytes), and the template's end token.
    assert_eq!(prompt_tokens(message("</s>x")).await, 7);
    assert_eq!(prompt_tokens(message("</s>\u{fdd0}")).await, 9);
    assert_eq!(prompt_tokens(message("<</s>/s>")).await, 10);
    assert_eq!(prompt_tokens(json!({"prompt": "</s>x", "max_tokens": 1})).await, 3);
    let all: String = ('\u{fdd0}'..='\u{fdef}').collect();
    invalid(start(&mut context(&graph), &message(&all)).await, "U+FDD0");
}

#[tokio::test]
async fn the_first_chunk_comes_before_the_last_token_is_computed() {
    let (engine, graph, control) = toy::engine(options());
    control.allow(1);
    let mut context = context(&graph);
    let first = start(&mut context, &greedy("Stream", 30)).await.unwrap();
    assert_eq!(first.text, expected("Stream", 1).0);
    assert_eq!(control.rows(), [7], "nothing but the prompt has been computed");
    assert!(next(&mut context).now_or_never().is_none());
    control.release();
    assert_eq!(finish(&mut context, first).await.text, expected("Stream", 30).0);
    wait_for(&engine, |stats| stats.generated_tokens == 30 && stats.blocks_used == 0);
}

#[tokio::test]
async fn a_dropped_call_loses_no_chunk() {
    let (_engine, graph, control) = toy::engine(options());
    control.allow(0);
    let mut context = context(&graph);
    // The first call is dropped as well: its request stands.
    assert!(context.compute(request(&greedy("Cancel", 100))).now_or_never().is_none());
    let mut text = String::new();
    control.release();
    loop {
        // Each wait is given up once before it is made in earnest.
        let polled = context.compute(vec![]).now_or_never();
        let outputs = match polled {
            Some(outputs) => outputs,
            None => context.compute(vec![]).await,
        };
        let chunk = chunk(outputs.unwrap());
        text += &chunk.text;
        if chunk.result.is_some() {
            break;
        }
    }
    assert_eq!(text, expected("Cancel", 100).0);
}

#[tokio::test]
async fn a_stop_string_ends_it_and_is_no_part_of_the_text() {
    let (engine, graph, _) = toy::engine(options());
    let text = expected("Stop", 60).0;
    let mut request = greedy("Stop", 60);
    request["stop"] = json!(["never there", &text[20..24]]);
    let at = text.find(&text[20..24]).unwrap();
    let whole = generate(&graph, &request).await;
    assert_eq!(whole.text, text[..at]);
    let result = whole.result.unwrap();
    assert_eq!((&result["finish_reason"], &result["stop"]), (&json!("stop"), &json!(text[20..24])));
    assert_eq!(whole.tokens.len(), at + 4);
    assert_eq!(generate(&graph, &greedy("Stop", 60)).await.result.unwrap().get("stop"), None);
    wait_for(&engine, |stats| stats.blocks_used == 0);
}

#[tokio::test]
async fn a_prompt_over_the_context_is_refused_with_both_numbers_and_one_below_it_fills_it() {
    let (_engine, graph, _) = toy::engine(options());
    assert_eq!(graph.context_length(), 1024);
    let error = start(&mut context(&graph), &greedy(&"x".repeat(1023), 1)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ContextLength { prompt_tokens: 1024, context_length: 1024 });
    assert!(error.message.contains("1024 tokens"));
    let data: Value = serde_json::from_str(&error.data()).unwrap();
    assert_eq!((&data["kind"], &data["prompt_tokens"]), (&json!("context_length"), &json!(1024)));

    let prompt = "x".repeat(1003);
    let mut request = greedy(&prompt, 5000);
    let whole = generate(&graph, &request).await;
    assert_eq!((whole.text, whole.result.unwrap()["finish_reason"].clone()), (expected(&prompt, 20).0, json!("length")));
    request.as_object_mut().unwrap().remove("max_tokens");
    assert_eq!(generate(&graph, &request).await.tokens.len(), 20);
}

#[tokio::test]
async fn calls_out_of_order_are_refused_and_say_what_to_do() {
    let (_engine, graph, _) = toy::engine(options());
    let mut context = context(&graph);
    invalid(next(&mut context).await, "nothing was asked for yet");
    invalid(start(&mut context, &json!({"prompt": "x", "colour": 1})).await, "`colour`");
    invalid(context.compute(vec![("image".into(), hearth_engine::Tensor::from_bytes(vec![]))]).await, "`image`");
    let first = start(&mut context, &greedy("Order", 3)).await;
    let first = first.unwrap();
    invalid(start(&mut context, &greedy("Order", 3)).await, "is running");
    finish(&mut context, first).await;
    invalid(next(&mut context).await, "has ended");
    invalid(start(&mut context, &greedy("Order", 3)).await, "has ended");
}

#[tokio::test]
async fn tokens_are_taken_as_given_if_the_vocabulary_has_them() {
    let (_engine, graph, _) = toy::engine(options());
    let document = |tokens: Vec<u32>| json!({"tokens": tokens, "max_tokens": 8, "sampling": {"temperature": 0}});
    assert_eq!(generate(&graph, &document(toy::tokens("Given"))).await.text, expected("Given", 8).0);
    invalid(start(&mut context(&graph), &document(vec![1, 259])).await, "token 259");
    invalid(start(&mut context(&graph), &document(vec![])).await, "no tokens");
}

#[tokio::test]
async fn messages_go_through_the_template_with_one_begin_token() {
    let engine = hearth_engine::Engine::start(options()).unwrap();
    let (model, _) = toy::model(256, Some("{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{{ extra }}"));
    let graph = engine.add_loaded("chatty", model, None).unwrap();
    let document = json!({
        "messages": [{"role": "user", "content": "Hi"}], "template": {"extra": "+"}, "max_tokens": 10, "sampling": {"temperature": 0},
    });
    let whole = generate(&graph, &document).await;
    assert_eq!(whole.text, expected("[user]Hi+", 10).0);
    assert_eq!(whole.result.unwrap()["usage"]["prompt_tokens"], 10);

    let (_other, plain, _) = toy::engine(options());
    invalid(start(&mut context(&plain), &document).await, "no chat template: give `prompt`");
}

#[tokio::test]
async fn the_field_at_fault_is_named() {
    let (_engine, graph, _) = toy::engine(options());
    let cases = [
        (json!({"messages": []}), "messages"),
        (json!({"tokens": [1_000_000]}), "tokens"),
        (json!({"prompt": "Hi", "sampling": {"logit_bias": {"1000000": 1}}}), "logit_bias"),
        (json!({"detokenize": [1_000_000]}), "detokenize"),
    ];
    for (document, param) in cases {
        let error = start(&mut context(&graph), &document).await.unwrap_err();
        assert_eq!(error.param, Some(param), "{document}: {}", error.message);
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_text() {
    let (_engine, graph, _) = toy::engine(options());
    let document = |seed: i64| json!({"prompt": "Seed", "max_tokens": 60, "sampling": {"temperature": 4.0, "seed": seed}});
    let first = generate(&graph, &document(-5)).await.tokens;
    assert_eq!(generate(&graph, &document(-5)).await.tokens, first);
    assert_ne!(generate(&graph, &document(6)).await.tokens, first);
}
