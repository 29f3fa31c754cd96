//! The handler for hosts without `wasi:nn`: composed with the component that exports it and has a Hearth server compute.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use wac_graph::{CompositionGraph, EncodeOptions, plug, types::Package};

use crate::component;

/// What is made.
pub(crate) struct Edge {
    /// The provider alone, for hosts that compose it themselves, as Spin does.
    pub(crate) remote: PathBuf,
    /// The handler with it.
    pub(crate) whole: PathBuf,
}

/// Builds both parts and puts them together. What is up to date is not made again.
pub(crate) fn build(root: &Path) -> Result<Edge> {
    let target = root.join("target");
    let remote = component::build_member(root, "hearth-remote")?;
    let function = component::build(root)?;
    let whole = target.join("hearth_edge.component.wasm");
    if !component::is_newer(&whole, &[&remote, &function]) {
        component::write(&whole, &compose(&function, &remote)?)?;
    }
    Ok(Edge { remote, whole })
}

/// `socket` with its imports from what `provider` exports. All else stays to be imported.
fn compose(socket: &Path, provider: &Path) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let mut register = |name: &str, path: &Path| {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let package = Package::from_bytes(name, None, bytes, graph.types_mut());
        let package = package.with_context(|| format!("{} is no component that can be composed", path.display()))?;
        Ok::<_, anyhow::Error>(graph.register_package(package)?)
    };
    let provider = register("hearth:remote", provider)?;
    let socket = register("hearth:function", socket)?;
    plug(&mut graph, vec![provider], socket)?;
    graph.encode(EncodeOptions::default()).map_err(|error| anyhow!("the composed component is not valid: {error}"))
}
