//! `compose OUT SOCKET PLUG…`: writes the component SOCKET with its imports from what the components PLUG export. What then needs more of a host than plain WASI is refused.

use std::{env, ffi::OsString, fs, path::Path};

use anyhow::{Context, Result, anyhow, bail, ensure};
use wac_graph::{CompositionGraph, EncodeOptions, plug, types::Package};
use wit_component::DecodedWasm;

/// Packages of WASI that every host has which serves HTTP.
const PLAIN: [&str; 7] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:http/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

fn main() -> Result<()> {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let [out, socket, plugs @ ..] = &arguments[..] else { bail!("usage: compose OUT SOCKET PLUG…") };
    let composed = compose(Path::new(socket), plugs)?;
    check_imports(&composed)?;
    // A host that starts meanwhile reads the old component or the new one, never a half.
    let (out, partial) = (Path::new(out), Path::new(out).with_extension("partial"));
    fs::write(&partial, composed).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, out).with_context(|| format!("cannot write {}", out.display()))
}

/// `socket` with its imports from what `plugs` export. What they themselves import stays to be imported.
fn compose(socket: &Path, plugs: &[OsString]) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let mut register = |number: usize, path: &Path| {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let package = Package::from_bytes(&format!("part:part{number}"), None, bytes, graph.types_mut());
        let package = package.with_context(|| format!("{} is no component that can be composed", path.display()))?;
        Ok::<_, anyhow::Error>(graph.register_package(package)?)
    };
    let plugs = plugs.iter().enumerate().map(|(number, plug)| register(number + 1, Path::new(plug))).collect::<Result<Vec<_>>>()?;
    let socket = register(0, socket)?;
    plug(&mut graph, plugs, socket)?;
    graph.encode(EncodeOptions::default()).map_err(|error| anyhow!("the composed component is not valid: {error}"))
}

/// That a component imports nothing but what plain WASI hosts have.
fn check_imports(component: &[u8]) -> Result<()> {
    let decoded = wit_component::decode(component).context("the composed component cannot be read")?;
    let DecodedWasm::Component(resolve, world) = decoded else { bail!("what was composed is no component") };
    let imports = resolve.worlds[world].imports.keys().map(|import| resolve.name_world_key(import));
    let plain = |import: &String| PLAIN.iter().any(|package| import.starts_with(package));
    let unmet: Vec<String> = imports.filter(|import| !plain(import)).collect();
    ensure!(unmet.is_empty(), "the composed component would need of its host: {}", unmet.join(", "));
    Ok(())
}
