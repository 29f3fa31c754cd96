//! `cargo xtask portable`: the kernels' tests on processors that this machine is not (64-bit ARM under qemu, WebAssembly under wasmtime), and the service as one component
//! under `wasmtime serve`.
//!
//! Each test of the kernels compares every one of a target with the plain one, to the bit.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{
    command::{self, cargo, works},
    component::Wasi,
    compose, page, system, test,
    toolchain::{AARCH64, Target, Toolchain, WASM_PROGRAM},
};

pub(crate) fn run(root: &Path) -> Result<()> {
    aarch64(root)?;
    wasm(root)?;
    service(root)
}

/// The host that the component is tested on.
const WASMTIME: (&str, &str) = ("wasmtime-cli", "48.0.8");
/// What serving takes; without those of its other commands it is built in half the time.
const WASMTIME_FEATURES: &str = "run,serve,compile,parallel-compilation,cache,component-model-async,pooling-allocator";

/// The table of cases on the portable component, and on the native shape beside it.
fn service(root: &Path) -> anyhow::Result<()> {
    page::build(root)?;
    let component = compose::portable(root, Wasi::P3, &[])?.whole;
    let host = wasmtime(root)?;
    let data = root.join("target/test-data");
    command::run(cargo(root).args(["test", "--workspace", "--locked", "--no-run", "--test", "shapes"]))?;
    test::models(root, &data)?;
    let mut tests = cargo(root);
    tests.args(["test", "--workspace", "--locked", "--test", "shapes", "--", "portable"]);
    tests.env("HEARTH_TEST_DATA", &data).env("HEARTH_MODELS", data.join("models"));
    command::run(tests.env("HEARTH_TEST_WASMTIME", host).env("HEARTH_TEST_PORTABLE", component))
}

/// Installs wasmtime's command line below target/tools, unless it is there.
fn wasmtime(root: &Path) -> anyhow::Result<PathBuf> {
    let tools = root.join("target/tools");
    let (package, version) = WASMTIME;
    let program = tools.join("bin/wasmtime");
    if !works(&program.to_string_lossy(), &["--version"]) {
        let mut install = cargo(root);
        install.args(["install", "--quiet", "--locked", "--version", version, "--no-default-features", "--features", WASMTIME_FEATURES]);
        command::run(install.arg("--root").arg(&tools).arg(package))?;
    }
    Ok(program)
}

fn aarch64(root: &Path) -> Result<()> {
    if cfg!(target_arch = "aarch64") {
        eprintln!("this is a 64-bit ARM: `cargo xtask test` runs its kernels' tests");
        return Ok(());
    }
    system::ensure(&["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-user-static"], "testing the kernels of 64-bit ARM")?;
    let runner = ["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"];
    let linker = "target.aarch64-unknown-linux-gnu.linker='aarch64-linux-gnu-gcc'";
    // Not optimized at all, its assembly meets functions without the features that it needs.
    kernels(root, &AARCH64, "", &runner, &["--config", linker, "--config", "profile.dev.package.gemm-f16.opt-level=1"])
}

fn wasm(root: &Path) -> Result<()> {
    let python = test::python(root)?;
    let (python, script) = (python.display().to_string(), root.join("tests/python/wasi.py").display().to_string());
    kernels(root, &WASM_PROGRAM, "-C target-feature=+simd128", &[&python, &script], &[])
}

/// Runs the kernels' tests compiled for `target`, each program by `runner`.
fn kernels(root: &Path, target: &Target, flags: &str, runner: &[&str], options: &[&str]) -> Result<()> {
    let toolchain = Toolchain::get(target)?;
    eprintln!("the kernels' tests for {}", target.triple);
    let mut cargo = toolchain.cargo(target, flags)?;
    cargo
        .current_dir(root)
        .args(["test", "--package", "hearth-kernels", "--no-default-features", "--tests", "--locked", "--target", target.triple])
        .args(toolchain.library("std,panic_abort,panic_unwind,test"))
        // The kernels are optimized whatever this is; all else is sooner built than run.
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "0")
        // A folder of its own: Debian's compiler and the host's would build everything anew after one another.
        .arg("--target-dir")
        .arg(root.join("target/portable"))
        .args(["--config", &format!("target.{}.runner={runner:?}", target.triple)])
        .args(options);
    command::run(&mut cargo)
}
