//! Compilers for other targets than this machine: the one on the path where it has the target's library or rustup can add it, else Debian's, which builds the library
//! from its sources.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{command::works, system};

/// What Debian calls a recent compiler, its cargo, and the sources of its library.
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
/// The first release of Debian's that builds this workspace (`rust-version` in its Cargo.toml).
const OLDEST: (u32, u32) = (1, 95);

/// Where Debian keeps the C library for wasm.
const DEBIAN_WASI_LIBC: &str = "/usr/lib/wasm32-wasi";

/// What to compile for.
#[derive(Debug)]
pub(crate) struct Target {
    /// As rustc names it.
    pub(crate) triple: &'static str,
    /// For wasm, the file of Debian's C library that a module starts from.
    start: Option<&'static str>,
}

/// Modules that a host calls: components.
pub(crate) const WASM_LIBRARY: Target = Target { triple: "wasm32-wasip1", start: Some("crt1-reactor.o") };
/// Modules that run once, from `main`: tests.
pub(crate) const WASM_PROGRAM: Target = Target { triple: "wasm32-wasip1", start: Some("crt1-command.o") };
/// 64-bit ARM. Linking needs a C compiler for it beside what is here.
pub(crate) const AARCH64: Target = Target { triple: "aarch64-unknown-linux-gnu", start: None };
/// What most machines are.
pub(crate) const X86_64: Target = Target { triple: "x86_64-unknown-linux-gnu", start: None };

/// What compiles for a target on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The compiler on the path has the target's library.
    Ready,
    /// Debian's compiler, which builds the library from its sources.
    Debian,
}

impl Toolchain {
    /// Finds one, or installs one: rustup's target where its server can be reached, else Debian's packages.
    pub(crate) fn get(target: &Target) -> Result<Self> {
        // A way to try Debian's on a machine that has both.
        let no_rustup = env::var_os("HEARTH_WASM_TOOLCHAIN").is_some_and(|value| value == "debian");
        if !no_rustup && has_library(target) {
            return Ok(Self::Ready);
        }
        if debian_lacks(target).is_none() {
            return Ok(Self::Debian);
        }
        if !no_rustup && add(target) {
            return Ok(Self::Ready);
        }
        install_debian(target)?;
        match debian_lacks(target) {
            None => Ok(Self::Debian),
            Some(lack) => bail!("Debian's compiler for {} is installed but cannot be used: {lack}", target.triple),
        }
    }

    /// A cargo with everything it takes to build for `target` but `--target` itself: to be given a subcommand, then [`Self::library`], and what else. `flags` are the
    /// compiler's.
    pub(crate) fn cargo(self, target: &Target, flags: &str) -> Result<Command> {
        let mut cargo = match self {
            // The cargo that runs this program says where it is; outside of it, the one on the path will do.
            Self::Ready => Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
            Self::Debian => Command::new(DEBIAN_CARGO),
        };
        // Flags and wrappers meant for the host's build do not fit here.
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "CARGO_TARGET_DIR",
            "RUSTC_WORKSPACE_WRAPPER",
        ] {
            cargo.env_remove(name);
        }
        let mut flags = flags.to_owned();
        if self == Self::Debian {
            cargo.env("RUSTC", DEBIAN_RUSTC).env_remove("RUSTDOC");
            if let Some(start) = target.start {
                flags += &format!(" -C link-self-contained=no -L native={DEBIAN_WASI_LIBC} -C link-arg={DEBIAN_WASI_LIBC}/{start}");
                cargo.env("CARGO_TARGET_WASM32_WASIP1_LINKER", wasm_linker()?);
            }
            // Building the library is a nightly option; Debian's compiler is a stable one and comes with exactly these sources.
            cargo.env("RUSTC_BOOTSTRAP", "1");
        }
        if !flags.is_empty() {
            cargo.env("RUSTFLAGS", flags.trim_start());
        }
        Ok(cargo)
    }

    /// The option for cargo that builds the library's `crates` where this toolchain must.
    pub(crate) fn library(self, crates: &str) -> Option<String> {
        (self == Self::Debian).then(|| format!("-Zbuild-std={crates}"))
    }
}

