//! `cargo xtask portable`: the kernels' tests on processors that this machine is not: 64-bit ARM under qemu, WebAssembly under wasmtime.
//!
//! Each test compares every kernel of a target with the plain one, to the bit.

use std::path::Path;

use anyhow::Result;

use crate::{
    command, system, test,
    toolchain::{AARCH64, Target, Toolchain, WASM_PROGRAM},
};

pub(crate) fn run(root: &Path) -> Result<()> {
    aarch64(root)?;
    wasm(root)
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
