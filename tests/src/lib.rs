//! What the behaviour tests share: a server of either shape started as a user starts it, its keys, a Redis behind it, plain HTTP to it, and where test data lies.

mod cluster;
mod http;
mod keys;
mod network;
mod nginx;
mod oracle;
mod redis;
mod scratch;
mod server;

pub use cluster::{Cluster, cluster_programs};
pub use http::{Response, Sse, delta, listens, request, request_with, stream, stream_with};
pub use keys::{Key, Keys};
pub use network::{Host, Network, in_network};
pub use nginx::{Nginx, openssl};
pub use oracle::{Case, Generated, OracleResult, Prompt, oracle, oracle_embeddings};
pub use redis::Redis;
pub use scratch::Scratch;
pub use server::{Server, Shape, Surroundings, binary, free_address, succeed, succeeded};

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The workspace's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace").to_owned()
}

/// A file or folder that `cargo xtask test` fetches. Where it is missing, the caller's test is skipped loudly, and fails in CI.
pub fn test_data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("HEARTH_TEST_DATA").map_or_else(|| root().join("target/test-data"), PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    skip(&format!("{} is missing; `cargo xtask test` fetches it", path.display()));
    None
}

/// A component in `target`.
///
/// # Panics
/// When it is not there.
pub fn component(name: &str) -> PathBuf {
    let path = root().join("target").join(name);
    assert!(path.exists(), "{} is missing: `cargo xtask test` builds it", path.display());
    path
}

/// A manifest of the repository, with the component `runs` where it has `names`.
///
/// # Panics
/// When it has not.
pub fn application(manifest: &str, names: &str, runs: &str) -> String {
    let text = std::fs::read_to_string(root().join(manifest)).expect("a manifest");
    let named = format!("target/{names}");
    assert!(text.contains(&named), "{manifest} does not name {named}");
    text.replace(&named, &component(runs).display().to_string())
}

/// Says that a test is skipped; in CI, where everything can be installed, that is a failure.
///
/// # Panics
/// In CI.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "skipped in CI: {why}");
    eprintln!("SKIPPED: {why}");
}

/// The Python that has the clients and oracles of `tests/python/requirements.txt`.
pub fn python() -> Option<PathBuf> {
    std::env::var_os("HEARTH_TEST_PYTHON").map(PathBuf::from).or_else(|| test_data("python/bin/python"))
}

/// Whether there is a browser that Playwright drives; `cargo xtask test` installs one. Where there is none, the caller's test is skipped loudly.
///
/// # Panics
/// In CI, where there is none.
pub fn browser() -> bool {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let found = names.iter().any(|name| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()));
    if !found {
        skip("there is no Chromium; `cargo xtask test` installs it");
    }
    found
}
