//! What both shapes tell of their requests: the same access lines and measures, and of a conversation nothing.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use hearth_tests::{Server, Shape, request, stream, test_data};
use serde_json::{Value, json};

/// The access lines of `path` in a log of documents, once there are so many.
fn lines(log: &Path, path: &str, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let lines: Vec<Value> = lines.filter(|line| line["target"] == "access" && line["path"] == path).collect();
        if lines.len() >= count || Instant::now() > deadline {
            assert_eq!(lines.len(), count, "{text}");
            return lines;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn both_shapes_tell_the_same_of_a_chat() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    for shape in Shape::ALL {
        let log = std::env::temp_dir().join(format!("hearth-observed-{}-{shape:?}.log", std::process::id()));
        let _ = std::fs::remove_file(&log);
        let server = Server::start(shape, &model, &["--context", "2048", "--log-format", "json", "--log-file", log.to_str().unwrap()]);
        let ask = |stream: bool| {
            json!({
                "messages": [{"role": "user", "content": "Tell me of the wombat."}],
                "max_tokens": 12, "temperature": 0, "ignore_eos": true, "stream": stream
            })
        };
        let path = "/v1/chat/completions";
        let whole = request(server.address, "POST", path, Some(ask(false).to_string().as_bytes())).expect("an answer");
        assert_eq!(whole.status, 200, "{shape:?}");
        assert!(whole.headers.iter().all(|(name, _)| !name.starts_with("hearth-log")), "{shape:?} {:?}", whole.headers);
        assert_eq!(whole.header("x-request-id").map(str::len), Some(32), "{shape:?}");
        let text = whole.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
        let streamed = stream(server.address, path, &ask(true)).and_then(|mut events| events.text()).expect("a stream");
        assert_eq!(text, streamed, "{shape:?}");
        let usage = whole.json()["usage"].clone();
        let lines = lines(&log, path, 2);
        for line in &lines {
            for (name, value) in [
                ("method", json!("POST")),
                ("status", json!(200)),
                ("outcome", json!("complete")),
                ("finish", json!("length")),
                ("prompt_tokens", usage["prompt_tokens"].clone()),
                ("completion_tokens", json!(12)),
            ] {
                assert_eq!(line[name], value, "{shape:?} {name}: {line}");
            }
            assert!(line["model"].as_str().is_some_and(|model| !model.is_empty()), "{shape:?} {line}");
            assert!(line["ttft_ms"].as_f64().is_some_and(|ms| ms > 0.0 && ms <= line["duration_ms"].as_f64().unwrap()), "{shape:?} {line}");
            assert!(line["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{shape:?} {line}");
        }
        assert!(lines[1]["cached_tokens"].as_u64() > Some(0), "{shape:?}: the second has the first's prompt: {lines:?}");
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(!log.contains("wombat") && !log.contains(text.trim()), "{shape:?}: nothing of a conversation is in the log: {log}");

        let model = lines[0]["model"].as_str().unwrap();
        let expected = [
            format!("hearth_generation_tokens_total{{model_name=\"{model}\"}} 24"),
            format!("hearth_request_success_total{{model_name=\"{model}\",finished_reason=\"length\"}} 2"),
            format!("hearth_time_to_first_token_seconds_count{{model_name=\"{model}\"}} 2"),
            format!("hearth_inter_token_latency_seconds_count{{model_name=\"{model}\"}} 22"),
            "hearth_models_loaded 1".to_owned(),
            format!("hearth_http_requests_total{{handler=\"{path}\",method=\"POST\",status=\"2xx\"}} 2"),
        ];
        // The engine counts a request when it has left the batch, which may be after its client has it all.
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let page = request(server.address, "GET", "/metrics", None).expect("a page");
            let page = String::from_utf8(page.body).unwrap();
            let Some(missing) = expected.iter().find(|series| !page.lines().any(|line| line == **series)) else { break };
            assert!(Instant::now() < deadline, "{shape:?}: no {missing} in {page}");
            thread::sleep(Duration::from_millis(20));
        }
        for (path, status) in [("/health/live", 200), ("/health/ready", 200)] {
            assert_eq!(request(server.address, "GET", path, None).expect("an answer").status, status, "{shape:?} {path}");
        }
    }
}
