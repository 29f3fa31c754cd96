//! The Debian package, made by dpkg-deb of a folder that looks as the machine will.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{Binaries, copy, deploy};
use crate::{archive, command::run_quietly};

/// Scripts that dpkg runs.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// This machine's kind as Debian names it.
pub(super) fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// Makes the package of this version in `out`; its path.
pub(super) fn build(root: &Path, binaries: &Binaries, documents: &Path, version: &str, out: &Path, epoch: u64) -> Result<PathBuf> {
    let tree = archive::empty(root.join("target/package-work/deb"))?;
    binaries.install("hearth", &tree.join("usr/bin/hearth"))?;
    let sources = root.join("deploy");
    for entry in fs::read_dir(sources.join("systemd"))? {
        let path = entry?.path();
        let name = path.file_name().context("a file has a name")?;
        if path.extension().is_some_and(|ending| ending == "service" || ending == "timer") {
            // A package's programs are in /usr/bin; /usr/local is the administrator's.
            let unit = fs::read_to_string(&path)?.replace("/usr/local/bin/", "/usr/bin/");
            let to = tree.join("lib/systemd/system").join(name);
            fs::create_dir_all(to.parent().context("a folder")?)?;
            fs::write(&to, unit)?;
        }
    }
    archive::install(&sources.join("systemd/hearth.toml"), &tree.join("etc/hearth/hearth.toml"), 0o640)?;
    let documentation = tree.join("usr/share/doc/hearth");
    deploy(root, &documentation.join("deploy"))?;
    archive::install(&root.join("LICENSE"), &documentation.join("copyright"), 0o644)?;
    copy(&documents.join("man"), &tree.join("usr/share/man/man1"))?;
    for (file, to) in [
        ("hearth.bash", "usr/share/bash-completion/completions/hearth"),
        ("_hearth", "usr/share/zsh/vendor-completions/_hearth"),
        ("hearth.fish", "usr/share/fish/vendor_completions.d/hearth.fish"),
    ] {
        archive::install(&documents.join("completions").join(file), &tree.join(to), 0o644)?;
    }

    let control = tree.join("DEBIAN");
    let size = size(&tree)?.div_ceil(1024).to_string();
    let depends = format!("libc6 (>= {}), libgcc-s1, passwd", binaries.oldest_glibc("hearth")?);
    let text = fs::read_to_string(sources.join("debian/control.in"))?;
    let filled = [("@VERSION@", version), ("@ARCHITECTURE@", architecture()), ("@SIZE@", &size), ("@DEPENDS@", &depends)]
        .iter()
        .fold(text, |text, (place, value)| text.replace(place, value));
    fs::create_dir_all(&control)?;
    fs::write(control.join("control"), filled)?;
    archive::install(&sources.join("debian/conffiles"), &control.join("conffiles"), 0o644)?;
    for script in SCRIPTS {
        archive::install(&sources.join("debian").join(script), &control.join(script), 0o755)?;
    }
    let package = out.join(format!("hearth_{version}_{}.deb", architecture()));
    let mut make = Command::new("dpkg-deb");
    make.env("SOURCE_DATE_EPOCH", epoch.to_string()).args(["--root-owner-group", "-Zgzip", "-z6", "--build"]);
    run_quietly(make.arg(&tree).arg(&package))?;
    Ok(package)
}

/// Bytes of all files below a folder.
fn size(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(sum)
}
