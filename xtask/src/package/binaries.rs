//! The programs of a release, and how they are built: the same bytes from the same sources, wherever these lie.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{
    archive,
    command::{self, cargo, run_quietly, works},
    system,
    toolchain::output,
};

/// For any Linux: without a C library of the machine's.
const STATIC: &str = "x86_64-unknown-linux-musl";

/// A folder with built programs.
pub(crate) struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Those of `given`, or else built now for release.
    pub(crate) fn get(root: &Path, given: Option<&Path>) -> Result<Self> {
        let folder = match given {
            Some(folder) => std::path::absolute(folder)?,
            None => build(root, &["--workspace", "--bins", "--exclude", "xtask"], None)?,
        };
        for name in ["hearth", "trigger-nn-http"] {
            ensure!(folder.join(name).is_file(), "there is no {} in {}", name, folder.display());
        }
        Ok(Self { folder })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Copies a program without what only a debugger reads.
    pub(crate) fn install(&self, name: &str, to: &Path) -> Result<()> {
        archive::install(&self.path(name), to, 0o755)?;
        run_quietly(Command::new("strip").arg("--strip-debug").arg(to))
    }

    /// The oldest glibc that has all that the program asks of it, as `2.35`.
    pub(crate) fn oldest_glibc(&self, name: &str) -> Result<String> {
        let path = self.path(name);
        let symbols =
            output("objdump", &["-T", &path.to_string_lossy()]).with_context(|| format!("objdump cannot read {}", path.display()))?;
        newest(&symbols).with_context(|| format!("{} asks nothing of a glibc", path.display()))
    }
}

/// The highest `GLIBC_…` among a program's symbols.
fn newest(symbols: &str) -> Option<String> {
    let versions =
        symbols.split("GLIBC_").skip(1).map(|text| text.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default());
    let numbers = |version: &str| version.split('.').map(|number| number.parse::<u32>().unwrap_or(0)).collect::<Vec<_>>();
    versions.max_by_key(|version| numbers(version)).map(str::to_owned)
}

/// `hearth` without a C library of the machine's: for the CPU alone, as such a program cannot load a GPU's driver.
pub(crate) fn build_static(root: &Path) -> Result<PathBuf> {
    ensure!(cfg!(all(target_arch = "x86_64", target_os = "linux")), "the static program is set up here for Linux on x86-64 alone");
    // SQLite and ring are in part of C.
    if !works("musl-gcc", &["--version"]) {
        system::ensure(&["musl-tools"], "compiling the C of SQLite and ring for musl")?;
    }
    let installed = output("rustc", &["--print", "target-libdir", "--target", STATIC])
        .is_some_and(|folder| Path::new(folder.trim()).join("self-contained").exists());
    if !installed {
        command::run(Command::new("rustup").args(["target", "add", STATIC]))
            .context("the static program needs the library of its target")?;
    }
    Ok(build(root, &["--package", "hearth", "--no-default-features"], Some(STATIC))?.join("hearth"))
}

/// Builds for release in a folder of its own; where the programs lie.
fn build(root: &Path, what: &[&str], target: Option<&str>) -> Result<PathBuf> {
    eprintln!("building for release (this takes a while)");
    let folder = root.join("target/release-build");
    let mut build = cargo(root);
    build.args(["build", "--release", "--locked"]).args(what).arg("--target-dir").arg(&folder);
    if let Some(target) = target {
        build.args(["--target", target]).env("CC_x86_64_unknown_linux_musl", "musl-gcc");
    }
    // Paths of this machine are in panics and in what debuggers read.
    let cargo_home =
        std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let mut flags = vec![format!("--remap-path-prefix={}=/hearth", root.display())];
    flags.extend(cargo_home.map(|home| format!("--remap-path-prefix={}=/cargo", home.display())));
    build.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")).env("SOURCE_DATE_EPOCH", archive::epoch(root).to_string());
    command::run(&mut build)?;
    Ok(match target {
        Some(target) => folder.join(target).join("release"),
        None => folder.join("release"),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_are_compared_as_numbers() {
        let symbols =
            "0000 DF *UND* 0000 (GLIBC_2.9) a\n0000 DF *UND* 0000 (GLIBC_2.34) b\n0000 DF *UND* (GLIBC_2.2.5) c\n0000 DF (OTHER_9.0) d";
        assert_eq!(super::newest(symbols).as_deref(), Some("2.34"));
        assert_eq!(super::newest("statically linked"), None);
    }
}
