//! Setting a service up and examining it, with the built binary.

mod common;

use std::fs;

use common::{Home, at_home as hearth, run};
use serde_json::Value;

#[cfg(unix)]
fn mode(path: &std::path::Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777
}

#[test]
fn init_makes_what_a_service_needs_and_overwrites_nothing() {
    let home = Home::new();
    let made = run(&mut hearth(&home, &["init"])).succeeded().out;
    let tokens: Vec<&str> = made.lines().map(str::trim).filter(|line| line.starts_with("hearth-")).collect();
    assert_eq!(tokens.len(), 3, "{made}");
    #[cfg(unix)]
    for (name, bits) in [
        ("home/.config/hearth/hearth.toml", 0o600),
        ("home/.config/hearth/master.key", 0o600),
        ("home/.local/share/hearth/state", 0o700),
        ("home/.local/share/hearth/state/key-value.db", 0o600),
    ] {
        assert_eq!(mode(&home.path(name)), bits, "{name}");
    }
    let store = fs::read(home.path("home/.local/share/hearth/state/key-value.db")).unwrap();
    for token in tokens {
        let secret = token.rsplit('-').next().unwrap();
        assert!(!store.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "a secret is in the store");
    }
    assert!(run(&mut hearth(&home, &["config", "check"])).succeeded().out.contains("nothing is wrong"));
    let shown = run(&mut hearth(&home, &["config", "show"])).succeeded().out;
    assert!(shown.lines().any(|line| line.starts_with("keys ") && line.contains("required")), "{shown}");
    run(&mut hearth(&home, &["init"])).failed_with(&["is there already"]);
    // Another configuration over the same state: its keys stay as they are.
    let other = home.path("home/other.toml").to_str().unwrap().to_owned();
    assert!(run(&mut hearth(&home, &["init", "--config", &other])).succeeded().out.contains("There are keys already"));
}

