//! The rules and the dashboard of deploy/ with a real Prometheus that scrapes both shapes: rules load, every query finds something, an alert fires.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use hearth_tests::{Server, Shape, free_address, request, root, skip, stream, test_data};
use serde_json::{Value, json};

#[test]
fn each_alert_fires_when_it_should() {
    if !present("promtool") {
        return skip("promtool is missing");
    }
    let tested = Command::new("promtool").args(["test", "rules", "hearth.test.yml"]).current_dir(root().join("deploy/prometheus")).output();
    let tested = tested.expect("promtool runs");
    assert!(tested.status.success(), "{}{}", String::from_utf8_lossy(&tested.stdout), String::from_utf8_lossy(&tested.stderr));
    let rules = fs::read_to_string(root().join("deploy/prometheus/hearth.rules.yml")).expect("the rules");
    let tests = fs::read_to_string(root().join("deploy/prometheus/hearth.test.yml")).expect("their tests");
    for rule in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname: {rule}\n        exp_alerts")), "no test has {rule} fire");
    }
}

#[test]
fn a_real_prometheus_reads_both_shapes() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    if !present("prometheus") {
        return skip("prometheus is missing");
    }
    let servers = Shape::ALL.map(|shape| Server::start(shape, &model, &["--context", "2048"]));
    let prometheus = Prometheus::start(&servers.each_ref().map(|server| server.address));
    let body = json!({"messages": [{"role": "user", "content": "Count to ten."}], "max_tokens": 16, "temperature": 0});
    // A rate needs counters that go on from one scrape to a later one.
    let deadline = Instant::now() + Duration::from_secs(60);
    let queries = queries();
    assert!(queries.len() > 20, "{queries:?}");
    let mut open = queries.clone();
    while !open.is_empty() {
        for server in &servers {
            let mut events = stream(server.address, "/v1/chat/completions", &with(&body, "stream", json!(true))).expect("an answer");
            assert!(!events.text().expect("a whole answer").is_empty());
        }
        open.retain(|query| !prometheus.answers(query));
        assert!(Instant::now() < deadline, "these queries of the dashboard find nothing: {open:#?}\n{}", exposition(&servers[0]));
    }
    for shape in &servers {
        assert_eq!(prometheus.query(&format!("up{{instance=\"{}\"}}", shape.address)), Some(1.0));
    }
    let rules = prometheus.get("/api/v1/rules");
    let rules = rules["data"]["groups"][0]["rules"].as_array().expect("rules");
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_eq!(rule["state"], "inactive", "{rule}");
    }
    let [native, wasm] = servers;
    drop(wasm);
    let fires = || {
        let alerts = prometheus.get("/api/v1/alerts");
        let alerts = alerts["data"]["alerts"].as_array().cloned().unwrap_or_default();
        alerts.iter().any(|alert| alert["labels"]["alertname"] == "HearthDown" && alert["state"] == "firing")
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while !fires() {
        assert!(Instant::now() < deadline, "the alert of an instance that is gone does not fire");
        std::thread::sleep(Duration::from_millis(200));
    }
    drop(native);
}

fn exposition(server: &Server) -> String {
    let response = request(server.address, "GET", "/metrics", None).expect("measures");
    String::from_utf8_lossy(&response.body).into_owned()
}

fn with(body: &Value, key: &str, value: Value) -> Value {
    let mut body = body.clone();
    body[key] = value;
    body
}

/// What each panel of the dashboard asks, as Grafana would send it for all instances and a step of some seconds.
fn queries() -> Vec<String> {
    let text = fs::read_to_string(root().join("deploy/grafana/hearth.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let expression =
        |target: &Value| target["expr"].as_str().expect("a query").replace("$instance", ".*").replace("$__rate_interval", "8s");
    targets.map(expression).collect()
}

fn present(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// A running Prometheus with the rules of deploy/; ended, and its files removed, when dropped.
struct Prometheus {
    folder: PathBuf,
    address: SocketAddr,
    child: Child,
}

impl Prometheus {
    /// The sample configuration but for its targets and its times, which a test cannot wait for.
    fn start(targets: &[SocketAddr]) -> Self {
        let address = free_address();
        let folder = std::env::temp_dir().join(format!("hearth-prometheus-{}-{}", std::process::id(), address.port()));
        fs::create_dir_all(&folder).expect("a folder");
        let sample = |name: &str| fs::read_to_string(root().join("deploy/prometheus").join(name)).expect("the sample");
        let list = targets.iter().map(|target| format!("\"{target}\"")).collect::<Vec<_>>().join(", ");
        let configuration = sample("prometheus.yml").replace("15s", "1s").replace("\"127.0.0.1:18789\"", &list);
        assert!(configuration.contains(&list), "the sample scrapes something else: {configuration}");
        fs::write(folder.join("prometheus.yml"), configuration).expect("a configuration");
        fs::write(folder.join("hearth.rules.yml"), sample("hearth.rules.yml").replace("for: 1m", "for: 1s")).expect("rules");
        let mut prometheus = Command::new("prometheus");
        prometheus.arg(format!("--config.file={}", folder.join("prometheus.yml").display()));
        prometheus.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        prometheus.arg(format!("--web.listen-address={address}")).arg("--log.level=warn");
        let child = prometheus.spawn().expect("Prometheus starts");
        let started = Self { folder, address, child };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !request(address, "GET", "/-/ready", None).is_ok_and(|response| response.status == 200) {
            assert!(Instant::now() < deadline, "Prometheus does not become ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        started
    }

    fn get(&self, path: &str) -> Value {
        request(self.address, "GET", path, None).expect("an answer of Prometheus").json()
    }

    /// The first value that a query finds.
    fn query(&self, query: &str) -> Option<f64> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.get(&format!("/api/v1/query?query={encoded}"));
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    fn answers(&self, query: &str) -> bool {
        self.query(query).is_some_and(f64::is_finite)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
