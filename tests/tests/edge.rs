//! An edge of either shape, and behind it a server that computes (`docs/edge.md`): a real second `hearth serve`, which is killed and comes back.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use hearth_tests::{
    Response, Scratch, Server, Shape, Sse, Surroundings, application, component, delta, listens, request, request_with, stream, test_data,
};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
/// The edge's key at the server that computes.
const KEY: &str = "between-the-two";
/// The handler with the component that has a server compute.
const COMPOSED: &str = "hearth_edge.p2.component.wasm";

/// The model under a name.
fn named(name: &str) -> Option<PathBuf> {
    let path = test_data("smollm2.gguf")?;
    Some(format!("{name}={}", path.display()).into())
}

/// The server that computes: the model `large`, for who has the key.
fn gpu() -> Option<Server> {
    let environment = vec![("HEARTH_API_KEY".to_owned(), KEY.to_owned())];
    let surroundings = Surroundings { environment, ..Surroundings::default() };
    let server = Server::start_amid(&surroundings, Shape::Native, &named("large")?, &["--context", "2048"]);
    server.wait();
    Some(server)
}

/// Settings of the handler, as each shape has them of its environment.
fn settings(shape: Shape, values: &[(&str, &str)]) -> Surroundings {
    let prefix = match shape {
        Shape::Native => "HEARTH",
        Shape::Wasm => "SPIN_VARIABLE",
    };
    let environment = values.iter().map(|(name, value)| (format!("{prefix}_{}", name.to_uppercase()), (*value).to_owned()));
    Surroundings { environment: environment.collect(), ..Surroundings::default() }
}

/// An edge with the model `small`, before the server at an address.
fn edge(shape: Shape, other: SocketAddr, more: &[(&str, &str)]) -> Server {
    let url = format!("http://{other}");
    let values = [&[("fallback_url", &*url), ("fallback_key", KEY)], more].concat();
    let server = Server::start_amid(&settings(shape, &values), shape, &named("small").expect("it is there"), &["--context", "2048"]);
    server.wait();
    server
}

fn chat(model: &str, max_tokens: u32, stream: bool) -> Value {
    let messages = json!([{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "What is the capital of France?"}]);
    json!({"model": model, "messages": messages, "max_tokens": max_tokens, "temperature": 0, "ignore_eos": max_tokens > 100, "stream": stream})
}

fn ask(server: &Server, model: &str) -> Response {
    request(server.address, "POST", CHAT, Some(chat(model, 16, false).to_string().as_bytes())).expect("an answer")
}