#[test]
fn keys_are_made_listed_rotated_and_revoked() {
    let home = Home::new();
    let keys = |arguments: &[&str]| {
        let mut words = vec!["keys", "--json"];
        words.extend(arguments);
        let out = run(&mut hearth(&home, &words)).succeeded().out;
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let made = keys(&["create", "web", "--scope", "chat,read", "--requests-per-minute", "60", "--expires-in", "1"]);
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    assert!(token.starts_with(&format!("hearth-{id}-")) && token.len() == 7 + 32 + 1 + 64, "{token}");
    let listed = keys(&["list"]);
    assert_eq!((&listed[0]["name"], &listed[0]["scopes"]), (&"web".into(), &serde_json::json!(["chat", "read"])));
    assert_eq!(listed[0]["limits"]["requests_per_minute"], 60);
    assert!(!listed.to_string().contains(made["secret"].as_str().unwrap()));
    let rotated = keys(&["rotate", id]);
    assert!(rotated["id"] == id && rotated["secret"] != made["secret"]);
    assert!(keys(&["revoke", id])["revoked"].is_u64());
    run(&mut hearth(&home, &["keys", "rotate", id])).failed_with(&["was revoked"]);
    run(&mut hearth(&home, &["keys", "revoke", "0123"])).failed_with(&["there is no key 0123"]);
    let text = run(&mut hearth(&home, &["keys", "list"])).succeeded().out;
    assert!(text.contains("REVOKED") && text.contains("60 requests a minute"), "{text}");
    assert_eq!(keys(&["rotate-data-key"])["unreadable"], 0);
}

#[test]
fn doctor_finds_faults_and_says_their_cure() {
    let home = Home::new();
    run(&mut hearth(&home, &["init"])).succeeded();
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    #[cfg(unix)]
    {
        let master = home.path("home/.config/hearth/master.key");
        fs::set_permissions(&master, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    }
    fs::write(home.path("home/.local/share/hearth/state/key-value.db"), b"no store").unwrap();
    let mut doctor = hearth(&home, &["doctor", "--json"]);
    let ran = run(doctor.env("PORT", &port).env("HEARTH_DEVICE", "cpu")).failed_with(&["findings are errors"]);
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    let found = |check: &str, severity: &str| {
        let findings = document["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["check"] == check && finding["severity"] == severity);
        finding.unwrap_or_else(|| panic!("no {severity} of {check}: {document:#}")).clone()
    };
    assert!(found("port", "error")["message"].as_str().unwrap().contains("is held by"));
    assert!(found("store", "error")["cure"].as_str().unwrap().contains("backup"));
    assert!(found("models", "error")["message"].as_str().unwrap().contains("hearth pull"));
    #[cfg(unix)]
    assert!(found("files", "error")["cure"].as_str().unwrap().starts_with("chmod 600"));
    found("device", "ok");
    found("clock", "ok");
    assert!(document["errors"].as_u64().unwrap() >= 3);
    // As text.
    let text = run(hearth(&home, &["doctor"]).env("PORT", &port).env("HEARTH_DEVICE", "cpu")).failed_with(&[]).out;
    assert!(text.contains("ERROR") && text.contains("→ "), "{text}");
    // A configuration that is wrong is a finding too.
    let wrong = run(hearth(&home, &["doctor"]).env("HEARTH_QUEUE", "x")).failed_with(&[]).out;
    assert!(wrong.contains("ERROR") && wrong.contains("$HEARTH_QUEUE"), "{wrong}");
}

/// One request; its status.
#[cfg(unix)]
fn status(address: &str, path: &str, key: Option<&str>) -> u16 {
    use std::io::{Read, Write};
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    let key = key.map_or(String::new(), |key| format!("authorization: Bearer {key}\r\n"));
    write!(socket, "GET {path} HTTP/1.1\r\nhost: test\r\n{key}connection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

#[cfg(unix)]
#[test]
fn a_service_that_init_made_asks_for_its_keys_and_reloads() {
    use std::io::{BufRead, BufReader};
    let Some(model) = common::model() else { return };
    let home = Home::new();
    let made = run(&mut hearth(&home, &["init"])).succeeded().out;
    let token = made.lines().map(str::trim).find(|line| line.starts_with("hearth-")).unwrap().to_owned();
    let mut serve = hearth(&home, &["serve", "--port", "0", "--model", &model, "--device", "cpu"]);
    let mut server = serve.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
    let line = said.next().unwrap().unwrap();
    let address = line.rsplit('/').next().unwrap().to_owned();
    let models = |key: Option<&str>| status(&address, "/v1/models", key);
    assert_eq!((models(None), models(Some("wrong")), models(Some(&token))), (401, 401, 200));
    assert_eq!(status(&address, "/health", None), 200);

    let file = home.path("home/.config/hearth/hearth.toml");
    let text = fs::read_to_string(&file).unwrap();
    let mut reload = |text: &str, says: &[&str]| {
        fs::write(&file, text).unwrap();
        assert!(std::process::Command::new("/bin/kill").args(["-HUP", &server.id().to_string()]).status().unwrap().success());
        for says in says {
            let line = log.next().unwrap().unwrap();
            assert!(line.contains(says), "{line}");
        }
    };
    reload(&format!("{text}\napi_key = 'of the house'\n"), &["api-key changed"]);
    assert_eq!((models(Some("of the house")), models(Some(&token))), (200, 200));
    // What is wrong changes nothing.
    reload(&format!("{text}\napi_kee = 'x'\n"), &["is not taken, all stays as it was"]);
    assert_eq!(models(Some("of the house")), 200);
    reload(&format!("{text}\nqueue = 7\n"), &["api-key changed", "queue changed, which needs a restart"]);
    assert_eq!((models(Some("of the house")), models(Some(&token))), (401, 200));
    server.kill().unwrap();
    server.wait().unwrap();
}

/// A command that prints the master key is somebody else's program: the service's other secrets are none of its business.
#[cfg(unix)]
#[test]
fn the_command_for_the_master_key_sees_no_other_secret() {
    let home = Home::new();
    home.executable("keeper", "env > seen\necho AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let folder = home.path("home/.config/hearth");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("hearth.toml"), "master-key-command = 'keeper'\n").unwrap();
    let secrets = [("HEARTH_API_KEY", "first-secret"), ("API_KEY", "second-secret"), ("HEARTH_LISTEN", "127.0.0.1:1")];
    run(hearth(&home, &["keys", "rotate-data-key"]).envs(secrets)).succeeded();
    let seen = fs::read_to_string(home.path("home/seen")).unwrap();
    assert!(seen.contains("HEARTH_LISTEN=127.0.0.1:1") && !seen.contains("API_KEY"), "{seen}");
}
