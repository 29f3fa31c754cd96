//! Which requests are taken and which are refused, and how a refusal reads.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use hearth_function::{
    openai::{MAX_STOPS, chat::ChatRequest},
    wire::json::MAX_DEPTH,
};
use http::{Request, StatusCode};
use http_body::{Frame, SizeHint};
use serde_json::{Value, json};

use crate::world::{Answer, Frames, Step, World, hello, wait};

/// Requests that are refused: what is added to a fine one, the parameter that is named, the code.
#[test]
fn a_wrong_parameter_is_named() {
    let cases = [
        (json!({"messages": null}), "messages", "missing_required_parameter"),
        (json!({"messages": []}), "messages", "invalid_value"),
        (json!({"messages": "Hi"}), "messages", "invalid_type"),
        (json!({"messages": ["Hi"]}), "messages[0]", "invalid_type"),
        (json!({"messages": [{"content": "Hi"}]}), "messages[0].role", "missing_required_parameter"),
        (json!({"messages": [{"role": 1, "content": "Hi"}]}), "messages[0].role", "invalid_type"),
        (json!({"messages": [{"role": "User", "content": "Hi"}]}), "messages[0].role", "invalid_value"),
        (json!({"messages": [{"role": "user"}]}), "messages[0].content", "missing_required_parameter"),
        (json!({"messages": [{"role": "user", "content": 1}]}), "messages[0].content", "invalid_type"),
        (json!({"messages": [{"role": "user", "content": []}]}), "messages[0].content", "invalid_value"),
        (json!({"messages": [{"role": "user", "content": ["Hi"]}]}), "messages[0].content[0]", "invalid_type"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]}),
            "messages[0].content[0].text",
            "missing_required_parameter",
        ),
        (json!({"messages": [{"role": "user", "content": [{"type": "text", "text": []}]}]}), "messages[0].content[0].text", "invalid_type"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}),
            "messages[0].content[0].type",
            "invalid_value",
        ),
        (
            json!({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "", "tool_calls": [{}]}]}),
            "messages[1].tool_calls[0].function",
            "missing_required_parameter",
        ),
        (json!({"model": 3}), "model", "invalid_type"),
        (json!({"max_tokens": 0}), "max_tokens", "invalid_value"),
        (json!({"max_tokens": -2}), "max_tokens", "invalid_value"),
        (json!({"max_tokens": 1.5}), "max_tokens", "invalid_type"),
        (json!({"max_tokens": "9"}), "max_tokens", "invalid_type"),
        (json!({"max_tokens": 1e300}), "max_tokens", "invalid_type"),
        (json!({"max_tokens": 1, "max_completion_tokens": 2}), "max_tokens", "invalid_value"),
        (json!({"max_completion_tokens": 4_294_967_296_u64}), "max_completion_tokens", "invalid_value"),
        (json!({"temperature": -0.1}), "temperature", "invalid_value"),
        (json!({"temperature": 2.1}), "temperature", "invalid_value"),
        (json!({"temperature": "hot"}), "temperature", "invalid_type"),
        (json!({"top_p": 1.01}), "top_p", "invalid_value"),
        (json!({"top_k": -2}), "top_k", "invalid_value"),
        (json!({"min_p": 2}), "min_p", "invalid_value"),
        (json!({"seed": 0.5}), "seed", "invalid_type"),
        (json!({"frequency_penalty": 2.5}), "frequency_penalty", "invalid_value"),
        (json!({"presence_penalty": -2.5}), "presence_penalty", "invalid_value"),
        (json!({"repeat_penalty": 0}), "repeat_penalty", "invalid_value"),
        (json!({"repeat_penalty": 1.1, "repetition_penalty": 1.2}), "repeat_penalty", "invalid_value"),
        (json!({"stop": 1}), "stop", "invalid_type"),
        (json!({"stop": ""}), "stop", "invalid_value"),
        (json!({"stop": ["a", 1]}), "stop[1]", "invalid_type"),
        (json!({"stop": vec!["a"; MAX_STOPS + 1]}), "stop", "invalid_value"),
        (json!({"stop": "a".repeat(257)}), "stop", "invalid_value"),
        (json!({"n": 9}), "n", "invalid_value"),
        (json!({"n": 0}), "n", "invalid_value"),
        (json!({"stream": "yes"}), "stream", "invalid_type"),
        (json!({"stream_options": {"include_usage": 1}}), "stream_options.include_usage", "invalid_type"),
        (json!({"stream_options": {"include": true}}), "stream_options.include", "unknown_parameter"),
        (json!({"top_logprobs": 2}), "top_logprobs", "invalid_value"),
        (json!({"logit_bias": {"50256": -101}}), "logit_bias.50256", "invalid_value"),
        (json!({"logit_bias": {"the": 1}}), "logit_bias", "invalid_value"),
        (json!({"modalities": ["text", "audio"]}), "modalities", "unsupported_parameter"),
        (json!({"chat_template_kwargs": []}), "chat_template_kwargs", "invalid_type"),
        (json!({"temprature": 0}), "temprature", "unknown_parameter"),
    ];
    for (more, param, code) in cases {
        let world = World::new([]);
        let answer = world.chat(&hello(more.clone()));
        assert_eq!(answer.status, 400, "{more}");
        assert_eq!(answer.error(), (json!(param), json!(code)), "{more}: {}", answer.text());
        assert!(answer.message().contains(param), "{more}: {}", answer.message());
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
        assert_eq!(world.log(), [], "{more}: the model was asked");
    }
}

