//! The whole service as one component without imports but plain WASI: the handler, the engine that exports `wasi:nn` to it, and a stand-in for what Spin offers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{
    command::{self, cargo},
    component::{self, Guest},
};

/// What is made.
pub(crate) struct Portable {
    /// The engine alone, which exports `wasi:nn`: for hosts that compose it themselves, as Spin does, and have variables and key-value.
    pub(crate) nn: PathBuf,
    /// Everything in one.
    pub(crate) whole: PathBuf,
}

/// What the engine is compiled with: vectors of 128 bits, and a stack for grammars.
const ENGINE_FLAGS: &str = "-C target-feature=+simd128 -C link-arg=-zstack-size=4194304";

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
        let mut compose = cargo(root);
        compose.args(["run", "--quiet", "--release", "--locked", "--manifest-path"]).arg(root.join("xtask/compose/Cargo.toml"));
        compose.arg("--target-dir").arg(target.join("compose")).arg("--").args([&whole, &function, &nn, &stand_in]);
        command::run(&mut compose)?;
    }
    Ok(Portable { nn, whole })
}

/// `name=path` with a path that means the same in every folder.
fn absolute(model: &str) -> anyhow::Result<String> {
    let (name, path) = model.split_once('=').with_context(|| format!("--embed {model}: give `name=path`"))?;
    let path = fs::canonicalize(path).with_context(|| format!("--embed {model}: cannot find {path}"))?;
    Ok(format!("{name}={}", path.display()))
}
