//! Names and times of answers.

use std::{
    hash::{BuildHasher, RandomState},
    time::SystemTime,
};

/// Which version answers.
pub(crate) const FINGERPRINT: &str = concat!("hearth-", env!("CARGO_PKG_VERSION"));

/// A name that no other has: `prefix` and 128 random bits. They come from the keys of the standard library's hasher, which the system seeds: good enough for a name, not
/// for a secret.
pub(crate) fn random(prefix: &str) -> String {
    let random = || RandomState::new().hash_one(());
    format!("{prefix}{:016x}{:016x}", random(), random())
}

/// Unix time in seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
