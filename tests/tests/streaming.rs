//! What streaming promises, in both shapes: chunks leave as tokens are made, a client that goes away frees its place, and neighbours change nothing.

use std::{
    thread,
    time::{Duration, Instant},
};

use hearth_tests::{Server, Shape, delta, request, stream, test_data};
use serde_json::{Value, json};

fn ask(content: &str, max_tokens: usize) -> Value {
    json!({"messages": [{"role": "user", "content": content}], "max_tokens": max_tokens, "temperature": 0, "stream": true})
}

#[test]
fn the_first_text_arrives_long_before_the_last() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    for shape in Shape::ALL {
        let server = Server::start(shape, &model, &["--context", "2048"]);
        let start = Instant::now();
        let mut events = stream(server.address, "/v1/chat/completions", &ask("Write a long story about a dragon.", 200)).expect("a stream");
        let headers = start.elapsed();
        let mut arrivals = Vec::new();
        while let Some(event) = events.next_event().expect("an event") {
            if !delta(&event).is_empty() {
                arrivals.push(start.elapsed());
            }
        }
        let (first, last) = (arrivals[0], *arrivals.last().expect("text"));
        eprintln!("{shape:?}: headers {headers:?}, first text {first:?}, last {last:?}, {} chunks", arrivals.len());
        assert!(arrivals.len() > 100, "{shape:?}: 200 tokens came in {} chunks", arrivals.len());
        assert!(first * 3 < last, "{shape:?}: the first text came after {first:?}, the last after {last:?}");
        // Not in bursts either: a buffer that is flushed now and then would leave long gaps.
        let gap = arrivals.windows(2).map(|pair| pair[1] - pair[0]).max().expect("several chunks");
        assert!(gap * 4 < last, "{shape:?}: nothing came for {gap:?} of {last:?}");
    }
}

#[test]
fn a_client_that_goes_away_frees_its_place() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    for shape in Shape::ALL {
        // One sequence at a time: who comes next waits until the one before is done, or gone.
        let server = Server::start(shape, &model, &["--context", "4096", "--sequences", "1"]);
        let start = Instant::now();
        let baseline =
            stream(server.address, "/v1/chat/completions", &ask("Say hello.", 4)).and_then(|mut events| events.text()).expect("an answer");
        assert!(!baseline.is_empty());
        let short = start.elapsed();
        for _ in 0..3 {
            let mut long =
                stream(server.address, "/v1/chat/completions", &ask("Count from one to one thousand in words.", 4000)).expect("a stream");
            while delta(&long.next_event().expect("an event").expect("text before the end")).is_empty() {}
            drop(long);
        }
        let start = Instant::now();
        let again =
            stream(server.address, "/v1/chat/completions", &ask("Say hello.", 4)).and_then(|mut events| events.text()).expect("an answer");
        assert_eq!(again, baseline);
        // Three abandoned answers of 4,000 tokens would take minutes; the bound leaves room for a loaded machine.
        let bound = short * 20 + Duration::from_secs(5);
        assert!(start.elapsed() < bound, "{shape:?}: {:?} after abandoned requests, {short:?} before", start.elapsed());
    }
}

#[test]
fn thirty_two_at_once_each_get_what_they_get_alone() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    let questions: Vec<String> = (0..32).map(|i| format!("Tell me {} facts about the number {i}.", i % 5 + 1)).collect();
    for shape in Shape::ALL {
        let server = Server::start(shape, &model, &["--context", "1024", "--sequences", "32"]);
        let answer = |question: &str| {
            let body = ask(question, 24);
            stream(server.address, "/v1/chat/completions", &body).and_then(|mut events| events.text()).expect("an answer")
        };
        let alone: Vec<String> = questions.iter().map(|question| answer(question)).collect();
        let together: Vec<String> = thread::scope(|scope| {
            let running: Vec<_> = questions.iter().map(|question| scope.spawn(|| answer(question))).collect();
            running.into_iter().map(|thread| thread.join().expect("an answer")).collect()
        });
        for (question, (alone, together)) in questions.iter().zip(alone.iter().zip(&together)) {
            assert_eq!(alone, together, "{shape:?}: {question}");
        }
    }
}

#[test]
fn health_says_503_until_the_model_is_loaded() {
    let Some(model) = test_data("gemma3.gguf") else { return };
    for shape in Shape::ALL {
        let server = Server::start_unready(shape, &model, &["--context", "512"]);
        let mut statuses = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(120);
        while statuses.last() != Some(&200) {
            assert!(Instant::now() < deadline, "{shape:?}: never healthy, saw {statuses:?}");
            match request(server.address, "GET", "/health", None) {
                Ok(response) if statuses.last() != Some(&response.status) => statuses.push(response.status),
                _ => thread::sleep(Duration::from_millis(2)),
            }
        }
        assert_eq!(statuses, [503, 200], "{shape:?}");
    }
}
