//! What the programs are made of, as CycloneDX 1.5 (JSON): each crate that is linked into one of them, with its licence and the hash by which Cargo.lock pins it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::VERSION;
use crate::{command::cargo, toolchain::output};

/// The crates of the programs.
const PROGRAMS: [&str; 2] = ["hearth", "hearth-host"];

/// The document. It has no time and no number of its own, so that the same sources make the same.
pub(super) fn write(root: &Path) -> Result<String> {
    let host = output("rustc", &["-vV"]).unwrap_or_default();
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not say for what it compiles")?;
    let metadata = cargo(root).args(["metadata", "--format-version", "1", "--locked", "--filter-platform", host]).output()?;
    anyhow::ensure!(metadata.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&metadata.stderr));
    let metadata = serde_json::from_slice(&metadata.stdout)?;
    let lock = fs::read_to_string(root.join("Cargo.lock"))?;
    Ok(format!("{:#}\n", document(&metadata, &hashes(&lock))?))
}

/// The hashes that Cargo.lock has, by name and version.
fn hashes(lock: &str) -> BTreeMap<(String, String), String> {
    let field = |package: &str, name: &str| {
        package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = ").map(|value| value.trim_matches('"').to_owned()))
    };
    let packages = lock.split("[[package]]").skip(1);
    packages.filter_map(|package| Some(((field(package, "name")?, field(package, "version")?), field(package, "checksum")?))).collect()
}

fn document(metadata: &Value, hashes: &BTreeMap<(String, String), String>) -> Result<Value> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages: BTreeMap<String, Value> =
        list(&metadata["packages"]).into_iter().map(|package| (text(&package["id"]), package)).collect();
    // Those of a build script or a test are in no program.
    let linked = |dependency: &Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
    let edges: BTreeMap<String, Vec<String>> = list(&metadata["resolve"]["nodes"])
        .iter()
        .map(|node| {
            (
                text(&node["id"]),
                list(&node["deps"]).iter().filter(|dependency| linked(dependency)).map(|dependency| text(&dependency["pkg"])).collect(),
            )
        })
        .collect();
    let mut open: Vec<String> =
        packages.iter().filter(|(_, package)| PROGRAMS.contains(&&*text(&package["name"]))).map(|(id, _)| id.clone()).collect();
    let mut seen: BTreeSet<String> = open.iter().cloned().collect();
    while let Some(id) = open.pop() {
        for next in edges.get(&id).into_iter().flatten() {
            if seen.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    let reference = |package: &Value| format!("pkg:cargo/{}@{}", text(&package["name"]), text(&package["version"]));
    let mut components: Vec<Value> = Vec::new();
    let mut dependencies: Vec<Value> = Vec::new();
    for id in &seen {
        let package = packages.get(id).context("cargo names a package that it does not describe")?;
        let (name, version) = (text(&package["name"]), text(&package["version"]));
        let mut component =
            json!({"type": "library", "bom-ref": reference(package), "name": name, "version": version, "purl": reference(package)});
        if let Some(licence) = package["license"].as_str() {
            // Crates of old have a slash where the expression has OR.
            component["licenses"] = json!([{"expression": licence.replace('/', " OR ")}]);
        } else if let Some(file) = package["license_file"].as_str() {
            component["licenses"] = json!([{"license": {"name": format!("as its file {file} says")}}]);
        }
        if let Some(hash) = hashes.get(&(name, version)) {
            component["hashes"] = json!([{"alg": "SHA-256", "content": hash}]);
        }
        components.push(component);
        let mut on: Vec<String> = edges.get(id).into_iter().flatten().filter_map(|id| packages.get(id)).map(reference).collect();
        on.sort();
        on.dedup();
        dependencies.push(json!({"ref": reference(package), "dependsOn": on}));
    }
    components.sort_by_key(|component| text(&component["bom-ref"]));
    dependencies.sort_by_key(|dependency| text(&dependency["ref"]));
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": "hearth-release", "name": "hearth", "version": VERSION, "licenses": [{"expression": "Apache-2.0"}]}},
        "components": components,
        "dependencies": dependencies,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_listed_and_what_only_builds_is_not() {
        let package = |name: &str| json!({"id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0"});
        let dependency = |name: &str, kind: Value| json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
        let metadata = json!({
            "packages": [package("hearth"), package("linked"), package("deep"), package("builds"), package("other")],
            "resolve": {"nodes": [
                {"id": "hearth", "deps": [dependency("linked", Value::Null), dependency("builds", json!("build"))]},
                {"id": "linked", "deps": [dependency("deep", Value::Null)]},
                {"id": "deep", "deps": []}, {"id": "builds", "deps": []}, {"id": "other", "deps": [dependency("linked", Value::Null)]},
            ]},
        });
        let lock = "version = 4\n\n[[package]]\nname = \"deep\"\nversion = \"1.0.0\"\nsource = \"s\"\nchecksum = \"abc\"\n\n[[package]]\nname = \"hearth\"\nversion = \"1.0.0\"\n";
        let document = document(&metadata, &hashes(lock)).unwrap();
        let names: Vec<&str> =
            document["components"].as_array().unwrap().iter().map(|component| component["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["deep", "hearth", "linked"]);
        assert_eq!(document["components"][0]["hashes"][0]["content"], "abc");
        assert_eq!(document["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(document["dependencies"][1], json!({"ref": "pkg:cargo/hearth@1.0.0", "dependsOn": ["pkg:cargo/linked@1.0.0"]}));
    }

    /// Of this workspace: every program is in it, and every crate that comes from elsewhere has its hash.
    #[test]
    fn the_document_of_this_workspace_is_whole() {
        let document: Value = serde_json::from_str(&write(&crate::root()).unwrap()).unwrap();
        let components = document["components"].as_array().unwrap();
        let has = |name: &str| components.iter().any(|component| component["name"] == name);
        assert!(["hearth", "hearth-host", "wasmtime", "rusqlite", "ring"].iter().all(|name| has(name)) && !has("xtask"));
        let foreign = |component: &&Value| !component["name"].as_str().is_some_and(|name| name.starts_with("hearth"));
        for component in components.iter().filter(foreign) {
            assert!(component["hashes"][0]["content"].as_str().is_some_and(|hash| hash.len() == 64), "{component}");
            assert!(component["licenses"].is_array(), "{component}");
        }
    }
}
