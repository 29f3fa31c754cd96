//! The command line itself: help that teaches, errors in one line with their cure, exit codes.

mod common;

use std::net::TcpListener;

use common::{Home, run};

#[test]
fn help_has_examples() {
    let home = Home::new();
    for command in [
        "",
        "serve",
        "chat",
        "pull",
        "verify",
        "models",
        "bench",
        "capacity",
        "completions",
        "backup",
        "restore",
        "init",
        "config",
        "keys",
        "doctor",
    ] {
        let arguments = [command, "--help"].map(str::to_owned).into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>();
        let arguments = &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..];
        let help = run(&mut home.hearth(arguments)).succeeded().out;
        assert!(help.contains("Examples:\n  hearth "), "{arguments:?}: {help}");
    }
    let version = run(&mut home.hearth(&["--version"])).succeeded().out;
    assert_eq!(version.trim_end(), concat!("hearth ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_taken_port_is_an_error_that_names_its_holder() {
    let home = Home::new();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    let ran = run(&mut home.hearth(&["serve", "--listen", &address]));
    let holder = format!("process {}", std::process::id());
    let ran =
        ran.failed_with(&["error: cannot listen on", &address, if cfg!(target_os = "linux") { &holder } else { "held by" }, "--listen"]);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
}

#[test]
fn a_model_that_is_not_here_is_an_error_with_the_line_to_type() {
    let home = Home::new();
    for command in ["serve", "chat"] {
        let listen = if command == "serve" { vec!["--listen", "127.0.0.1:0", "--model"] } else { vec![] };
        let with = |model| [vec![command], listen.clone(), vec![model]].concat();
        run(&mut home.hearth(&with("gemma-3-270m"))).failed_with(&["error: ", "hearth pull gemma-3-270m"]);
        run(&mut home.hearth(&with("gemma3-270m"))).failed_with(&["did you mean `gemma-3-270m`"]);
        run(&mut home.hearth(&with("./missing.gguf"))).failed_with(&["./missing.gguf", "No such file"]);
    }
    run(&mut home.hearth(&["models", "--path", "gemma-3-270m"])).failed_with(&["hearth pull gemma-3-270m"]);
}

#[test]
fn the_catalog_is_listed_with_what_is_here() {
    let home = Home::new();
    let listed = run(&mut home.hearth(&["models"])).succeeded().out;
    let line = listed.lines().find(|line| line.starts_with("smollm2-135m-instruct")).unwrap();
    assert!(line.contains(" no ") && line.contains("98.4 MB") && line.contains("8192") && line.contains("Apache-2.0"), "{line}");
    assert!(listed.contains(home.path("models").to_str().unwrap()));
    assert!(run(&mut home.hearth(&["verify"])).succeeded().out.contains("hearth pull"));
    let mut without_home = home.hearth(&["models"]);
    run(without_home.env_remove("HEARTH_MODELS")).failed_with(&["HEARTH_MODELS"]);
}