/// Whether the compiler on the path has the library of the target.
fn has_library(target: &Target) -> bool {
    let folder = output("rustc", &["--print", "target-libdir", "--target", target.triple]);
    let files = folder.and_then(|folder| fs::read_dir(folder.trim()).ok());
    files.is_some_and(|mut files| files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libstd-"))))
}

fn add(target: &Target) -> bool {
    if !works("rustup", &["--version"]) {
        return false;
    }
    let arguments = ["target", "add", target.triple];
    eprintln!("Adding a target to the Rust toolchain: rustup {}", arguments.join(" "));
    let added = Command::new("rustup").args(arguments).stdin(Stdio::null()).status().is_ok_and(|status| status.success());
    added && has_library(target)
}

/// What Debian's compiler needs and this machine lacks.
fn debian_lacks(target: &Target) -> Option<String> {
    let Some(version) = output(DEBIAN_RUSTC, &["--version"]) else { return Some(format!("there is no {DEBIAN_RUSTC}")) };
    if release(&version).is_none_or(|release| release < OLDEST) {
        return Some(format!("{DEBIAN_RUSTC} is {}, older than {}.{}", version.trim(), OLDEST.0, OLDEST.1));
    }
    let sources = output(DEBIAN_RUSTC, &["--print", "sysroot"])
        .map(|root| PathBuf::from(root.trim()).join("lib/rustlib/src/rust/library/std/Cargo.toml"));
    let start = target.start.map(|start| Path::new(DEBIAN_WASI_LIBC).join(start));
    let needed = [Some(PathBuf::from(DEBIAN_CARGO)), Some(sources.unwrap_or_default()), start];
    let lack = needed.into_iter().flatten().find(|path| !path.is_file()).map(|path| format!("there is no {}", path.display()));
    lack.or_else(|| target.start.and_then(|_| wasm_linker().err()).map(|error| error.to_string()))
}

/// Major and minor of `rustc 1.96.0 (…)`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// A linker for wasm: the one that comes with rustup's compiler, else LLVM's.
fn wasm_linker() -> Result<PathBuf> {
    let rustup =
        output("rustc", &["--print", "target-libdir"]).map(|folder| PathBuf::from(folder.trim()).with_file_name("bin").join("rust-lld"));
    let path = env::var_os("PATH").unwrap_or_default();
    let llvm = env::split_paths(&path).flat_map(|folder| [folder.join("rust-lld"), folder.join("wasm-ld")]);
    let debian = (14..40).rev().map(|release| PathBuf::from(format!("/usr/lib/llvm-{release}/bin/wasm-ld")));
    rustup
        .into_iter()
        .chain(llvm)
        .chain(debian)
        .find(|file| file.is_file())
        .context("there is no linker for wasm: `apt-get install lld` brings one")
}

/// Installs Debian's packages where there is an apt-get.
fn install_debian(target: &Target) -> Result<()> {
    let triple = target.triple;
    ensure!(
        works("apt-get", &["--version"]),
        "building for {triple} needs the library of that target, which this compiler lacks. Where rustup is used, add it with: rustup target add {triple}"
    );
    let libc: &[&str] = if target.start.is_some() { &["wasi-libc"] } else { &[] };
    system::ensure(&[&DEBIAN_PACKAGES, libc].concat(), &format!("building for {triple}, a target that rustup cannot add here"))
}

/// What a program prints, if it runs and succeeds.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compilers_release_is_read_from_its_version() {
        assert_eq!(release("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"), Some((1, 96)));
        assert!(release("rustc 1.63.0").unwrap() < OLDEST);
        assert_eq!(release("rustc"), None);
    }
}
