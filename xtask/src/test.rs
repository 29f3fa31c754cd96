//! `cargo xtask test`: installs what the tests need, then runs every one of them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use crate::{
    command::{self, cargo, run_quietly, works},
    component::{self, Wasi},
    compose, examples,
    neighbours::Neighbours,
    node::Node,
    page, system,
};

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// What follows `--` goes to `cargo test`: `-- -p hearth-models gguf`.
    #[arg(last = true)]
    cargo: Vec<String>,
}

/// The sources of llama.cpp as PyPI carries them: golden vocabularies, chat templates.
pub(crate) const LLAMA_CPP: (&str, &str) = ("llama-cpp-python", "0.3.36");

/// The sources of openai-python, for its tests; the version of `tests/python/requirements.txt`.
const OPENAI: (&str, &str) = ("openai", "3.54.0");

/// Models of the catalog that tests run, and the names that tests know them by.
const MODELS: [(&str, &str); 3] =
    [("smollm2-135m-instruct", "smollm2.gguf"), ("gemma-3-270m", "gemma3.gguf"), ("all-minilm-l6-v2", "minilm")];

pub(crate) fn run(root: &Path, args: &Args) -> anyhow::Result<()> {
    let data = root.join("target/test-data");
    std::fs::create_dir_all(&data)?;
    let node = Node::get(root)?;
    // The one waits for the network, the other for the processor.
    let (neighbours, python) = std::thread::scope(|scope| {
        let installed = scope.spawn(|| install(root, &data, &node));
        components(root)?;
        installed.join().expect("an installation that does not panic")
    })?;

    // The test of the arrows asks cargo for all dependencies, those of other systems too, and does so without a network.
    command::run(cargo(root).args(["fetch", "--quiet", "--locked"]))?;
    // Everything is built once, the binaries that the tests start included.
    command::run(cargo(root).args(["test", "--workspace", "--locked", "--no-run"]))?;
    models(root, &data)?;

    let mut tests = cargo(root);
    if let Some(libraries) = neighbours.libraries() {
        tests.env("LD_LIBRARY_PATH", libraries);
    }
    command::run(
        tests
            .args(["test", "--workspace", "--locked"])
            .args(&args.cargo)
            .env("HEARTH_TEST_DATA", &data)
            .env("HEARTH_TEST_PYTHON", &python)
            .env("HEARTH_MODELS", data.join("models"))
            .env("PATH", neighbours.path(node.path())),
    )
}

/// Installs what the tests need; programs that they start, and the Python with clients and oracles.
fn install(root: &Path, data: &Path, node: &Node) -> anyhow::Result<(Neighbours, PathBuf)> {
    system::ensure(&["mesa-vulkan-drivers", "libvulkan1"], "testing the GPU path on a software device")?;
    system::ensure(&["openssl", "pebble"], "testing TLS with OpenSSL's client, and certificates from an ACME directory")?;
    service_tools()?;
    if !works("curl", &["--version"]) {
        system::ensure(&["curl"], "running the documentation's commands")?;
    }
    browser()?;
    let neighbours = Neighbours::get(data)?;
    let python = python(root)?;
    packages(node, root, data)?;
    llama_cpp(&python, data)?;
    sources(OPENAI, &python, data)?;
    Ok((neighbours, python))
}

/// Builds the components that tests run.
fn components(root: &Path) -> anyhow::Result<()> {
    page::build(root)?;
    component::build(root, Wasi::P3)?;
    compose::edge(root, Wasi::P2)?;
    examples::build(root)?;
    Ok(())
}

/// Pulls the models that tests run and links them by the names that tests know; the files' paths in the order of [`MODELS`].
pub(crate) fn models(root: &Path, data: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let pull = |(name, link): &(&str, &str)| {
        let hearth = || {
            let mut hearth = Command::new(root.join("target/debug/hearth"));
            hearth.env("HEARTH_MODELS", data.join("models"));
            hearth
        };
        command::run(hearth().args(["pull", name]))?;
        let path = hearth().args(["models", "--path", name]).output().context("hearth models --path")?;
        let path = PathBuf::from(String::from_utf8(path.stdout)?.trim_end());
        let link = data.join(link);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&path, &link).with_context(|| format!("cannot link {} to {}", link.display(), path.display()))?;
        Ok(path)
    };
    MODELS.iter().map(pull).collect()
}

