//! `cargo xtask plugin`: the trigger plugin as `spin plugins install --file` takes it: a tarball with the executable, and a manifest that names it by its hash.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::json;

use crate::{
    archive,
    package::{Binaries, VERSION},
};

/// The plugin's name is the trigger's type.
const NAME: &str = "trigger-nn-http";
/// Releases of Spin that hand a plugin all that this one reads.
const SPIN: &str = ">=3.0";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Pack the programs of this folder (as target/debug) instead of building them for release.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) binaries: Option<PathBuf>,
    /// Where the tarball will be fetched from: the folder's address. Without it the manifest names the file where it lies now.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let binaries = Binaries::get(root, args.binaries.as_deref())?;
    let out = root.join("target/package");
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let manifest = pack(root, &binaries, &out, args.url.as_deref())?;
    println!("{}\nInstall it: spin plugins install --yes --file {}", manifest.display(), manifest.display());
    Ok(())
}

/// Writes the tarball and its manifest into `out`; the manifest's path.
pub(crate) fn pack(root: &Path, binaries: &Binaries, out: &Path, url: Option<&str>) -> Result<PathBuf> {
    let work = archive::empty(root.join("target/package-work/plugin"))?;
    binaries.install("trigger-nn-http", &work.join(NAME))?;
    archive::install(&root.join("LICENSE"), &work.join("LICENSE"), 0o644)?;
    let (os, arch) = (std::env::consts::OS, if cfg!(target_arch = "x86_64") { "amd64" } else { "aarch64" });
    let name = format!("{NAME}-{VERSION}-{os}-{arch}.tar.gz");
    let tarball = out.join(&name);
    archive::tar_gz(&work, &[NAME, "LICENSE"], &tarball, archive::epoch(root))?;
    let url = match url {
        Some(folder) => format!("{}/{name}", folder.trim_end_matches('/')),
        None => format!("file://{}", std::path::absolute(&tarball)?.display()),
    };
    let manifest = json!({
        "name": NAME,
        "description": "Serves components over HTTP and runs models for them through wasi-nn",
        "version": VERSION,
        "spinCompatibility": SPIN,
        "license": "Apache-2.0",
        "packages": [{"os": os, "arch": arch, "url": url, "sha256": archive::sha256(&tarball)?}],
    });
    let path = out.join(format!("{NAME}.json"));
    fs::write(&path, format!("{manifest:#}\n")).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
