//! `cargo xtask book`: the pages of docs/ as a book.

use std::{fs, path::Path, process::Command};

use anyhow::Context;

use crate::command::{self, tool};

const MDBOOK: (&str, &str) = ("mdbook", "0.5.4");

/// Builds target/book. Its links and commands are checked by the test `book`.
pub(crate) fn build(root: &Path) -> anyhow::Result<()> {
    // Without its server and its watcher, which are most of what it depends on.
    let program = tool(root, MDBOOK, &["--no-default-features", "--features", "search"])?;
    let (staged, made) = (root.join("target/book-source"), root.join("target/book"));
    let _ = fs::remove_dir_all(&staged);
    stage(&root.join("docs"), &staged.join("docs"), true)?;
    fs::copy(root.join("book.toml"), staged.join("book.toml")).context("cannot copy book.toml")?;
    command::run(Command::new(program).arg("build").arg(&staged).arg("--dest-dir").arg(&made))?;
    println!("{}", made.join("index.html").display());
    Ok(())
}

/// Copies the pages of `folder`. What they link to outside of the book, at its `top` by `../`, is no link there.
fn stage(folder: &Path, staged: &Path, top: bool) -> anyhow::Result<()> {
    fs::create_dir_all(staged).with_context(|| format!("cannot make {}", staged.display()))?;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name() else { continue };
        let to = staged.join(name);
        if path.is_dir() {
            stage(&path, &to, false)?;
        } else if top && path.extension().is_some_and(|extension| extension == "md") {
            fs::write(&to, within(&fs::read_to_string(&path)?))?;
        } else {
            fs::copy(&path, &to)?;
        }
    }
    Ok(())
}

/// A page with its links that begin with `../` made to text.
fn within(page: &str) -> String {
    let mut made = String::new();
    let mut rest = page;
    while let Some(at) = rest.find("](../") {
        let (before, link) = rest.split_at(at);
        match (before.rfind('['), link.find(')')) {
            (Some(opens), Some(end)) => {
                made.push_str(&before[..opens]);
                made.push_str(&before[opens + 1..]);
                rest = &link[end + 1..];
            }
            _ => {
                made.push_str(&rest[..at + 1]);
                rest = &rest[at + 1..];
            }
        }
    }
    made + rest
}

#[cfg(test)]
mod tests {
    #[test]
    fn links_out_of_the_book_become_text() {
        assert_eq!(
            super::within("a [b](c.md) and [the WIT](../wit/a.wit), [d](e.md) ](../ f"),
            "a [b](c.md) and the WIT, [d](e.md) ](../ f"
        );
    }
}