/// A Python environment of its own below `target/test-data`; its folder.
pub(crate) fn venv(root: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let folder = root.join("target/test-data").join(name);
    if !folder.join("bin/pip").exists() {
        // Debian splits venv off Python; `ensurepip` is what it leaves out.
        if !works("python3", &["-c", "import venv, ensurepip"]) {
            system::ensure(&["python3", "python3-venv", "python3-pip"], "running Python's clients and oracles")?;
        }
        run_quietly(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    }
    Ok(folder)
}

/// What examines the unit of the service, and cables network namespaces for the firewall.
fn service_tools() -> anyhow::Result<()> {
    if works("systemd-analyze", &["--version"]) && works("ip", &["-V"]) {
        return Ok(());
    }
    system::ensure(&["systemd", "iproute2"], "testing the unit of the service and its firewall")
}

/// A Chromium for the tests of the page. Playwright would load one from a server of its own, which a build machine need not reach.
fn browser() -> anyhow::Result<()> {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    if names.iter().any(|name| works(name, &["--version"])) {
        return Ok(());
    }
    system::ensure(&["chromium"], "testing the chat page in a browser")
}

/// The Python with the clients and oracles of `tests/python/requirements.txt`.
pub(crate) fn python(root: &Path) -> anyhow::Result<PathBuf> {
    let folder = venv(root, "python")?;
    let requirements = root.join("tests/python/requirements.txt");
    stamped(&folder, &requirements, || {
        eprintln!("installing {}", requirements.display());
        run_quietly(Command::new(folder.join("bin/pip")).args(["install", "--quiet", "--requirement"]).arg(&requirements))
    })?;
    Ok(folder.join("bin/python"))
}

/// The node packages of `tests/node/package.json`: llama.cpp, prebuilt, as the oracle; a checker of pages.
fn packages(node: &Node, root: &Path, data: &Path) -> anyhow::Result<()> {
    let folder = data.join("node");
    std::fs::create_dir_all(&folder)?;
    let package = root.join("tests/node/package.json");
    stamped(&folder, &package, || {
        eprintln!("installing {}", package.display());
        std::fs::copy(&package, folder.join("package.json"))?;
        // Without optional packages: they are the same library for other systems and GPUs, most of a gigabyte.
        let flags = ["install", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        run_quietly(node.npm().current_dir(&folder).args(flags))
    })
}

/// The source package of llama.cpp, unpacked.
pub(crate) fn llama_cpp(python: &Path, data: &Path) -> anyhow::Result<()> {
    sources(LLAMA_CPP, python, data)
}

/// The sources of a Python package, unpacked.
fn sources((package, version): (&str, &str), python: &Path, data: &Path) -> anyhow::Result<()> {
    if data.join(format!("{package}-{version}")).exists() {
        return Ok(());
    }
    eprintln!("fetching {package} {version}");
    let download = data.join("download");
    let python = || Command::new(python);
    run_quietly(
        python()
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", package, "--dest"])
            .arg(&download)
            .arg(format!("{package}=={version}")),
    )?;
    let archive = format!("{}-{version}.tar.gz", package.replace('-', "_"));
    let unpacked = archive.trim_end_matches(".tar.gz");
    run_quietly(Command::new("tar").args(["--extract", "--file"]).arg(download.join(&archive)).arg("--directory").arg(&download))?;
    std::fs::rename(download.join(unpacked), data.join(format!("{package}-{version}")))?;
    Ok(std::fs::remove_dir_all(download)?)
}

/// Runs `install` unless it succeeded in `folder` before with the same `source` file.
pub(crate) fn stamped(folder: &Path, source: &Path, install: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let wanted = std::fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
    let stamp = folder.join("installed");
    if std::fs::read(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    install()?;
    Ok(std::fs::write(stamp, wanted)?)
}
