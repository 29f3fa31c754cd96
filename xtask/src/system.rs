//! System packages: installed when that is allowed, otherwise named in the one command that installs them.

use std::process::Command;

use anyhow::{Context, bail};

use crate::command::{run, works};

/// Makes sure that `packages` of Debian are there. Says what it installs and why; where it may not install, the error is the command to type.
pub(crate) fn ensure(packages: &[&str], why: &str) -> anyhow::Result<()> {
    let line = format!("apt-get install --yes --no-install-recommends {}", packages.join(" "));
    if !works("apt-get", &["--version"]) {
        bail!(
            "{why} needs these packages (by their names in Debian): {}\nInstall them with this system's package manager and try again.",
            packages.join(" ")
        );
    }
    let missing: Vec<_> = packages.iter().copied().filter(|package| !installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("{why}: installing {} with apt-get", missing.join(" "));
    // Lists may be old or absent on a fresh machine; an update that fails is no reason yet to give up.
    if let Err(error) = update() {
        eprintln!("warning: {error}");
    }
    apt(&[&["install", "--yes", "--no-install-recommends"], &missing[..]].concat())
        .with_context(|| format!("{why} needs system packages. Install them with:\n  sudo {line}\nand try again."))
}

/// Fetches the lists of Debian's packages.
pub(crate) fn update() -> anyhow::Result<()> {
    apt(&["update"])
}

/// apt-get as root.
fn apt(arguments: &[&str]) -> anyhow::Result<()> {
    let sudo: &[&str] = if works("sh", &["-c", "test $(id -u) = 0"]) {
        &[]
    } else if works("sudo", &["--non-interactive", "true"]) {
        &["sudo", "--non-interactive"]
    } else {
        bail!("apt-get needs root, and sudo would ask for a password");
    };
    let mut words =
        sudo.iter().copied().chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet=2"]).chain(arguments.iter().copied());
    let program = words.next().expect("at least apt-get");
    run(Command::new(program).args(words))
}

/// Whether Debian's package is installed.
fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .output()
        .is_ok_and(|output| output.status.success() && output.stdout == b"installed")
}