fn text(shape: Shape, answer: &Response) -> String {
    assert_eq!(answer.status, 200, "{shape:?}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()["choices"][0]["message"]["content"].as_str().expect("a text").to_owned()
}

/// The same answer comes by a stream, piece by piece.
fn comes_piece_by_piece(shape: Shape, server: &Server, whole: &Response) {
    let mut events = stream(server.address, CHAT, &chat("large", 16, true)).expect("a stream");
    let mut pieces = Vec::new();
    while let Some(event) = events.next_event().expect("an event") {
        pieces.push(delta(&event));
    }
    assert_eq!(pieces.concat(), text(shape, whole), "{shape:?}");
    assert!(pieces.iter().filter(|piece| !piece.is_empty()).count() > 3, "{shape:?}: {pieces:?}");
}

/// A long answer of which the first piece has come.
fn begun(server: &Server) -> Sse {
    let mut events = stream(server.address, CHAT, &chat("large", 1500, true)).expect("a stream");
    while delta(&events.next_event().expect("an event").expect("text")).is_empty() {}
    events
}

/// Waits until it is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Sequences that the server that computes has at work.
fn at_work(server: &Server) -> f64 {
    let fields = [("authorization", &*format!("Bearer {KEY}"))];
    let page = request_with(server.address, "GET", "/metrics", &fields, None).expect("measures");
    let page = String::from_utf8_lossy(&page.body).into_owned();
    let lines = page.lines().filter(|line| line.starts_with("hearth_num_requests_running"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn what_is_not_here_streams_through_from_the_server_that_computes() {
    let Some(gpu) = gpu() else { return };
    for shape in Shape::ALL {
        let edge = edge(shape, gpu.address, &[]);
        let (here, there) = (ask(&edge, "small"), ask(&edge, "large"));
        assert_eq!(text(shape, &here), text(shape, &there), "{shape:?}: it is the same model under two names");
        assert!(text(shape, &there).contains("Paris"));
        let served_by = |answer: &Response| answer.header("x-hearth-served-by").map(str::to_owned);
        assert_eq!((served_by(&here).as_deref(), served_by(&there).as_deref()), (Some("local"), Some("fallback")), "{shape:?}");
        comes_piece_by_piece(shape, &edge, &there);
        let post = |path: &str, body: Value| request(edge.address, "POST", path, Some(body.to_string().as_bytes())).expect("an answer");
        let hello = json!([{"role": "user", "content": "Hi"}]);
        let message = post("/v1/messages", json!({"model": "large", "max_tokens": 4, "messages": hello}));
        assert_eq!((message.status, served_by(&message).as_deref()), (200, Some("fallback")), "{shape:?}");
        let lines = post("/api/chat", json!({"model": "large", "messages": hello, "options": {"num_predict": 4}}));
        assert!(String::from_utf8_lossy(&lines.body).trim_end().ends_with('}') && lines.status == 200, "{shape:?}");
        let models = request(edge.address, "GET", "/v1/models", None).expect("a list").json();
        let ids: Vec<_> = models["data"].as_array().expect("models").iter().filter_map(|model| model["id"].as_str()).collect();
        assert_eq!(ids, ["small", "large"], "{shape:?}");
        assert_eq!(ask(&edge, "unheard").status, 404, "{shape:?}");

        // Who goes has nothing computed any more, there either.
        until("nothing is at work", || at_work(&gpu) == 0.0);
        let events = begun(&edge);
        // The measures are those of the last step.
        until("it is computed there", || at_work(&gpu) > 0.0);
        drop(events);
        until("the server that computes stops too", || at_work(&gpu) == 0.0);
    }
}

#[test]
fn the_edge_s_own_limits_and_keys_count() {
    let Some(gpu) = gpu() else { return };
    for shape in Shape::ALL {
        let edge = edge(shape, gpu.address, &[("api_key", "of-a-client"), ("limit_tokens_per_minute", "300")]);
        assert_eq!(ask(&edge, "large").status, 401, "{shape:?}");
        let post = |key: &str, max_tokens: u32| {
            let body = chat("large", max_tokens, false).to_string();
            let fields = [("authorization", &*format!("Bearer {key}"))];
            request_with(edge.address, "POST", CHAT, &fields, Some(body.as_bytes())).expect("an answer")
        };
        assert_eq!(post(KEY, 4).status, 401, "{shape:?}: the edge's key is no client's");
        let answer = post("of-a-client", 4);
        assert_eq!((answer.status, answer.header("x-ratelimit-limit-tokens")), (200, Some("300")), "{shape:?}");
        let refused = post("of-a-client", 400);
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")), "{shape:?}");
        // A wrong key of the edge there is none of the client's.
        drop(edge);
        let url = format!("http://{}", gpu.address);
        let surroundings = settings(shape, &[("fallback_url", &url), ("fallback_key", "wrong")]);
        let edge = Server::start_amid(&surroundings, shape, &named("small").expect("it is there"), &["--context", "512"]);
        edge.wait();
        let answer = ask(&edge, "large");
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (502, &json!("fallback_failed")), "{shape:?}: {}", answer.json());
    }
}

#[test]
fn a_server_that_dies_in_mid_stream_is_told_of_and_the_next_request_recovers() {
    let Some(mut gpu) = gpu() else { return };
    for shape in Shape::ALL {
        let edge = edge(shape, gpu.address, &[]);
        assert_eq!(ask(&edge, "large").status, 200, "{shape:?}");
        let mut events = begun(&edge);
        gpu.kill();
        let mut last = String::new();
        while let Some(event) = events.next_event().expect("the edge's own answer ends as it should") {
            last = event;
        }
        let last: Value = serde_json::from_str(&last).unwrap_or_else(|error| panic!("{shape:?}: {error}: {last}"));
        assert_eq!(last["error"]["code"], "fallback_failed", "{shape:?}: {last}");
        assert!(last["error"]["message"].as_str().is_some_and(|message| message.contains("broke off")), "{shape:?}: {last}");
        let answer = ask(&edge, "large");
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (502, &json!("fallback_failed")), "{shape:?}: {}", answer.json());
        assert_eq!(ask(&edge, "small").status, 200, "{shape:?}: what is here is here");
        gpu.start_again();
        gpu.wait();
        // On a slow machine these may come to a third failure within half a minute: then it is left alone until that is over.
        until("the next request recovers", || ask(&edge, "large").status == 200);
    }
}

#[test]
fn a_server_that_stays_away_is_left_alone_until_it_is_back() {
    let Some(mut gpu) = gpu() else { return };
    let edges = Shape::ALL.map(|shape| (shape, edge(shape, gpu.address, &[])));
    gpu.kill();
    for (shape, edge) in &edges {
        let mut answers = Vec::new();
        let refused = loop {
            let answer = ask(edge, "large");
            if answer.status == 503 {
                break answer;
            }
            answers.push(answer.status);
            assert!(answers.len() < 12 && answer.status == 502, "{shape:?}: {answers:?}");
        };
        assert_eq!(refused.json()["error"]["code"], "fallback_down", "{shape:?}: {}", refused.json());
        assert!(refused.header("retry-after").is_some_and(|seconds| (1..=30).contains(&seconds.parse().unwrap_or(0))), "{shape:?}");
        assert!(answers.len() >= 3, "{shape:?}: {answers:?}");
        assert_eq!(ask(edge, "small").status, 200, "{shape:?}");
    }
    gpu.start_again();
    gpu.wait();
    for (shape, edge) in &edges {
        until(&format!("{shape:?}: one request tries, and the others follow"), || ask(edge, "large").status == 200);
    }
}

#[test]
fn a_request_goes_no_further_than_one_hop() {
    let Some(gpu) = gpu() else { return };
    for (shape, other) in [(Shape::Native, Shape::Wasm), (Shape::Wasm, Shape::Native)] {
        let second = edge(other, gpu.address, &[]);
        let first = edge(shape, second.address, &[]);
        let answer = ask(&first, "large");
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (508, &json!("loop_detected")), "{shape:?}: {}", answer.json());
        assert_eq!(ask(&second, "large").status, 200, "{other:?}: which is one hop");
        assert_eq!(ask(&first, "small").status, 200, "{shape:?}");
    }
}

#[test]
fn an_edge_needs_no_model_of_its_own() {
    let Some(gpu) = gpu() else { return };
    for shape in Shape::ALL {
        let url = format!("http://{}", gpu.address);
        let surroundings = settings(shape, &[("fallback_url", &url), ("fallback_key", KEY)]);
        let flags: &[&str] = match shape {
            Shape::Native => &["--no-models"],
            // What serverless hosts give an instance.
            Shape::Wasm => &["--no-models", "--max-instance-memory", "134217728"],
        };
        let edge = Server::start_without_model(&surroundings, shape, flags);
        edge.wait();
        let body = json!({"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4, "temperature": 0}).to_string();
        let answer = request(edge.address, "POST", CHAT, Some(body.as_bytes())).expect("an answer");
        assert_eq!((answer.status, answer.header("x-hearth-served-by")), (200, Some("fallback")), "{shape:?}");
        assert_eq!(answer.json()["model"], "large", "{shape:?}: the default is the other's");
        eprintln!("{shape:?}: an edge without a model holds {} MiB", memory(edge.pid()) >> 20);
    }
}

/// Bytes of memory that a process holds.
fn memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

/// The server that computes has a certificate that no browser would trust: the machine of the edge does.
#[test]
fn an_edge_trusts_the_authorities_of_its_machine() {
    let Some(model) = named("large") else { return };
    let scratch = Scratch::new("authorities");
    let environment = vec![("HEARTH_API_KEY".to_owned(), KEY.to_owned())];
    let surroundings = Surroundings { environment, state: Some(scratch.join("state")), ..Surroundings::default() };
    let gpu = Server::start_amid(&surroundings, Shape::Native, &model, &["--context", "2048", "--tls-self-signed"]);
    until("it listens", || listens(gpu.address));
    let url = format!("https://localhost:{}", gpu.address.port());
    let certificate = scratch.join("state/tls/self-signed.pem").display().to_string();
    for shape in Shape::ALL {
        for trusted in [false, true] {
            let mut surroundings = settings(shape, &[("fallback_url", &url), ("fallback_key", KEY)]);
            surroundings.environment.extend(trusted.then(|| ("SSL_CERT_FILE".to_owned(), certificate.clone())));
            let edge = Server::start_without_model(&surroundings, shape, &["--no-models"]);
            until("it answers", || request(edge.address, "GET", "/health/live", None).is_ok());
            if trusted {
                until("the model is loaded", || ask(&edge, "large").status != 503);
            }
            let answer = ask(&edge, "large");
            if trusted {
                assert!(text(shape, &answer).contains("Paris"), "{shape:?}");
            } else {
                assert_eq!(answer.status, 502, "{shape:?}: {}", String::from_utf8_lossy(&answer.body));
                let message = answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
                assert!(message.contains("TLS"), "{shape:?}: {message}");
            }
        }
    }
}

/// A manifest for the handler that is composed with the component that has a server compute: it imports no wasi-nn, and no more of WASI than 0.2 has.
fn composed(folder: &Path, gpu: SocketAddr) -> PathBuf {
    let manifest = format!(
        r#"spin_manifest_version = 2
[application]
name = "edge"
version = "0.1.0"
[[trigger.nn-http]]
route = "/..."
component = "chat"
[component.chat]
source = "{}"
key_value_stores = ["default", "counters"]
allowed_outbound_hosts = ["http://{gpu}"]
environment = {{ HEARTH_REMOTE_URL = "http://{gpu}", HEARTH_REMOTE_KEY = "{KEY}" }}
[component.chat.variables]
models = "large"
"#,
        component(COMPOSED).display()
    );
    let path = folder.join("spin.toml");
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(&path, manifest).expect("a manifest");
    path
}

/// `spin.edge.toml`, but for the trigger: this repository's host serves it as stock Spin would.
#[test]
fn the_application_for_hosts_without_wasi_nn_asks_the_fallback_for_every_model() {
    let Some(gpu) = gpu() else { return };
    let scratch = Scratch::new("edge-application");
    let application = application("spin.edge.toml", COMPOSED, COMPOSED);
    assert!(application.contains("[[trigger.http]]"), "{application}");
    let manifest = scratch.write("spin.toml", &application.replace("[[trigger.http]]", "[[trigger.nn-http]]"));
    let url = format!("http://{}", gpu.address);
    let mut surroundings = settings(Shape::Wasm, &[("fallback_url", &url), ("fallback_key", KEY)]);
    surroundings.manifest = Some(manifest);
    let edge = Server::start_without_model(&surroundings, Shape::Wasm, &["--no-models", "--max-instance-memory", "134217728"]);
    edge.wait();
    let whole = ask(&edge, "large");
    assert_eq!(whole.header("x-hearth-served-by"), Some("fallback"));
    comes_piece_by_piece(Shape::Wasm, &edge, &whole);
    assert_eq!(ask(&edge, "unheard").status, 404);
}

#[test]
fn a_component_that_needs_no_wasi_nn_has_a_server_compute() {
    let Some(mut gpu) = gpu() else { return };
    let folder = std::env::temp_dir().join(format!("hearth-composed-{}", std::process::id()));
    let manifest = composed(&folder, gpu.address);
    let surroundings = Surroundings { manifest: Some(manifest), ..Surroundings::default() };
    let edge = Server::start_without_model(&surroundings, Shape::Wasm, &["--no-models", "--max-instance-memory", "134217728"]);
    edge.wait();
    let whole = ask(&edge, "large");
    assert!(text(Shape::Wasm, &whole).contains("Paris"));
    comes_piece_by_piece(Shape::Wasm, &edge, &whole);
    assert_eq!(ask(&edge, "unheard").status, 404);

    let mut events = begun(&edge);
    gpu.kill();
    let mut last = String::new();
    while let Some(event) = events.next_event().expect("the edge's own answer ends as it should") {
        last = event;
    }
    assert!(last.contains("broke off"), "{last}");
    assert_eq!(ask(&edge, "large").status, 503);
    gpu.start_again();
    gpu.wait();
    assert_eq!(ask(&edge, "large").status, 200);
    let _ = std::fs::remove_dir_all(&folder);
}
