//! `cargo xtask book`: the pages of docs/ as a book.

use std::{path::Path, process::Command};

use crate::command::{self, tool};

const MDBOOK: (&str, &str) = ("mdbook", "0.5.4");

/// Builds target/book. Its links and commands are checked by the test `book`.
pub(crate) fn build(root: &Path) -> anyhow::Result<()> {
    // Without its server and its watcher, which are most of what it depends on.
    let program = tool(root, MDBOOK, &["--no-default-features", "--features", "search"])?;
    command::run(Command::new(program).arg("build").arg(root))?;
    println!("{}", root.join("target/book/index.html").display());
    Ok(())
}
