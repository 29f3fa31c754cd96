//! What may befall a server: it is killed while it writes, its disk is full, its clock jumps, its files are cut short. Nothing acknowledged is lost, and what fails says so.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use hearth_tests::{Scratch, Server, Shape, Surroundings, binary, request, root, skip, stream, test_data};
use serde_json::{Value, json};

#[test]
fn what_was_acknowledged_outlives_a_hundred_kills() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    for (shape, kills) in [(Shape::Native, 80), (Shape::Wasm, 20)] {
        let folder = Scratch::new("kills");
        let surroundings = Surroundings { state: Some(folder.path().to_owned()), ..Surroundings::default() };
        let mut server = Server::start_amid(&surroundings, shape, &model, &["--context", "512"]);
        let (mut kept, mut round) = (Vec::new(), 0);
        while round < kills {
            listening(server.address);
            // All of the last round, and one in ten of those before: each of them has been looked for when it was new.
            let newest = kept.len().saturating_sub(200);
            for (index, (id, words)) in kept.iter().enumerate().filter(|(index, _)| *index >= newest || index % 10 == round % 10) {
                let found = request(server.address, "GET", &format!("/v1/conversations/{id}/items"), None).expect("an answer");
                assert_eq!(found.status, 200, "{shape:?}: after {round} kills conversation {index} is lost: {:?}", found.json());
                let said = &found.json()["data"][0]["content"][0]["text"];
                assert_eq!(said, words, "{shape:?}: conversation {index} after {round} kills");
            }
            kept.extend(write_until_killed(&mut server, round));
            round += 1;
            server.start_again();
        }
        eprintln!("{shape:?}: {} conversations acknowledged through {kills} kills", kept.len());
        assert!(kept.len() > kills * 4, "{shape:?}: {} conversations in {kills} rounds are no load", kept.len());
    }
}

/// Has four clients keep conversations and kills the server in their midst; the ids and the words of those acknowledged.
fn write_until_killed(server: &mut Server, round: usize) -> Vec<(String, String)> {
    let (address, count) = (server.address, AtomicUsize::new(0));
    let client = |client: usize| {
        let mut acknowledged = Vec::new();
        loop {
            let words = format!("words {} of client {client} in round {round}", acknowledged.len());
            let body = json!({"items": [{"role": "user", "content": words}]}).to_string();
            let answer = request(address, "POST", "/v1/conversations", Some(body.as_bytes())).ok().filter(|answer| answer.status == 200);
            // An answer that was cut short acknowledges nothing.
            let Some(answer) = answer.and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok()) else { return acknowledged };
            acknowledged.push((answer["id"].as_str().expect("an id").to_owned(), words));
            count.fetch_add(1, Relaxed);
        }
    };
    thread::scope(|scope| {
        let client = &client;
        let clients: Vec<_> = (0..4).map(|index| scope.spawn(move || client(index))).collect();
        // In the midst of work, however fast the disk is, and somewhere else in it each time.
        let deadline = Instant::now() + Duration::from_secs(60);
        while count.load(Relaxed) < 5 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_micros((round as u64).wrapping_mul(7_919) % 60_000));
        server.kill();
        clients.into_iter().flat_map(|client| client.join().expect("no client failed")).collect()
    })
}

#[test]
fn a_full_disk_refuses_to_keep_and_goes_on_chatting() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    let folder = Scratch::new("disk");
    let mounted = format!("mount -t tmpfs -o size=3m tmpfs '{}' && exec \"$@\"", folder.path().display());
    let wrapper = ["unshare", "--map-root-user", "--mount", "sh", "-c"].map(str::to_owned);
    let mut probe = Command::new(&wrapper[0]);
    probe.args(&wrapper[1..]).args([&mounted, "sh", "true"]).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        return skip("a mount namespace of one's own is not allowed here (unshare --map-root-user --mount)");
    }
    for shape in Shape::ALL {
        let wrapper = wrapper.iter().cloned().chain([mounted.clone(), "sh".to_owned()]).collect();
        let surroundings = Surroundings { wrapper, state: Some(folder.path().to_owned()), ..Surroundings::default() };
        let server = Server::start_amid(&surroundings, shape, &model, &["--context", "512"]);
        server.wait();
        let long = "x".repeat(100_000);
        let body = json!({"items": [{"role": "user", "content": long}]}).to_string();
        let mut kept = Vec::new();
        let refused = loop {
            let answer = request(server.address, "POST", "/v1/conversations", Some(body.as_bytes())).expect("an answer");
            if answer.status != 200 {
                break answer;
            }
            kept.push(answer.json()["id"].as_str().expect("an id").to_owned());
            assert!(kept.len() < 100, "{shape:?}: 10 MB fit into 3");
        };
        assert!((500..600).contains(&refused.status) && refused.json()["error"]["code"] == "store_failed", "{shape:?}: {}", refused.json());
        for id in &kept {
            let found = request(server.address, "GET", &format!("/v1/conversations/{id}/items"), None).expect("an answer");
            assert_eq!(found.json()["data"][0]["content"][0]["text"], long.as_str(), "{shape:?}: what was kept before is whole");
        }
        assert_eq!(chat(server.address), 200, "{shape:?}: a chat needs no disk");
        eprintln!("{shape:?}: {} conversations fit; then: {}", kept.len(), refused.json()["error"]["message"]);
    }
}

