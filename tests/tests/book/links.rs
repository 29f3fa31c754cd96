//! Links of all Markdown files: the files and anchors that they name are there.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use hearth_tests::root;

use crate::page::Page;

/// All Markdown files of the repository, by their paths in it.
pub(crate) fn pages() -> BTreeMap<PathBuf, Page> {
    let mut pages = BTreeMap::new();
    visit(&root(), &mut |path| {
        let name = path.strip_prefix(root()).expect("below the root").to_owned();
        pages.insert(name, Page::read(path));
    });
    pages
}

fn visit(folder: &Path, found: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with('.') && !["target", "node_modules", "weights"].contains(&name) {
                visit(&path, found);
            }
        } else if name.ends_with(".md") {
            found(&path);
        }
    }
}

/// What is wrong with the links of `pages`.
pub(crate) fn broken(pages: &BTreeMap<PathBuf, Page>) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, page) in pages {
        for (line, link) in &page.links {
            let mut wrong = |what: String| broken.push(format!("{}:{line}: {link}: {what}", name.display()));
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').map_or((link.as_str(), None), |(file, anchor)| (file, Some(anchor)));
            let target = if file.is_empty() { Some(name.clone()) } else { resolve(name, file) };
            let Some(target) = target.filter(|target| root().join(target).exists()) else {
                wrong("there is no such file".to_owned());
                continue;
            };
            if anchor.is_some_and(|anchor| !pages.get(&target).is_some_and(|page| page.anchors.contains(anchor))) {
                wrong("there is no such heading".to_owned());
            }
        }
    }
    broken
}

/// `link` of the file `from`, as a path in the repository; none where it leads out of that.
fn resolve(from: &Path, link: &str) -> Option<PathBuf> {
    let mut path = from.parent()?.to_owned();
    for part in Path::new(link).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => path.pop().then_some(())?,
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(path)
}

#[test]
fn links_are_followed() {
    let page = |text: &str| Page::parse(text);
    let pages = BTreeMap::from([
        (PathBuf::from("README.md"), page("# One\n[a](#one) [b](#two) [c](docs/api.md#there) [d](docs/no.md) [e](https://example.com/#x)")),
        (PathBuf::from("docs/api.md"), page("# There\n[a](../README.md) [b](api.md#here) [c](../../etc/passwd)")),
    ]);
    let broken = broken(&pages).join("\n");
    let expected = ["README.md:2: #two", "README.md:2: docs/no.md", "docs/api.md:2: api.md#here", "docs/api.md:2: ../../etc/passwd"];
    assert_eq!(broken.lines().count(), expected.len(), "{broken}");
    for start in expected {
        assert!(broken.lines().any(|line| line.starts_with(start)), "{start}: {broken}");
    }
}
