//! Where the fetched test data lies, and what a test does when it is not there.

use std::path::PathBuf;

/// The sdist whose `vendor/llama.cpp` holds vocabularies, goldens and templates.
#[allow(dead_code)] // not every test binary asks for it
pub(crate) const LLAMA_CPP: &str = "llama-cpp-python-0.3.36/vendor/llama.cpp";

/// The file or folder `name` of the test data (`HEARTH_TEST_DATA`, by default `target/test-data`).
pub(crate) fn path(name: &str) -> PathBuf {
    std::env::var_os("HEARTH_TEST_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/test-data"), PathBuf::from)
        .join(name)
}

/// [`path`], if it exists. In CI its absence is a failure; elsewhere the test says that it is skipped.
pub(crate) fn require(name: &str) -> Option<PathBuf> {
    let path = path(name);
    if path.exists() { Some(path) } else { skip(&format!("{} is missing; cargo xtask test fetches it", path.display())) }
}

/// Says why a test is skipped, or fails in CI.
pub(crate) fn skip<T>(why: &str) -> Option<T> {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
    eprintln!("SKIPPED: {why}");
    None
}
