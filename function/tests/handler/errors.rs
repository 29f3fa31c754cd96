//! What a failure of the model's host becomes in HTTP.

use serde_json::json;

use crate::world::{Step, World, failure, hello};

/// The table of the contract itself, so that a kind that is added there and not here fails this test.
fn contract() -> Vec<(String, u16, bool)> {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wasi-nn.md")).unwrap();
    let lines = document.lines().skip_while(|line| !line.starts_with("| kind |")).skip(2).take_while(|line| line.starts_with('|'));
    let kinds = lines.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        (cells[0].trim_matches('`').to_owned(), cells[2][..3].parse().unwrap(), cells[2].contains("Retry-After"))
    });
    kinds.collect()
}

#[test]
fn every_kind_of_the_contract_has_its_status() {
    let kinds = contract();
    assert!(kinds.len() >= 12, "{kinds:?}");
    for (kind, status, retry) in kinds {
        let data = failure(&kind, "The reason.");
        let worlds = [
            World::new([]).load_error("tiny", data.clone()),
            World::new([]).open_error(data.clone()),
            World::new([Step::Fail(data.clone())]),
            World::new([Step::Text(""), Step::Fail(data)]),
        ];
        for (place, world) in worlds.into_iter().enumerate() {
            let answer = world.chat(&hello(json!({})));
            assert_eq!(answer.status, status, "{kind}");
            answer.error();
            // A host may say more often when to come again than the contract asks, but never forget it.
            assert!(!retry || answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0), "{kind}");
            assert!(place != 2 || answer.message() == "The reason.", "{kind}: {}", answer.message());
        }
    }
}

#[test]
fn types_and_codes_are_those_that_clients_know() {
    let cases = [
        ("invalid_request", "invalid_request_error", json!(null), json!("invalid_request")),
        ("context_length", "invalid_request_error", json!("messages"), json!("context_length_exceeded")),
        ("queue_full", "unavailable_error", json!(null), json!("queue_full")),
        ("timeout", "timeout_error", json!(null), json!("timeout")),
        ("internal", "server_error", json!(null), json!("internal")),
    ];
    for (kind, of_type, param, code) in cases {
        let answer = World::new([Step::Fail(failure(kind, "why"))]).chat(&hello(json!({})));
        assert_eq!(answer.json(), json!({"error": {"message": "why", "type": of_type, "param": param, "code": code}}));
    }
}

#[test]
fn a_conversation_that_is_too_long_is_told_both_numbers() {
    let data = json!({"kind": "context_length", "message": "too long", "prompt_tokens": 3000, "context_length": 2048}).to_string();
    for stream in [false, true] {
        let answer = World::new([Step::Fail(data.clone())]).chat(&hello(json!({"stream": stream})));
        assert_eq!(answer.status, 400);
        assert!(answer.message().contains("3000") && answer.message().contains("2048"), "{}", answer.message());
    }
}

#[test]
fn what_is_no_document_of_the_contract_is_not_shown() {
    for data in ["", "secret at /etc/key", "{}", r#"{"kind":"novel","message":"secret"}"#, r#"{"kind":"timeout"}"#, "[1]"] {
        let answer = World::new([Step::Fail(data.to_owned())]).chat(&hello(json!({})));
        assert_eq!((answer.status.as_u16(), answer.error().1), (500, json!("internal")), "{data}");
        assert!(!answer.text().contains("secret"));
    }
}

#[test]
fn outputs_that_break_the_contract_are_the_hosts_fault() {
    let broken = [
        vec![("text", vec![0xc3])],
        vec![("text", b"ok".to_vec()), ("result", b"{".to_vec())],
        vec![("text", b"ok".to_vec()), ("result", br#"{"finish_reason":"stop"}"#.to_vec())],
    ];
    for outputs in broken {
        let world = World::new([Step::Raw(outputs)]);
        assert_eq!(world.chat(&hello(json!({}))).status, 500);
        assert!(world.dropped());
    }
}

#[test]
fn outputs_of_a_later_contract_are_let_be() {
    let outputs = vec![
        ("text", b"ok".to_vec()),
        ("novelty", b"?".to_vec()),
        ("result", br#"{"finish_reason":"stop","usage":{"prompt_tokens":1,"completion_tokens":1,"more":2}}"#.to_vec()),
    ];
    assert_eq!(World::new([Step::Raw(outputs)]).chat(&hello(json!({}))).status, 200);
}
