//! The configuration of the built binary, over real files and variables.

mod common;

use std::{fs, path::Path};

use common::{Home, at_home as hearth, run};
use serde_json::Value;

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// Value and layer of a key.
fn shown(command: &mut std::process::Command, key: &str) -> (Value, String) {
    let document: Value = serde_json::from_str(&run(command).succeeded().out).unwrap();
    let setting = document["settings"].as_array().unwrap().iter().find(|setting| setting["key"] == key).unwrap().clone();
    (setting["value"].clone(), setting["layer"].as_str().unwrap().to_owned())
}

#[test]
fn defaults_file_environment_and_flags_in_this_order() {
    let home = Home::new();
    let show = || hearth(&home, &["config", "show", "--json"]);
    assert_eq!(shown(&mut show(), "sequences"), ("32".into(), "default".into()));
    write(&home.path("home/hearth.toml"), "sequences = 4\nMAX_WORKERS = 3\nlisten = '127.0.0.1:1'\n");
    assert_eq!(shown(&mut show(), "sequences"), ("4".into(), "file".into()));
    assert_eq!(shown(show().env("HEARTH_SEQUENCES", "5"), "sequences"), ("5".into(), "environment".into()));
    assert_eq!(shown(&mut show(), "workers"), ("3".into(), "file".into()));
    assert_eq!(shown(show().env("MAX_WORKERS", "6"), "workers"), ("6".into(), "environment".into()));
    assert_eq!(shown(show().env("MAX_WORKERS", "6").env("HEARTH_WORKERS", "7"), "workers"), ("7".into(), "environment".into()));
    // A flag goes over all: what it names is what cannot be listened on.
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    run(&mut hearth(&home, &["serve", "--listen", &address.to_string()])).failed_with(&[&format!("cannot listen on {address}")]);
    let port = address.port().to_string();
    run(hearth(&home, &["serve"]).env("PORT", &port)).failed_with(&[&format!("cannot listen on {address}")]);
    run(&mut hearth(&home, &["serve", "--port", &port])).failed_with(&[&format!("cannot listen on {address}")]);
    run(hearth(&home, &["serve"]).env("PORT", &port).env("HEARTH_LISTEN", address.to_string())).failed_with(&["cannot listen on"]);
    run(hearth(&home, &["serve"]).env("HEARTH_PORT", &port).env("HEARTH_LISTEN", "127.0.0.1:1")).failed_with(&["are both set: choose one"]);
}

#[test]
fn files_in_three_languages_and_in_three_places() {
    let home = Home::new();
    let show = || hearth(&home, &["config", "show", "--json"]);
    write(&home.path("home/.config/hearth/hearth.toml"), "queue = 1");
    assert_eq!(shown(&mut show(), "queue").0, "1");
    write(&home.path("home/hearth.toml"), "queue = 2");
    assert_eq!(shown(&mut show(), "queue").0, "2");
    write(
        &home.path("c.json"),
        r#"{"host": "127.0.0.1", "port": 8080, "workers": 2, "model_path": "a.gguf", "API_KEY": "s3cret", "queue": 3}"#,
    );
    let json = home.path("c.json");
    assert_eq!(shown(show().env("HEARTH_CONFIG", &json), "queue").0, "3");
    assert_eq!(shown(show().env("HEARTH_CONFIG", &json), "model").0, serde_json::json!(["a.gguf"]));
    assert_eq!(shown(show().env("HEARTH_CONFIG", &json), "api-key").0, "***");
    write(&home.path("c.ini"), "[service]\nPORT = 8080\nqueue = 4\n");
    let ini = home.path("c.ini").to_str().unwrap().to_owned();
    assert_eq!(shown(hearth(&home, &["config", "show", "--json", "--config", &ini]).env("HEARTH_CONFIG", &json), "queue").0, "4");
}

#[test]
fn check_says_what_is_wrong_and_where() {
    let home = Home::new();
    let file = home.path("home/hearth.toml");
    let check = || hearth(&home, &["config", "check"]);
    assert!(run(&mut check()).succeeded().out.contains("there is no file"));
    write(&file, "lissten = '127.0.0.1:1'\nsequences = 0\nkv-cache = 'q8'\nmaster_key_command = 'true'\n");
    run(&mut check()).failed_with(&[
        "hearth.toml:1: there is no key `lissten`; did you mean `listen`?",
        "hearth.toml:2: `sequences` cannot be `0`: at least 1 is needed",
        "hearth.toml:3: `kv-cache` cannot be `q8`: it is one of f16, q8_0",
        "hearth.toml:4: `master-key-command` names a command to run",
    ]);
    write(&file, "host = '0.0.0.0'\n");
    run(&mut check()).failed_with(&["0.0.0.0:18789 can be reached from other machines", "--allow-exposed"]);
    run(&mut hearth(&home, &["serve"])).failed_with(&["--allow-exposed"]);
    write(&file, "master-key = 'short'\n");
    let ran = run(&mut check()).failed_with(&["`master-key`", "32 bytes in base64"]);
    assert!(!ran.err.contains("short"), "{}", ran.err);
    write(&file, "queue = 7\n");
    assert!(run(check().env("HEARTH_QUEU", "1")).succeeded().err.contains("did you mean $HEARTH_QUEUE?"));
    run(check().env("HEARTH_QUEUE", "many")).failed_with(&["$HEARTH_QUEUE: `queue` cannot be `many`"]);
    run(&mut hearth(&home, &["serve", "--api-key", "s3cret"])).failed_with(&["not taken on the command line", "--api-key-file"]);
}

#[test]
fn secrets_are_masked() {
    let home = Home::new();
    write(&home.path("home/hearth.toml"), "api_key = 's3cret-inline'\n");
    write(&home.path("key"), "s3cret-file\n");
    let key = home.path("key");
    for variables in [vec![], vec![("API_KEY", "s3cret-plain")], vec![("HEARTH_API_KEY_FILE", key.to_str().unwrap())]] {
        for form in [&["config", "show"][..], &["config", "show", "--json"]] {
            let ran = run(hearth(&home, form).envs(variables.clone())).succeeded();
            assert!(ran.out.contains("***") && !ran.out.contains("s3cret") && !ran.err.contains("s3cret"), "{} {}", ran.out, ran.err);
        }
    }
}

/// A secret itself is no flag.
#[test]
fn help_of_serve_has_its_companions() {
    let home = Home::new();
    let help = run(&mut hearth(&home, &["serve", "--help"])).succeeded().out;
    assert!(
        help.contains("--api-key-file <FILE>") && help.contains("--master-key-file <FILE>") && !help.contains("--api-key <KEY>"),
        "{help}"
    );
}
