//! The handler composed with what exports `wasi:nn` to it, for hosts that do not: the engine, with a stand-in for what Spin offers, so that plain WASI is all that is left to be
//! imported; or, for the edge, what has a Hearth server compute.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail, ensure};
use wac_graph::{CompositionGraph, EncodeOptions, plug, types::Package};
use wit_component::DecodedWasm;

use crate::component::{self, Guest, Wasi};

/// The whole service as one component.
pub(crate) struct Portable {
    /// The engine alone, which exports `wasi:nn`: for hosts that compose it themselves, as Spin does, and have variables and key-value.
    pub(crate) nn: PathBuf,
    /// Everything in one.
    pub(crate) whole: PathBuf,
}

/// The service without an engine.
pub(crate) struct Edge {
    /// The provider alone, for hosts that compose it themselves, as Spin does.
    pub(crate) remote: PathBuf,
    /// The handler with it.
    pub(crate) whole: PathBuf,
}

/// What the engine is compiled with: vectors of 128 bits, and a stack for grammars.
const ENGINE_FLAGS: &str = "-C target-feature=+simd128 -C link-arg=-zstack-size=4194304";

/// Packages of WASI that every host has which serves HTTP.
const PLAIN: [&str; 7] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:http/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// Builds the parts, with the models `embedded` (`name=path`) in the engine, and puts them together. What is up to date is not made again.
pub(crate) fn portable(root: &Path, wasi: Wasi, embedded: &[String]) -> anyhow::Result<Portable> {
    let embedded = embedded.iter().map(|model| absolute(model)).collect::<anyhow::Result<Vec<_>>>()?.join(",");
    let environment = [("HEARTH_NN_EMBED", embedded.as_str())];
    // It imports nothing that 0.2 lacks.
    let engine = Guest { package: "hearth-nn", profile: "portable", flags: ENGINE_FLAGS, features: "", environment: &environment };
    let nn = component::make(root, &root.join("target/wasm-nn"), &engine, &Wasi::P3.component(root, "hearth_nn"))?;
    let stand_in = component::small(root, "hearth-stand-in", wasi)?;
    let whole = compose(&component::build(root, wasi)?, &[&nn, &stand_in], wasi.component(root, "hearth_portable"))?;
    check_imports(&fs::read(&whole)?)?;
    Ok(Portable { nn, whole })
}

/// Builds the handler and what has a server compute, and puts them together. What is up to date is not made again.
pub(crate) fn edge(root: &Path, wasi: Wasi) -> anyhow::Result<Edge> {
    // It too is written for 0.2.
    let remote = component::small(root, "hearth-remote", Wasi::P3)?;
    let whole = compose(&component::build(root, wasi)?, &[&remote], wasi.component(root, "hearth_edge"))?;
    Ok(Edge { remote, whole })
}

/// `name=path` with a path that means the same in every folder.
fn absolute(model: &str) -> anyhow::Result<String> {
    let (name, path) = model.split_once('=').with_context(|| format!("--embed {model}: give `name=path`"))?;
    let path = fs::canonicalize(path).with_context(|| format!("--embed {model}: cannot find {path}"))?;
    Ok(format!("{name}={}", path.display()))
}

/// Writes to `whole` the component `socket` with its imports from what `plugs` export, unless that is newer. What they themselves import stays to be imported.
fn compose(socket: &Path, plugs: &[&Path], whole: PathBuf) -> anyhow::Result<PathBuf> {
    let parts: Vec<&Path> = plugs.iter().copied().chain([socket]).collect();
    if component::is_newer(&whole, &parts) {
        return Ok(whole);
    }
    let mut graph = CompositionGraph::new();
    let mut register = |path: &Path| {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path
            .file_name()
            .map(|name| format!("hearth:{}", name.to_string_lossy().split('.').next().unwrap_or_default().replace('_', "-")));
        let package = Package::from_bytes(&name.unwrap_or_default(), None, bytes, graph.types_mut());
        let package = package.with_context(|| format!("{} is no component that can be composed", path.display()))?;
        Ok::<_, anyhow::Error>(graph.register_package(package)?)
    };
    let plugs = plugs.iter().map(|plug| register(plug)).collect::<anyhow::Result<Vec<_>>>()?;
    let socket = register(socket)?;
    plug(&mut graph, plugs, socket)?;
    let bytes = graph.encode(EncodeOptions::default()).map_err(|error| anyhow!("the composed component is not valid: {error}"))?;
    component::write(&whole, &bytes)?;
    Ok(whole)
}

/// That a component imports nothing but what plain WASI hosts have.
fn check_imports(component: &[u8]) -> anyhow::Result<()> {
    let decoded = wit_component::decode(component).context("the composed component cannot be read")?;
    let DecodedWasm::Component(resolve, world) = decoded else { bail!("what was composed is no component") };
    let imports = resolve.worlds[world].imports.keys().map(|import| resolve.name_world_key(import));
    let plain = |import: &String| PLAIN.iter().any(|package| import.starts_with(package));
    let unmet: Vec<String> = imports.filter(|import| !plain(import)).collect();
    ensure!(unmet.is_empty(), "the composed component would need of its host: {}", unmet.join(", "));
    Ok(())
}
