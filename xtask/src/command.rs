//! Running other programs, with an error that says which one failed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

/// The cargo that runs this task.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// A program of crates.io by its name and version, with these flags for `cargo install`: installed below target/tools unless it is there.
pub(crate) fn tool(root: &Path, (package, version): (&str, &str), flags: &[&str]) -> anyhow::Result<PathBuf> {
    let tools = root.join("target/tools");
    let program = tools.join("bin").join(package);
    let there = Command::new(&program).arg("--version").output();
    if !there.is_ok_and(|output| output.status.success() && String::from_utf8_lossy(&output.stdout).contains(version)) {
        eprintln!("installing {package} {version} below target/tools");
        run(cargo(root).args(["install", "--quiet", "--locked", "--version", version]).args(flags).arg("--root").arg(&tools).arg(package))?;
    }
    Ok(program)
}

/// Runs `command` to its end, its output going to the terminal.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{} {}: {status}", command.get_program().display(), arguments(command));
    }
    Ok(())
}

/// Runs `command` to its end; its output is shown only when it fails.
pub(crate) fn run_quietly(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        eprint!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("{} {}: {}", command.get_program().display(), arguments(command), output.status);
    }
    Ok(())
}

/// Whether `program` starts and succeeds with these arguments.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

fn arguments(command: &Command) -> String {
    command.get_args().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