#[test]
fn what_asks_for_nothing_is_taken() {
    let cases = [
        json!({"user": "u", "metadata": {"a": "b"}, "store": true, "service_tier": "auto", "safety_identifier": "s", "prompt_cache_key": "k"}),
        json!({"prompt_cache_retention": "in_memory", "prompt_cache_options": {"mode": "implicit", "ttl": "30m"}}),
        json!({"cache_prompt": true, "timings_per_token": true, "keep_alive": "5m", "reasoning_effort": "low", "verbosity": "low", "parallel_tool_calls": true}),
        json!({"tools": [], "tool_choice": "auto", "functions": [], "function_call": "none", "response_format": {"type": "text"}, "logprobs": false}),
        json!({"top_logprobs": 0, "logit_bias": {}, "modalities": ["text"], "n": 1, "best_of": 1, "stop": [], "stream_options": {}}),
        json!({"tools": null, "stop": null, "temperature": null, "no_such_field": null, "stream": null, "stream_options": null, "n": null}),
        json!({"max_tokens": 5, "max_completion_tokens": 5, "repeat_penalty": 1.1, "repetition_penalty": 1.1}),
        json!({"temperature": 2, "top_p": 0, "top_k": -1, "min_p": 1, "frequency_penalty": 2.0, "presence_penalty": -2.0, "n": 1.0}),
    ];
    for more in cases {
        let answer = World::new([Step::End("", "stop")]).chat(&hello(more.clone()));
        assert_eq!(answer.status, 200, "{more}: {}", answer.text());
    }
}

#[test]
fn limits_and_seeds_have_the_ranges_of_their_types() {
    let parse = |more: Value| ChatRequest::parse(hello(more).to_string().as_bytes()).unwrap();
    assert_eq!(parse(json!({"max_tokens": -1})).generate.max_tokens, None);
    assert_eq!(parse(json!({"max_tokens": u32::MAX})).generate.max_tokens, Some(u32::MAX));
    assert_eq!(parse(json!({"seed": u64::MAX})).generate.sampling.seed, Some(u64::MAX));
    assert_eq!(parse(json!({"seed": -2})).generate.sampling.seed, Some(u64::MAX - 1));
    assert_eq!(parse(json!({"seed": -1})).generate.sampling.seed, None);
}

