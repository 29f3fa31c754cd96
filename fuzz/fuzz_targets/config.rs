//! Any file, behind a letter that says its language: it ends in a configuration, or in refusals of bounded length that do not show the secret.
#![no_main]

use std::{ffi::OsString, path::PathBuf, sync::LazyLock};

use clap::{Arg, ArgAction, Command, value_parser};
use hearth_config::{Environment, Failure, Layers, Search, prepare};

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary folder"));

fn program() -> Command {
    let service = Command::new("serve")
        .arg(Arg::new("config").long("config"))
        .arg(Arg::new("port").long("port").default_value("80").value_parser(value_parser!(u16).range(1..)))
        .arg(Arg::new("models").long("model").alias("model-path").action(ArgAction::Append))
        .arg(Arg::new("preload").long("preload").action(ArgAction::SetTrue))
        .arg(Arg::new("name").long("name"))
        .arg(Arg::new("api_key").long("api-key").hide_env_values(true));
    Command::new("s").subcommand(prepare(service))
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((language, bytes)) = bytes.split_first() else { return };
    let name = match language {
        b'j' => "c.json",
        b'i' => "c.ini",
        _ => "c.toml",
    };
    let path: PathBuf = FOLDER.path().join(name);
    std::fs::write(&path, bytes).expect("writes");
    let arguments: Vec<OsString> = ["s", "serve", "--config"].iter().map(OsString::from).chain([path.into_os_string()]).collect();
    let layers = Layers {
        program: program(),
        subcommand: "serve",
        arguments: &arguments,
        environment: &Environment::default(),
        prefix: "S_",
        other_variables: &[],
        plain_names: &[],
        search: Search::default(),
    };
    match layers.resolve() {
        Ok(resolved) => {
            let secret = resolved.setting("api-key").expect("a key");
            assert!(secret.values.iter().all(|value| value == "***"));
            assert!(!hearth_config::text(&resolved).is_empty());
        }
        Err(Failure::Problems(problems)) => assert!(problems.problems.iter().all(|problem| problem.to_string().len() < 2000)),
        Err(Failure::CommandLine(error)) => panic!("{error}"),
    }
});
