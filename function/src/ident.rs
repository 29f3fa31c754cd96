//! Names and times of answers.

use std::{
    hash::{BuildHasher, RandomState},
    time::SystemTime,
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Which version answers.
pub(crate) const FINGERPRINT: &str = concat!("hearth-", env!("CARGO_PKG_VERSION"));

/// A name that no other has: `prefix` and 128 random bits. They come from the keys of the standard library's hasher, which the system seeds: good enough for a name, not
/// for a secret.
pub(crate) fn random(prefix: &str) -> String {
    let random = || RandomState::new().hash_one(());
    format!("{prefix}{:016x}{:016x}", random(), random())
}

/// The time as a text, as in `2026-01-31T12:00:00.123456Z`.
pub(crate) fn timestamp() -> String {
    let now = OffsetDateTime::from(SystemTime::now());
    let micros = now.replace_microsecond(now.microsecond()).unwrap_or(now);
    // A year of more than four digits cannot be written.
    micros.format(&Rfc3339).unwrap_or_default()
}

/// Unix time in seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
