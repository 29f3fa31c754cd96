//! What the behaviour tests share: a server of either shape started as a user starts it, plain HTTP to it, and where test data lies.

mod http;
mod oracle;
mod server;

pub use http::{Response, Sse, delta, request, request_with, stream};
pub use oracle::{Case, Generated, OracleResult, Prompt, oracle, oracle_embeddings};
pub use server::{Server, Shape, Surroundings, binary, free_address, succeed, succeeded};

use std::path::{Path, PathBuf};

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
