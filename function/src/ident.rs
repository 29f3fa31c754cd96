//! Names and times of answers.

use std::{
    hash::{BuildHasher, RandomState},
    time::SystemTime,
};

use crate::{nn::internal, wire::ApiError};
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

/// A Unix time in seconds as a text, as in `2026-01-31T12:00:00Z`.
pub(crate) fn date(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

/// A name that nobody can guess, of what is kept for whoever has the name: when it was made, in nanoseconds, and 128 bits from the system's generator, as 48 hexadecimal
/// digits. Names sort by their time. `after` is a time that this one has to be later than, whatever the clock says.
pub(crate) fn secret(after: u64) -> Result<String, ApiError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| internal(format!("The system gives no random numbers: {error}.")))?;
    Ok(format!("{:016x}{:032x}", nanoseconds().max(after.saturating_add(1)), u128::from_le_bytes(bytes)))
}

/// The time of a [`secret`].
pub(crate) fn time_of(secret: &str) -> u64 {
    secret.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

/// Whether a text has the form of a [`secret`].
pub(crate) fn is_secret(text: &str) -> bool {
    text.len() == 48 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Unix time in nanoseconds.
pub(crate) fn nanoseconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Unix time in seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