#[test]
fn jumps_of_the_clock_end_nothing() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    let Some(library) = clock_library() else { return skip("libfaketime is missing (Debian's package of this name)") };
    for shape in Shape::ALL {
        let folder = Scratch::new("clock");
        let clock = folder.join("clock");
        // A rename, for a clock that is read while it is written would be none.
        let set = |jump: &str| {
            fs::write(folder.join("next"), jump).expect("a clock");
            fs::rename(folder.join("next"), &clock).expect("a clock");
        };
        set("+0");
        let environment = [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", clock.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
        let surroundings = Surroundings { environment, state: Some(folder.join("state")), ..Surroundings::default() };
        let server = Server::start_amid(&surroundings, shape, &model, &["--context", "2048"]);
        server.wait();
        let body = json!({"items": [{"role": "user", "content": "Keep this."}]}).to_string();
        let kept = request(server.address, "POST", "/v1/conversations", Some(body.as_bytes())).expect("an answer").json();
        for jump in ["+400d", "-400d", "+1h", "+0"] {
            let asked =
                json!({"messages": [{"role": "user", "content": "Tell a story."}], "max_tokens": 100, "stream": true, "temperature": 0});
            let mut story = stream(server.address, "/v1/chat/completions", &asked).expect("a stream");
            story.next_event().expect("an event");
            set(jump);
            assert!(!story.text().expect("a whole answer").is_empty(), "{shape:?}: the answer under way when the clock went by {jump}");
            assert_eq!(chat(server.address), 200, "{shape:?}: after {jump}");
            let found = request(server.address, "GET", &format!("/v1/conversations/{}", kept["id"].as_str().expect("an id")), None);
            assert_eq!(found.expect("an answer").json()["created_at"], kept["created_at"], "{shape:?}: after {jump}");
        }
        let created = |answer: &Value| answer["created_at"].as_i64().expect("a time");
        set("+400d");
        let later = request(server.address, "POST", "/v1/conversations", Some(body.as_bytes())).expect("an answer").json();
        assert!(created(&later) - created(&kept) > 399 * 86_400, "{shape:?}: the clock did not jump: {kept} {later}");
    }
}

#[test]
fn files_that_are_cut_short_are_named() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    let folder = Scratch::new("cut");
    let bytes = fs::read(&model).expect("the model");
    let (cut, head) = (folder.join("cut.gguf"), folder.join("head.gguf"));
    fs::write(&cut, &bytes[..bytes.len() / 2]).expect("half a model");
    fs::write(&head, &bytes[..1000]).expect("the beginning of a model");
    for model in [&cut, &head] {
        let said = fails(Shape::Native, model, &folder.join("state"));
        let name = model.file_stem().expect("a name").to_string_lossy();
        assert!(said.contains(&*format!("model `{name}` could not be loaded")), "the model is not named: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// The library that changes a program's clock: the system's, or that which `cargo xtask test` unpacked.
fn clock_library() -> Option<PathBuf> {
    let folder = if cfg!(target_arch = "aarch64") { "usr/lib/aarch64-linux-gnu" } else { "usr/lib/x86_64-linux-gnu" };
    let name = Path::new(folder).join("faketime/libfaketimeMT.so.1");
    let system = Path::new("/").join(&name);
    if system.exists() { Some(system) } else { test_data("debian").map(|debian| debian.join(name)) }
}

/// What a server says that cannot start.
fn fails(shape: Shape, model: &Path, state: &Path) -> String {
    let mut command = match shape {
        Shape::Native => {
            let mut command = Command::new(binary("hearth"));
            command.arg("serve");
            command
        }
        Shape::Wasm => {
            let mut command = Command::new(binary("trigger-nn-http"));
            command.arg("--from").arg(root().join("spin.toml"));
            command
        }
    };
    command.args(["--listen", "127.0.0.1:0", "--device", "cpu", "--context", "512", "--model"]).arg(model).arg("--state-dir").arg(state);
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    assert!(!output.status.success(), "{shape:?} starts with {}", model.display());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn chat(address: SocketAddr) -> u16 {
    let body = json!({"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4, "temperature": 0}).to_string();
    request(address, "POST", "/v1/chat/completions", Some(body.as_bytes())).expect("an answer").status
}

/// Waits until the server takes connections; its model may still be loading.
fn listening(address: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while request(address, "GET", "/v1/conversations/none", None).is_err() {
        assert!(Instant::now() < deadline, "the server does not listen");
        thread::sleep(Duration::from_millis(5));
    }
}
