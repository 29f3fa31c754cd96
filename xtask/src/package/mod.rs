//! `cargo xtask package`: what a release consists of, in target/package.

mod binaries;
mod deb;
mod machine;
mod sbom;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::{
    archive,
    command::{run_quietly, works},
    component::{self, Wasi},
    compose, page, plugin, system,
};
pub(crate) use binaries::Binaries;

/// The workspace's version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Pack the programs of this folder (as target/debug) instead of building them for release.
    #[arg(long, value_name = "FOLDER")]
    binaries: Option<PathBuf>,
    /// Build the static program too: for the CPU alone, and for any Linux.
    #[arg(long)]
    r#static: bool,
    /// Check what is made: `archives` makes all of it a second time and compares; `machine` installs, uses, upgrades and removes the Debian package in a fresh Debian,
    /// which needs root; without either, both.
    #[arg(long, value_name = "WHAT", value_enum, num_args = 0..=1, default_missing_value = "all")]
    check: Option<Check>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Check {
    All,
    Archives,
    Machine,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    for (program, package) in [("strip", "binutils"), ("objdump", "binutils"), ("dpkg-deb", "dpkg")] {
        if !works(program, &["--version"]) {
            system::ensure(&[package], "making packages")?;
        }
    }
    page::build(root)?;
    let binaries = Binaries::get(root, args.binaries.as_deref())?;
    if args.check == Some(Check::Machine) {
        return machine::check(root, &binaries);
    }
    let mut components = Vec::new();
    for wasi in [Wasi::P3, Wasi::P2] {
        components.extend([component::build(root, wasi)?, compose::edge(root, wasi)?.whole]);
    }
    let fixed = if args.r#static { Some(binaries::build_static(root)?) } else { None };
    let out = root.join("target/package");
    let make = || assemble(root, &binaries, fixed.as_deref(), &components, &out);
    let sums = make()?;
    if args.check.is_some() {
        let again = make()?;
        ensure!(sums == again, "made twice of the same files, the archives differ:\n{sums}\n{again}");
        eprintln!("made twice, all files are the same to the byte");
    }
    if args.check == Some(Check::All) {
        machine::check(root, &binaries)?;
    }
    print!("{sums}");
    Ok(())
}

/// Makes everything anew in `out`; the text of its SHA256SUMS.
fn assemble(root: &Path, binaries: &Binaries, fixed: Option<&Path>, components: &[PathBuf], out: &Path) -> Result<String> {
    archive::empty(out.to_owned())?;
    let work = archive::empty(root.join("target/package-work/release"))?;
    let epoch = archive::epoch(root);
    let arch = deb::architecture();

    let documents = documents(&binaries.path("hearth"), &work.join("documents"))?;
    let sbom = out.join(format!("hearth-{VERSION}.cdx.json"));
    fs::write(&sbom, sbom::write(root)?).with_context(|| format!("cannot write {}", sbom.display()))?;

    let name = format!("hearth-{VERSION}-linux-{arch}");
    release(root, &work, &name, &documents, |to| binaries.install("hearth", to))?;
    archive::tar_gz(&work, &[&name], &out.join(format!("{name}.tar.gz")), epoch)?;
    if let Some(program) = fixed {
        let name = format!("{name}-static");
        release(root, &work, &name, &documents, |to| archive::install(program, to, 0o755))?;
        archive::tar_gz(&work, &[&name], &out.join(format!("{name}.tar.gz")), epoch)?;
    }
    plugin::pack(root, binaries, out, None)?;
    for component in components {
        archive::install(component, &out.join(component.file_name().context("a file has a name")?), 0o644)?;
    }
    deb::build(root, binaries, &documents, VERSION, out, epoch)?;
    sums(out)
}

/// Pages of the manual and completions, as the program writes them.
fn documents(hearth: &Path, folder: &Path) -> Result<PathBuf> {
    run_quietly(Command::new(hearth).arg("manual").arg(folder.join("man")))?;
    let completions = folder.join("completions");
    fs::create_dir_all(&completions)?;
    for (shell, file) in [("bash", "hearth.bash"), ("zsh", "_hearth"), ("fish", "hearth.fish")] {
        let output = Command::new(hearth).args(["completions", shell]).output().context("hearth completions")?;
        ensure!(output.status.success(), "hearth completions {shell}: {}", String::from_utf8_lossy(&output.stderr));
        fs::write(completions.join(file), output.stdout)?;
    }
    Ok(folder.to_owned())
}

/// The folder that a release's tarball unpacks to: `install.sh` beside what it installs.
fn release(root: &Path, work: &Path, name: &str, documents: &Path, program: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let folder = work.join(name);
    program(&folder.join("hearth"))?;
    deploy(root, &folder)?;
    archive::install(&root.join("deploy/install.sh"), &folder.join("install.sh"), 0o755)?;
    archive::install(&root.join("LICENSE"), &folder.join("LICENSE"), 0o644)?;
    copy(&documents.join("man"), &folder.join("man"))?;
    copy(&documents.join("completions"), &folder.join("completions"))
}

/// The samples for a server of its own.
fn deploy(root: &Path, to: &Path) -> Result<()> {
    for name in ["systemd", "nginx", "nftables", "cloud-init", "prometheus", "grafana"] {
        copy(&root.join("deploy").join(name), &to.join(name))?;
    }
    Ok(())
}

/// Copies a folder's files, and those of the folders in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = entry?.path();
        let name = path.file_name().context("a file has a name")?;
        match path.is_dir() {
            true => copy(&path, &to.join(name))?,
            false => archive::install(&path, &to.join(name), 0o644)?,
        }
    }
    Ok(())
}

/// Writes the hashes of all files of `out`, by name, as sha256sum reads them.
fn sums(out: &Path) -> Result<String> {
    let mut names: Vec<String> =
        fs::read_dir(out)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<_>>()?;
    names.sort();
    let lines = names.iter().map(|name| Ok(format!("{}  {name}\n", archive::sha256(&out.join(name))?)));
    let text = lines.collect::<Result<String>>()?;
    fs::write(out.join("SHA256SUMS"), &text)?;
    Ok(text)
}
