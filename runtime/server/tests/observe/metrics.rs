//! `/metrics`, read by Prometheus' own parser.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use hearth_server::Options;

use super::world::Server;

/// The value of a series.
fn value(page: &str, series: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
}

async fn page(server: &Server) -> String {
    let answer = server.ask("/metrics", "").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test]
async fn counts_requests_by_route_method_and_class() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    options.observe.folders.push(("state", folder.path().to_owned()));
    let server = Server::start(options).await;
    metrics::describe_histogram!("hearth_test_seconds", "Of another crate, with its own buckets.");
    metrics::histogram!("hearth_test_seconds").record(0.5);
    let series = r#"hearth_http_requests_total{handler="/v1/chat/completions",method="GET",status="2xx"}"#;
    server.ask("/whole", "").await;
    let before = value(&page(&server).await, series);
    server.ask("/whole", "").await;
    server.ask("/nothing", "").await;
    server.ask("/refused", "").await;
    let page = page(&server).await;
    assert!(value(&page, series) > before);
    assert!(value(&page, r#"hearth_http_requests_total{handler="other",method="GET",status="4xx"}"#) >= 1.0);
    assert!(value(&page, r#"hearth_http_request_duration_seconds_bucket{handler="other",method="GET",le="+Inf"}"#) >= 1.0);
    assert!(value(&page, r#"hearth_test_seconds_bucket{le="1"}"#) >= 1.0 && value(&page, r#"hearth_test_seconds_bucket{le="0.1"}"#) == 0.0);
    assert!(value(&page, "hearth_http_requests_in_flight") >= 1.0, "the one that asks");
    assert!(value(&page, "hearth_http_connections") >= 1.0);
    assert!(!page.contains("/nothing"), "a path that a client made up is no label");
    if cfg!(target_os = "linux") {
        for name in ["process_resident_memory_bytes", "process_open_fds", "process_max_fds", "process_threads"] {
            assert!(value(&page, name) > 0.0, "{name}");
        }
        assert!(value(&page, "process_cpu_seconds_total") >= 0.0);
        let started = value(&page, "process_start_time_seconds");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(now - started < 3600.0 && started < now + 2.0, "{started} {now}");
        assert!(value(&page, "hearth_machine_memory_available_bytes") < value(&page, "hearth_machine_memory_bytes"));
        assert!(value(&page, r#"hearth_disk_free_bytes{folder="state"}"#) > 0.0);
        assert!(value(&page, r#"hearth_machine_cpu_seconds_total{mode="idle"}"#) > 0.0);
    }
    parses(&page);
}

/// By `promtool`, which says too where a name is against Prometheus' customs, and by the parser of its client for Python: at least one of them must be there.
fn parses(page: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/python/exposition.py");
    let python = std::env::var("HEARTH_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let is_there = |program: &str, arguments: &[&str]| {
        let tried = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let parsers: [(&str, &[&str], &[&str]); 2] =
        [("promtool", &["--version"], &["check", "metrics"]), (&python, &["-c", "import prometheus_client"], &[script])];
    let there: Vec<_> = parsers.iter().filter(|(program, probe, _)| is_there(program, probe)).collect();
    let cure =
        "cargo xtask test installs prometheus-client and names its Python in HEARTH_TEST_PYTHON; Debian's package prometheus has promtool";
    assert!(!there.is_empty(), "there is no parser of Prometheus' format: {cure}");
    for (program, _, arguments) in there {
        let (input, output) = (Stdio::piped(), Stdio::piped());
        let mut parser = Command::new(program).args(*arguments).stdin(input).stdout(output).stderr(Stdio::piped()).spawn().unwrap();
        parser.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let parsed = parser.wait_with_output().unwrap();
        assert!(parsed.status.success(), "{program}: {}\n{page}", String::from_utf8_lossy(&parsed.stderr));
    }
}

#[tokio::test]
async fn others_may_not_read_it() {
    let server = Server::start(Options::default()).await;
    for field in ["x-forwarded-for: 127.0.0.1\r\n", "forwarded: for=127.0.0.1\r\n"] {
        let answer = server.ask("/metrics", field).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("--metrics-allow"), "{answer}");
    }
    let mut options = Options::default();
    options.observe.metrics_allow.push("127.0.0.0/8".parse().unwrap());
    let allowed = Server::start(options).await;
    assert!(allowed.ask("/metrics", "x-forwarded-for: 10.0.0.1\r\n").await.starts_with("HTTP/1.1 200 "), "its network is allowed");
}
