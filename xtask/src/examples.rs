//! `cargo xtask examples`: the guests of `examples/` as components: target/examples/rust.wasm and target/examples/python.wasm.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    archive,
    command::run_quietly,
    component,
    test::{stamped, venv},
};

/// What makes components of Python.
const COMPONENTIZE_PY: &str = "componentize-py==0.25.1";

/// Builds both, each unless it is newer than its sources.
pub(crate) fn build(root: &Path) -> Result<[PathBuf; 2]> {
    let target = root.join("target/examples");
    fs::create_dir_all(&target).with_context(|| format!("cannot make {}", target.display()))?;
    Ok([rust(root, &target)?, python(root, &target)?])
}

fn rust(root: &Path, target: &Path) -> Result<PathBuf> {
    // The folder of the host's own guests, which have the same dependencies.
    let built = component::build_guest(&root.join("examples/rust"), &root.join("target/guests"), "example-guest")?;
    let component = target.join("rust.wasm");
    archive::install(&built, &component, 0o644)?;
    Ok(component)
}

fn python(root: &Path, target: &Path) -> Result<PathBuf> {
    let sources = root.join("examples/python");
    let component = target.join("python.wasm");
    let work = target.join("python");
    fs::create_dir_all(&work)?;
    // All that it is made of in one file, by which it is known whether it has to be made again.
    let source = work.join("source");
    let texts = ["app.py", "guest.wit"].map(|name| fs::read_to_string(sources.join(name)));
    fs::write(
        &source,
        format!("{COMPONENTIZE_PY}\n{}{}", texts[0].as_ref().unwrap_or(&String::new()), texts[1].as_ref().unwrap_or(&String::new())),
    )?;
    if !component.exists() {
        let _ = fs::remove_file(work.join("installed"));
    }
    stamped(&work, &source, || {
        let tools = venv(root, "tools")?;
        run_quietly(Command::new(tools.join("bin/pip")).args(["install", "--quiet", COMPONENTIZE_PY]))
            .context("componentize-py cannot be installed: is PyPI within reach?")?;
        let wit = wit(root, &sources, &work)?;
        let mut componentize = Command::new(tools.join("bin/componentize-py"));
        componentize.arg("--wit-path").arg(&wit).args(["--world", "guest", "componentize", "--python-path"]).arg(&sources);
        run_quietly(componentize.args(["app", "--output"]).arg(&component))
    })?;
    Ok(component)
}

/// The guest's world with the packages that it names, as the tools of the component model want a folder: the world, and each package below `deps`.
fn wit(root: &Path, sources: &Path, work: &Path) -> Result<PathBuf> {
    let folder = archive::empty(work.join("wit"))?;
    archive::install(&sources.join("guest.wit"), &folder.join("guest.wit"), 0o644)?;
    let wit = root.join("wit");
    for entry in fs::read_dir(wit.join("wasi-0.2"))?.chain(fs::read_dir(wit.join("wasi-nn"))?) {
        let path = entry?.path();
        let name = path.file_name().context("a file has a name")?;
        archive::install(&path, &folder.join("deps").join(name), 0o644)?;
    }
    Ok(folder)
}
