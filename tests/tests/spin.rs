//! The plugin as `spin up` runs it: a lock file, an environment, flags as typed, and the signals of its end.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use hearth_tests::{binary, delta, free_address, request, root, stream, test_data};
use serde_json::{Value, json};

/// A folder as Spin's working directory, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hearth-spin-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a scratch folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The lock file that Spin 4.1 writes for this repository's spin.toml.
fn lock(component: &Path) -> Value {
    json!({
        "spin_lock_version": 0,
        "metadata": {
            "name": "hearth", "origin": format!("file://{}", root().join("spin.toml").display()), "version": "0.1.0",
            "trigger": {"model": "smollm2-135m-instruct", "type": "nn-http"},
            "triggers": {"nn-http": {"model": "smollm2-135m-instruct"}}
        },
        "variables": {
            "api_key": {"default": "", "secret": true}, "fallback_key": {"default": "", "secret": true}, "fallback_timeout": {"default": "150"},
            "fallback_url": {"default": ""}, "keys": {"default": "none"}, "limit_concurrent": {"default": "0"},
            "limit_requests_per_minute": {"default": "0"}, "limit_tokens_per_minute": {"default": "0"}, "master_key": {"default": "", "secret": true},
            "models": {"default": "smollm2-135m-instruct"}, "response_cache": {"default": "0"}, "store_days": {"default": "30"},
            "store_responses": {"default": "true"}
        },
        "triggers": [{"id": "chat-nn-http-trigger", "trigger_type": "nn-http", "trigger_config": {"component": "chat", "route": "/..."}}],
        "components": [{
            "id": "chat",
            "metadata": {"allowed_outbound_hosts": ["{{ fallback_url }}"], "build": {"command": "cargo xtask component"}, "key_value_stores": ["default", "counters"]},
            "source": {"content_type": "application/wasm", "source": format!("file://{}", component.display())},
            "config": {
                "api_key": "{{ api_key }}", "fallback_key": "{{ fallback_key }}", "fallback_timeout": "{{ fallback_timeout }}",
                "fallback_url": "{{ fallback_url }}", "keys": "{{ keys }}", "limit_concurrent": "{{ limit_concurrent }}",
                "limit_requests_per_minute": "{{ limit_requests_per_minute }}", "limit_tokens_per_minute": "{{ limit_tokens_per_minute }}",
                "master_key": "{{ master_key }}", "models": "{{ models }}", "response_cache": "{{ response_cache }}", "store_days": "{{ store_days }}",
                "store_responses": "{{ store_responses }}"
            }
        }]
    })
}

/// Starts the plugin as `spin up` does for a plain call in the app's folder: the local app's folder is then an empty string.
fn spin_up(folder: &Path, models: &Path, lock: &Value, flags: &[&str]) -> Child {
    let file = folder.join("spin.lock");
    fs::write(&file, lock.to_string()).expect("the lock file");
    Command::new(binary("trigger-nn-http"))
        .env("SPIN_LOCKED_URL", format!("file://{}", file.display()))
        .env("SPIN_WORKING_DIR", folder)
        .env("SPIN_LOCAL_APP_DIR", "")
        .env("SPIN_VERSION", "4.1.0")
        .env("SPIN_BIN_PATH", "/usr/bin/spin")
        .env("HEARTH_MODELS", models)
        .current_dir(folder)
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the plugin starts")
}

fn component() -> PathBuf {
    let path = root().join("target/hearth_function.component.wasm");
    assert!(path.exists(), "{} is missing: `cargo xtask component` builds it", path.display());
    path
}

fn wait(child: &mut Child, limit: Duration) -> std::process::ExitStatus {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("the plugin did not end within {limit:?}");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
}