#[test]
fn broken_json_is_refused_with_its_place() {
    let deep = |depth: usize| format!(r#"{{"messages":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let wide = format!("[{}0]", "0,".repeat(200_000));
    let cases = [
        (r#"{"messages": [}"#.to_owned(), "line 1 column 15"),
        ("{\n \"messages\": [],\n}".to_owned(), "line 3 column 1"),
        ("{} {}".to_owned(), "line 1 column 4"),
        (r#"{"model": "\ud800"}"#.to_owned(), "line 1 column"),
        (r#"{"temperature": 1e999}"#.to_owned(), "out of range"),
        (r#"{"temperature": NaN}"#.to_owned(), "line 1 column"),
        (r#"{"model": "a", "model": "b"}"#.to_owned(), "\"model\" appears twice"),
        (deep(MAX_DEPTH), "nested deeper than 64"),
        ("[".repeat(1_000_000), "nested deeper than 64"),
        (wide, "more than 100000 values"),
        (" \n".to_owned(), "empty"),
        ("[]".to_owned(), "an array"),
        ("null".to_owned(), "null"),
    ];
    for (body, says) in cases {
        let answer = World::new([]).chat_bytes(body.clone());
        assert_eq!((answer.status.as_u16(), answer.error()), (400, (Value::Null, Value::Null)));
        assert!(answer.message().contains(says), "{} does not say {says:?}", answer.message());
    }
    // One level less is only wrong for what it is.
    assert_eq!(World::new([]).chat_bytes(deep(MAX_DEPTH - 1)).error().0, "messages[0]");
}

#[test]
fn a_body_that_is_not_utf_8_is_refused_with_its_place() {
    let answer = World::new([]).chat_bytes(&b"{\"model\": \"\xff\"}"[..]);
    assert_eq!(answer.status, 400);
    assert!(answer.message().contains("offset 11"), "{}", answer.message());
}

#[test]
fn an_error_does_not_repeat_what_is_long() {
    let long = "x".repeat(100_000);
    for more in [json!({(long.as_str()): 1}), json!({"model": long}), json!({"messages": [{"role": long, "content": ""}]})] {
        let answer = World::new([]).chat(&hello(more));
        assert!(answer.status.is_client_error());
        assert!(answer.text().len() < 1000, "{}", answer.text().len());
    }
}

fn post(world: &World, body: Frames) -> Answer {
    let request = Request::post("/v1/chat/completions").header("content-type", "text/plain").body(body).unwrap();
    Answer::of(wait(hearth_function::handle(world.clone(), request)))
}

/// A fine request of exactly `length` bytes.
fn padded(length: usize) -> Bytes {
    let mut text = hello(json!({})).to_string();
    text.push_str(&" ".repeat(length - text.len()));
    text.into()
}

#[test]
fn a_body_over_the_limit_is_refused_however_it_comes() {
    const LIMIT: usize = 4 << 20;
    let fine = World::new([Step::End("", "stop")]);
    assert_eq!(post(&fine, Frames::whole(padded(LIMIT))).status, 200);
    let pieces = padded(LIMIT + 1).chunks(65_536).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let mut bodies = vec![Frames::whole(padded(LIMIT + 1)), Frames { frames: pieces, hint: SizeHint::default() }];
    // One that announces its length is not kept: that it breaks off is no matter.
    bodies.push(Frames { frames: VecDeque::from([Err("read")]), hint: SizeHint::with_exact(LIMIT as u64 + 1) });
    for body in bodies {
        let answer = post(&World::new([]), body);
        assert_eq!((answer.status, answer.error().1), (StatusCode::PAYLOAD_TOO_LARGE, json!("request_too_large")));
        assert!(answer.message().contains("4194304"));
    }
    let answer = post(&World::new([]).setting("max_body_bytes", "100"), Frames::whole(padded(101)));
    assert_eq!(answer.status, 413);
}

/// Pieces of a mebibyte, of which it counts those that were taken.
struct Counted {
    left: usize,
    announced: u64,
    taken: Arc<AtomicUsize>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
        self.left = left;
        self.taken.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 1 << 20])))))
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::default();
        hint.set_lower(self.announced);
        hint
    }
}

/// A client that still sends when the connection closes may never read the answer.
#[test]
fn what_is_too_long_is_read_to_its_end_within_reason() {
    for (announced, pieces, read) in [(12 << 20, 12, 12), (0, 12, 12), (0, 1000, 70), (1 << 40, 1000, 0)] {
        let taken = Arc::new(AtomicUsize::new(0));
        let body = Counted { left: pieces, announced, taken: Arc::clone(&taken) };
        let request = Request::post("/v1/chat/completions").body(body).unwrap();
        let answer = wait(hearth_function::handle(World::new([]), request));
        assert_eq!(answer.status(), 413);
        assert_eq!(taken.load(Ordering::Relaxed), read, "of {pieces}");
    }
}

#[test]
fn a_compressed_body_is_refused_by_its_name() {
    let answer = World::new([]).chat_bytes(&b"\x1f\x8b\x08\0\0"[..]);
    assert_eq!(answer.status, 400);
    assert!(answer.message().contains("compressed"));
}

#[test]
fn a_body_that_breaks_off_is_refused() {
    let frames = VecDeque::from([Ok(Bytes::from_static(b"{\"messages\"")), Err("reset")]);
    let answer = post(&World::new([]), Frames { frames, hint: SizeHint::default() });
    assert_eq!(answer.status, 400);
    assert!(answer.message().contains("broke off"));
}
