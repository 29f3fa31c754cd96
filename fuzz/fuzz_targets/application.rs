//! Any locked application (behind an `l`) or manifest: it ends in an application whose variables resolve or are refused, or in a refusal of bounded length.
#![no_main]

use std::{path::PathBuf, sync::LazyLock};

// The reader alone: with the host around it come wasmtime and the engine, which take long to build for fuzzing.
#[path = "../../runtime/host/src/app/mod.rs"]
#[allow(dead_code)]
mod app;

use app::{
    locked,
    routes::Routes,
    spin_toml,
    variables::{self, Given},
};

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary folder"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((language, bytes)) = bytes.split_first() else { return };
    let path: PathBuf = FOLDER.path().join("application");
    std::fs::write(&path, bytes).expect("writes");
    let read = if *language == b'l' { locked::read(&format!("file://{}", path.display())) } else { spin_toml::read(&path) };
    let app = match read {
        Ok(app) => app,
        Err(error) => return assert!(error.to_string().len() < 4000 + bytes.len()),
    };
    let mut routes = Routes::default();
    for (target, trigger) in app.triggers.iter().enumerate() {
        if routes.add(&trigger.route, target).is_ok() {
            assert!(routes.find(trigger.route.strip_suffix("/...").unwrap_or(&trigger.route)).is_some());
        }
    }
    let Ok(given) = Given::collect(&app, [("models".to_owned(), "a,b".to_owned())], |_| None) else { return };
    if let Ok(values) = variables::resolve(&app, &given, Some(&["a".to_owned()])) {
        assert!(values.len() <= app.components.len());
    }
});
