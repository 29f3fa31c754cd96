//! What the server is told of answers, in fields that no client sees.

use serde_json::{Value, json};

use crate::world::{Answer, Step, World, failure, hello};

/// What is told in the head and behind the body, without the prefix.
fn told(answer: &Answer) -> Value {
    let fields = answer.headers.iter().chain(&answer.trailers);
    let told =
        fields.filter_map(|(name, value)| Some((name.as_str().strip_prefix("hearth-log-")?.to_owned(), json!(value.to_str().unwrap()))));
    Value::Object(told.collect())
}

fn all(route: &str, operation: &str, finish: &str) -> Value {
    json!({
        "route": route, "operation": operation, "model": "tiny", "finish": finish,
        "prompt-tokens": "7", "cached-tokens": "2", "completion-tokens": "3", "ttft-ms": "10.100"
    })
}

#[test]
fn every_endpoint_that_generates_tells_the_same_whole_or_streamed() {
    let messages = json!([{"role": "user", "content": "a secret"}]);
    for (path, operation, streams, body) in [
        ("/v1/chat/completions", "chat", false, json!({"messages": messages})),
        ("/v1/completions", "text_completion", false, json!({"prompt": "a secret"})),
        ("/v1/responses", "chat", false, json!({"input": "a secret"})),
        ("/v1/messages", "chat", false, json!({"messages": messages, "max_tokens": 5})),
        ("/api/chat", "chat", true, json!({"messages": messages})),
        ("/api/generate", "chat", true, json!({"prompt": "a secret"})),
    ] {
        for stream in [false, true] {
            let world = World::new([Step::Text("Hel"), Step::End("lo", "length")]);
            let mut body = body.clone();
            if stream != streams {
                body["stream"] = json!(stream);
            }
            let answer = world.post(path, &body);
            assert_eq!(answer.status, 200, "{path} {}", answer.text());
            assert_eq!(told(&answer), all(path, operation, "length"), "{path} {stream}");
            assert_eq!(answer.trailers.is_empty(), !stream, "what is known at once is in the head: {path}");
            assert!(!format!("{:?}", (&answer.headers, &answer.trailers)).contains("secret"));
        }
    }
}

#[test]
fn a_prompt_of_several_choices_counts_once_and_each_end_is_told() {
    let end = |reason| vec![Step::End("x", reason)];
    let world = World::several([end("stop"), end("length"), end("stop")]);
    let answer = told(&world.chat(&hello(json!({"n": 3}))));
    assert_eq!(
        (&answer["prompt-tokens"], &answer["completion-tokens"], &answer["finish"]),
        (&json!("7"), &json!("9"), &json!("stop,length"))
    );
    let world = World::several([end("stop"), end("stop"), end("stop"), end("stop")]);
    let answer = told(&world.post("/v1/completions", &json!({"prompt": ["a", "b"], "n": 2})));
    assert_eq!((&answer["prompt-tokens"], &answer["completion-tokens"]), (&json!("14"), &json!("12")), "two prompts");
}

#[test]
fn a_stream_that_fails_says_so() {
    let world = World::new([Step::Text("Hel"), Step::Fail(failure("internal", "broken"))]);
    let answer = world.chat(&hello(json!({"stream": true})));
    assert_eq!((&told(&answer)["finish"], &told(&answer)["model"]), (&json!("error"), &json!("tiny")));
}

#[test]
fn embeddings_tell_their_tokens() {
    let result = json!({"usage": {"prompt_tokens": 9}, "timings": {"queue_ms": 0.1, "compute_ms": 10.0}});
    for (path, body) in [
        ("/v1/embeddings", json!({"input": "a"})),
        ("/api/embed", json!({"model": "tiny", "input": "a"})),
        ("/api/embeddings", json!({"model": "tiny", "prompt": "a"})),
    ] {
        let world = World::new([Step::Say(json!({"embeddings": [[0.6, 0.8]], "result": result}))]);
        let answer = world.post(path, &body);
        assert_eq!(
            told(&answer),
            json!({"route": path, "operation": "embeddings", "model": "tiny", "prompt-tokens": "9"}),
            "{}",
            answer.text()
        );
    }
}

#[test]
fn every_path_has_a_pattern_and_what_is_not_there_none() {
    let world = World::obliging();
    for (path, route) in [
        ("/", "/"),
        ("/docs", "/docs"),
        ("/v1/models", "/v1/models"),
        ("/models", "/v1/models"),
        ("/v1/models/tiny", "/v1/models/{id}"),
        ("/health/ready", "/health"),
        ("/v1/chat/ws", "/v1/chat/ws"),
    ] {
        assert_eq!(told(&world.get(path)), json!({"route": route}), "{path}");
    }
    assert_eq!(told(&world.get("/v1/nothing/at/all")), json!({}));
}
