//! `cargo xtask sanitize`: the kernels' tests compiled with AddressSanitizer, which ends a test at the first access outside an allocation, or to one that is gone.
//!
//! It is a nightly option of the compiler, but stable compilers come with its library and take the option when they are told to.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::{
    command,
    toolchain::{Toolchain, X86_64},
};

pub(crate) fn run(root: &Path) -> Result<()> {
    ensure!(cfg!(all(target_arch = "x86_64", target_os = "linux")), "AddressSanitizer is set up here for Linux on x86-64 alone");
    let mut cargo = Toolchain::Ready.cargo(&X86_64, "-Zsanitizer=address")?;
    cargo
        .current_dir(root)
        .env("RUSTC_BOOTSTRAP", "1")
        // The kernels are optimized whatever this is; all else is sooner built than run.
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "0")
        // With a target named, though it is this machine's, build scripts and macros are left as they are.
        .args(["test", "--package", "hearth-kernels", "--no-default-features", "--tests", "--locked", "--target", X86_64.triple])
        .arg("--target-dir")
        .arg(root.join("target/sanitize"));
    command::run(&mut cargo)
}