#[test]
fn spin_up_serves_and_its_signals_let_streams_end() {
    let (Some(models), Some(_)) = (test_data("models"), test_data("smollm2.gguf")) else { return };
    let folder = Folder::new("up");
    let address = free_address();
    let listen = address.to_string();
    let mut child = spin_up(&folder.0, &models, &lock(&component()), &["--listen", &listen, "--device", "cpu", "--context", "2048"]);
    let deadline = Instant::now() + Duration::from_secs(120);
    while !request(address, "GET", "/health", None).is_ok_and(|response| response.status == 200) {
        assert!(Instant::now() < deadline, "not healthy");
        assert!(child.try_wait().expect("a child").is_none(), "the plugin ended early");
        thread::sleep(Duration::from_millis(50));
    }
    let body =
        json!({"messages": [{"role": "user", "content": "Tell me a long story."}], "max_tokens": 150, "temperature": 0, "stream": true});
    let mut events = stream(address, "/v1/chat/completions", &body).expect("a stream");
    while delta(&events.next_event().expect("an event").expect("text")).is_empty() {}
    // What a terminal and Spin send together when the user presses Ctrl-C.
    signal(&child, "INT");
    signal(&child, "TERM");
    signal(&child, "TERM");
    let mut last = String::new();
    while let Some(event) = events.next_event().expect("the stream is not cut") {
        last = event;
    }
    assert_eq!(last, "[DONE]");
    assert!(wait(&mut child, Duration::from_secs(20)).success());
    let mut printed = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut printed).expect("UTF-8");
    assert!(printed.contains(&listen) && printed.contains("smollm2-135m-instruct") && printed.contains("CPU"), "{printed}");
}

/// What `lock` and `flags` make the plugin say on its way out.
fn refusal(name: &str, lock: &Value, flags: &[&str]) -> String {
    let folder = Folder::new(name);
    let listen = free_address().to_string();
    let mut child = spin_up(&folder.0, &folder.0, lock, &[&["--listen", &listen], flags].concat());
    let status = wait(&mut child, Duration::from_secs(30));
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("UTF-8");
    assert_eq!(status.code(), Some(1), "{said}");
    said
}

#[test]
fn what_the_plugin_does_not_do_it_refuses_by_name() {
    let component = component();
    let with = |change: fn(&mut Value)| {
        let mut lock = lock(&component);
        change(&mut lock);
        lock
    };
    let said = refusal("understand", &with(|lock| lock["must_understand"] = json!(["quantum"])), &[]);
    assert!(said.contains("quantum"), "{said}");
    let said = refusal("requirement", &with(|lock| lock["host_requirements"] = json!({"teleport": "required"})), &[]);
    assert!(said.contains("teleport"), "{said}");
    let said = refusal("version", &with(|lock| lock["spin_lock_version"] = json!(9)), &[]);
    assert!(said.contains('9'), "{said}");
    let said = refusal("variable", &with(|lock| lock["variables"]["api_key"] = json!({"secret": true})), &[]);
    assert!(said.contains("api_key") && said.contains("SPIN_VARIABLE_API_KEY"), "{said}");
    let said = refusal("model", &with(|_| ()), &["--model", "smollm2-135m-instrct"]);
    assert!(said.contains("smollm2-135m-instruct"), "the nearest name: {said}");
}

#[test]
fn a_missing_model_names_the_line_to_type() {
    let folder = Folder::new("empty-models");
    let output = Command::new(binary("hearth"))
        .args(["serve", "--listen", &free_address().to_string()])
        .env("HEARTH_MODELS", &folder.0)
        .output()
        .expect("hearth");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("hearth pull smollm2-135m-instruct"), "{said}");
}

#[test]
fn spin_asks_for_help_and_launch_metadata() {
    let help = Command::new(binary("trigger-nn-http")).arg("--help-args-only").output().expect("the plugin");
    assert!(help.status.success());
    let text = String::from_utf8_lossy(&help.stdout);
    assert!(text.contains("--listen") && text.contains("--model"), "{text}");
    let metadata = Command::new(binary("trigger-nn-http")).arg("--launch-metadata-only").output().expect("the plugin");
    assert!(metadata.status.success());
    let flags: Value = serde_json::from_slice(&metadata.stderr).expect("JSON on standard error");
    let known = |long: &str| flags["all_flags"].as_array().expect("flags").iter().any(|flag| flag["long"] == long);
    assert!(known("--listen") && known("--log-dir") && known("--model"), "{flags}");
}

#[test]
fn a_taken_port_names_its_holder() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = holder.local_addr().expect("an address").to_string();
    let native = Command::new(binary("hearth")).args(["serve", "--listen", &address, "--model"]).arg(&model).output().expect("hearth");
    let plugin = Command::new(binary("trigger-nn-http"))
        .args(["--from"])
        .arg(root().join("spin.toml"))
        .args(["--listen", &address, "--model"])
        .arg(&model)
        .output();
    for output in [native, plugin.expect("the plugin")] {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&std::process::id().to_string()), "the holder's process id: {said}");
    }
}
