//! The whole service as one component without imports but plain WASI: the handler, the engine that exports `wasi:nn` to it, and a stand-in for what Spin offers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail, ensure};
use wac_graph::{CompositionGraph, EncodeOptions, plug, types::Package};
use wit_component::DecodedWasm;

use crate::component::{self, Guest};

/// What is made.
pub(crate) struct Portable {
    /// The engine alone, which exports `wasi:nn`: for hosts that compose it themselves, as Spin does, and have variables and key-value.
    pub(crate) nn: PathBuf,
    /// Everything in one.
    pub(crate) whole: PathBuf,
}

/// What the engine is compiled with: vectors of 128 bits, and a stack for grammars.
const ENGINE_FLAGS: &str = "-C target-feature=+simd128 -C link-arg=-zstack-size=4194304";

/// Packages of WASI that every host has which serves HTTP.
const PLAIN: [&str; 7] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:http/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// Builds the parts, with the models `embedded` (`name=path`) in the engine, and puts them together. What is up to date is not made again.
pub(crate) fn build(root: &Path, embedded: &[String]) -> anyhow::Result<Portable> {
    let target = root.join("target");
    let embedded = embedded.iter().map(|model| absolute(model)).collect::<anyhow::Result<Vec<_>>>()?.join(",");
    let environment = [("HEARTH_NN_EMBED", embedded.as_str())];
    let engine = Guest { package: "hearth-nn", profile: "portable", flags: ENGINE_FLAGS, environment: &environment };
    let nn = component::make(root, &target.join("wasm-nn"), &engine, &target.join("hearth_nn.component.wasm"))?;
    let stand_in = Guest { package: "hearth-stand-in", ..component::FUNCTION };
    let stand_in = component::make(root, &target.join("wasm"), &stand_in, &target.join("hearth_stand_in.component.wasm"))?;
    let function = component::build(root)?;
    let whole = target.join("hearth_portable.component.wasm");
    if !component::is_newer(&whole, &[&nn, &stand_in, &function]) {
        let composed = compose(&function, &[&nn, &stand_in])?;
        check_imports(&composed)?;
        component::write(&whole, &composed)?;
    }
    Ok(Portable { nn, whole })
}

/// `name=path` with a path that means the same in every folder.
fn absolute(model: &str) -> anyhow::Result<String> {
    let (name, path) = model.split_once('=').with_context(|| format!("--embed {model}: give `name=path`"))?;
    let path = fs::canonicalize(path).with_context(|| format!("--embed {model}: cannot find {path}"))?;
    Ok(format!("{name}={}", path.display()))
}

/// `socket` with its imports from what `plugs` export. What they themselves import stays to be imported.
fn compose(socket: &Path, plugs: &[&Path]) -> anyhow::Result<Vec<u8>> {
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
    Ok(bytes)
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
