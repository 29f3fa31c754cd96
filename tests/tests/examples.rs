//! The plugin as it is packed for Spin, and the guests of examples/ in it: each in tensor and in generate mode, in two languages.

use std::{
    fs,
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use hearth_tests::{binary, free_address, request, root, test_data};
use serde_json::{Value, json};

/// A plugin that runs one guest; it ends with the test.
struct Guest {
    child: Child,
    address: SocketAddr,
}

impl Guest {
    fn start(plugin: &Path, language: &str, models: &Path) -> Self {
        let component = root().join(format!("target/examples/{language}.wasm"));
        assert!(component.exists(), "{} is missing: `cargo xtask examples` builds it", component.display());
        let address = free_address();
        let mut command = Command::new(plugin);
        command.arg("--from").arg(root().join("examples").join(language).join("spin.toml")).env("HEARTH_MODELS", models);
        command.args(["--listen", &address.to_string(), "--device", "cpu", "--context", "512", "--quiet"]);
        let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the plugin starts");
        let mut guest = Self { child, address };
        let deadline = Instant::now() + Duration::from_secs(240);
        // Until the model is loaded, which the guest answers 503.
        while !request(address, "GET", "/tensor?1", None).is_ok_and(|response| response.status == 200) {
            if guest.child.try_wait().expect("a child").is_some() || Instant::now() > deadline {
                let _ = guest.child.kill();
                let mut said = String::new();
                let _ = guest.child.stderr.take().expect("piped").read_to_string(&mut said);
                panic!("the guest in {language} does not answer: {said}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        guest
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
        let body = body.map(|body| body.to_string().into_bytes());
        let response = request(self.address, method, path, body.as_deref()).expect("an answer");
        (response.status, String::from_utf8(response.body).expect("UTF-8"))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The plugin's folder as `spin plugins install` leaves it: what the manifest's tarball has, once its hash was compared.
fn installed(folder: &Path) -> PathBuf {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).expect("a folder");
    let target = binary("trigger-nn-http").parent().expect("a folder").to_owned();
    let packed = Command::new(target.join("xtask")).args(["plugin", "--binaries"]).arg(&target).output().expect("xtask");
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    let manifest = fs::read(root().join("target/package/trigger-nn-http.json")).expect("the manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    // All that Spin asks of a manifest.
    for field in ["name", "version", "spinCompatibility", "license"] {
        assert!(manifest[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {manifest}");
    }
    assert_eq!(manifest["name"], "trigger-nn-http", "the name that `spin up` looks for");
    let package = &manifest["packages"][0];
    assert_eq!((package["os"].as_str(), package["arch"].as_str().is_some()), (Some(std::env::consts::OS), true), "{package}");
    let tarball = package["url"].as_str().and_then(|url| url.strip_prefix("file://")).expect("a file");
    let hashed = Command::new("sha256sum").arg(tarball).output().expect("sha256sum");
    assert!(String::from_utf8_lossy(&hashed.stdout).starts_with(package["sha256"].as_str().expect("a hash")), "{package}");
    let unpacked = Command::new("tar").args(["--extract", "--gzip", "--file", tarball, "--directory"]).arg(folder).status().expect("tar");
    assert!(unpacked.success());
    folder.join("trigger-nn-http")
}

#[test]
fn guests_in_two_languages_run_a_model_in_both_modes_in_the_packed_plugin() {
    let (Some(models), Some(_)) = (test_data("models"), test_data("smollm2.gguf")) else { return };
    let folder = std::env::temp_dir().join(format!("hearth-plugin-{}", std::process::id()));
    let plugin = installed(&folder);
    let prompt = [504, 5575, 282, 4649, 314].map(Value::from);
    let request = json!({"tokens": prompt, "max_tokens": 8, "ignore_end": true, "sampling": {"temperature": 0}});
    let mut answers = Vec::new();
    for language in ["rust", "python"] {
        let guest = Guest::start(&plugin, language, &models);
        let (status, tokens) = guest.ask("GET", "/tensor?504,5575,282,4649,314", None);
        let tokens: Value = serde_json::from_str(&tokens).unwrap_or_else(|_| panic!("{language}: {status} {tokens}"));
        assert_eq!((status, tokens["tokens"].as_array().map(Vec::len)), (200, Some(8)), "{language}");
        let (status, text) = guest.ask("POST", "/generate", Some(&request));
        assert_eq!(status, 200, "{language}: {text}");
        // The likeliest token each time is what the host's own sampler takes at temperature 0: after all tokens but the last that the guest chose, it says how the text ends.
        let chosen = tokens["tokens"].as_array().expect("tokens");
        let before: Vec<&Value> = prompt.iter().chain(&chosen[..7]).collect();
        let last = json!({"tokens": before, "max_tokens": 1, "ignore_end": true, "sampling": {"temperature": 0}});
        let (status, last) = guest.ask("POST", "/generate", Some(&last));
        assert!(status == 200 && !last.is_empty() && text.ends_with(&last), "{language}: {status} {last:?} is not the end of {text:?}");
        // What is wrong is the guest's to tell, in the host's words.
        let (status, refused) = guest.ask("POST", "/generate", Some(&json!({"tokens": [1], "nonsense": true})));
        assert!(status == 400 && refused.contains("nonsense"), "{language}: {status} {refused}");
        assert_eq!(guest.ask("GET", "/tensor?x", None).0, 400, "{language}");
        assert_eq!(guest.ask("GET", "/elsewhere", None).0, 404, "{language}");
        answers.push((tokens, text));
    }
    assert_eq!(answers[0], answers[1], "Rust and Python");
    assert!(!answers[0].1.trim().is_empty(), "{answers:?}");
    let _ = fs::remove_dir_all(&folder);
}
