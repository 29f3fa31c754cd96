//! `cargo xtask page`: bundles the chat page, `function/page`, into the static files that the function embeds, `target/page`.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{command::run_quietly, node::Node};

/// Builds the page unless it is up to date.
pub(crate) fn build(root: &Path) -> Result<()> {
    let (sources, target) = (root.join("function/page"), root.join("target"));
    let (work, page) = (target.join("page-build"), target.join("page"));
    let stamp = work.join("built");
    let wanted = fingerprint(&sources)?;
    if page.join("manifest").exists() && fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    eprintln!("building the chat page");
    let node = Node::get(root)?;
    packages(&node, &sources, &work)?;
    let fresh = work.join("page");
    remove(&fresh)?;
    run_quietly(node.node().arg(sources.join("build.mjs")).arg(&work).arg(&fresh))?;
    // The function's build reads the old page or the new one, never a half.
    remove(&page)?;
    fs::rename(&fresh, &page).with_context(|| format!("cannot write {}", page.display()))?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

/// The packages of the lock file, each checked against its hash there. None of them runs a script.
fn packages(node: &Node, sources: &Path, work: &Path) -> Result<()> {
    fs::create_dir_all(work).with_context(|| format!("cannot make {}", work.display()))?;
    for name in ["package.json", "package-lock.json", ".npmrc"] {
        fs::copy(sources.join(name), work.join(name)).with_context(|| format!("cannot copy {name}"))?;
    }
    let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    run_quietly(node.npm().current_dir(work).args(install))
        .context("the page's packages cannot be installed: is npm's registry within reach?")
}

/// Changes with any of the page's sources.
fn fingerprint(sources: &Path) -> Result<String> {
    let mut files = Vec::new();
    list(sources, &mut files)?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.strip_prefix(sources)?.hash(&mut hasher);
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if !path.is_dir() {
            files.push(path);
        } else if !path.ends_with("node_modules") {
            list(&path, files)?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_changes_with_a_files_name_and_text() {
        let folder = std::env::temp_dir().join(format!("hearth-page-{}", std::process::id()));
        fs::create_dir_all(folder.join("src")).unwrap();
        let file = folder.join("src/a.js");
        let mut seen = Vec::new();
        for text in ["one", "two"] {
            fs::write(&file, text).unwrap();
            seen.push(fingerprint(&folder).unwrap());
        }
        assert_eq!(seen[1], fingerprint(&folder).unwrap());
        fs::rename(&file, folder.join("src/b.js")).unwrap();
        seen.push(fingerprint(&folder).unwrap());
        assert!(seen[0] != seen[1] && seen[1] != seen[2], "{seen:?}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
