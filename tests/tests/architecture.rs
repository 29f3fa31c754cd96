//! The arrows of the house (docs/architecture.md): which crate may use which. A new arrow is a decision, taken here first.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// Each room and the rooms that it may use.
const ARROWS: [(&str, &[&str]); 14] = [
    ("hearth-function", &[]),
    ("hearth", &["hearth-config", "hearth-engine", "hearth-function", "hearth-server", "hearth-store"]),
    ("hearth-host", &["hearth-engine", "hearth-server", "hearth-store"]),
    ("hearth-nn", &["hearth-engine"]),
    ("hearth-stand-in", &[]),
    ("hearth-engine", &["hearth-kernels", "hearth-models"]),
    ("hearth-models", &["hearth-kernels"]),
    ("hearth-kernels", &[]),
    ("hearth-config", &[]),
    ("hearth-remote", &[]),
    ("hearth-server", &[]),
    ("hearth-store", &[]),
    ("hearth-tests", &[]),
    ("xtask", &[]),
];

/// Foreign crates that must not be seen from a room, at any depth below its own dependencies.
const FORBIDDEN: [(&str, &[&str]); 5] = [
    ("hearth-config", &["tokio", "hyper", "http", "burn"]),
    ("hearth-function", &["wasmtime", "burn", "tokio", "hyper", "mio", "socket2"]),
    ("hearth-engine", &["wasmtime", "hyper", "http"]),
    ("hearth-server", &["burn", "wasmtime"]),
    ("hearth-store", &["hyper", "http", "burn", "wasmtime"]),
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline", "--manifest-path"])
        .arg(hearth_tests::root().join("Cargo.toml"))
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// For each package its direct dependencies outside of tests.
fn dependencies(metadata: &Value) -> BTreeMap<String, Vec<String>> {
    let names: BTreeMap<_, _> = list(&metadata["packages"]).map(|package| (text(&package["id"]), text(&package["name"]))).collect();
    list(&metadata["resolve"]["nodes"])
        .map(|node| {
            let needed = list(&node["deps"])
                .filter(|dependency| list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null()))
                .map(|dependency| names[&text(&dependency["pkg"])].clone())
                .collect();
            (text(&node["id"]), needed)
        })
        .map(|(id, needed): (String, Vec<String>)| (names[&id].clone(), needed))
        .fold(BTreeMap::new(), |mut all, (name, needed)| {
            all.entry(name).or_insert_with(Vec::new).extend(needed);
            all
        })
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("an array").iter()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

#[test]
fn rooms_use_only_what_the_table_allows() {
    let metadata = metadata();
    let graph = dependencies(&metadata);
    let members: Vec<String> = list(&metadata["workspace_members"])
        .map(|id| list(&metadata["packages"]).find(|package| package["id"] == *id).map(|package| text(&package["name"])).expect("a member"))
        .collect();
    for member in &members {
        let allowed =
            ARROWS.iter().find(|(room, _)| room == member).unwrap_or_else(|| panic!("{member} is a new room: add it to the table")).1;
        for needed in graph[member].iter().filter(|needed| members.contains(needed)) {
            assert!(allowed.contains(&needed.as_str()), "{member} must not use {needed}");
        }
    }
}

#[test]
fn rooms_do_not_see_what_is_none_of_their_business() {
    let graph = dependencies(&metadata());
    for (room, forbidden) in FORBIDDEN {
        // Wasm-only dependencies are in the graph too; the handler's SDK may bring its own runtime there, so only what the room itself names counts for it.
        for needed in &graph[room] {
            assert!(!forbidden.contains(&needed.as_str()), "{room} must not use {needed}");
        }
    }
}

/// `unsafe` and the target's `cfg` have one home each.
#[test]
fn source_keeps_unsafe_and_wasm_in_their_rooms() {
    let root = hearth_tests::root();
    for folder in ["function", "native", "runtime", "models", "xtask", "tests"] {
        visit(&root.join(folder), &mut |path, source| {
            let name = path.strip_prefix(&root).expect("below the root").display().to_string();
            // Kernels; the memory maps; wasmtime's compiled components; the bindings that are generated for a component.
            let homes = [
                "models/src/gguf/map.rs",
                "models/src/packed.rs",
                "runtime/host/src/cache.rs",
                "function/src/wasm/mod.rs",
                "runtime/nn/src/bindings.rs",
                "runtime/stand-in/src/bindings.rs",
                "runtime/remote/src/bindings.rs",
                "tests/tests/architecture.rs",
            ];
            let allows_unsafe = name.starts_with("runtime/kernels/") || homes.contains(&name.as_str());
            if source.contains(concat!("allow(", "unsafe_code)")) {
                assert!(allows_unsafe, "{name}: unsafe belongs in runtime/kernels, or in one of {homes:?}");
            }
            if name.starts_with("function/src/") && name != "function/src/lib.rs" {
                assert!(!source.contains(concat!("target_family = ", "\"wasm\"")), "{name}: what is for wasm belongs in src/wasm");
            }
            let lines = source.lines().count();
            let reasoned = source.lines().next().is_some_and(|line| line.contains("long because"));
            assert!(lines <= 800 || reasoned, "{name} has {lines} lines: split it by its nouns");
        });
    }
}

fn visit(folder: &std::path::Path, check: &mut dyn FnMut(&std::path::Path, &str)) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with("weights") {
            visit(&path, check);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            check(&path, &std::fs::read_to_string(&path).expect("source is UTF-8"));
        }
    }
}
