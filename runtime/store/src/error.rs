//! What can go wrong in a store.

use std::path::PathBuf;

use crate::{KEY_MAX, KEYS_MAX, LABEL_MAX, VALUE_MAX};

/// A failure of the store. No message holds a value or a password.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be made or opened.
    #[error("the store at {path} cannot be opened: {reason}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system or the database says.
        reason: String,
    },
    /// Another process was writing for longer than is waited.
    #[error(
        "the store at {path} is being written by another process, which did not end in {seconds} s: stop that one, or give this one its own folder with --state-dir"
    )]
    InUse {
        /// The file.
        path: PathBuf,
        /// How long it was waited.
        seconds: u64,
    },
    /// A state folder is used in a way that excludes another.
    #[error("the state folder {path} cannot be used: {reason}")]
    Taken {
        /// The folder.
        path: PathBuf,
        /// By what, and the cure.
        reason: &'static str,
    },
    /// The file is not a store, or is damaged.
    #[error("the store at {path} is damaged ({reason}): move the file away and restore a backup (`hearth restore`)")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A later version of Hearth made the file.
    #[error(
        "the store at {path} has format {found} and this version of Hearth reads format {known}: use the version that wrote it, or a later one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The format of this version.
        known: i64,
    },
    /// The disk, or the share of it that may be used, is full, or it takes no writes. What was to be written is not; what was there is as before.
    #[error(
        "the store at {path} cannot be written ({reason}): make room on its disk, or raise the quota or the limit on the size of files"
    )]
    DiskFull {
        /// The file.
        path: PathBuf,
        /// What the database says.
        reason: String,
    },
    /// Reading or writing the file failed.
    #[error("the store at {path} failed: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system or the database says.
        reason: String,
    },
    /// An address that is none of Redis, or a file with one that cannot be read.
    #[error("{0}")]
    Address(String),
    /// Redis cannot be reached or refuses.
    #[error("Redis at {server} {reason}")]
    Redis {
        /// Its host and port.
        server: String,
        /// What is wrong.
        reason: String,
    },
    /// A label is empty or too long.
    #[error("a store's label has 1 to {LABEL_MAX} bytes, not {0}")]
    Label(usize),
    /// A key is empty or too long.
    #[error("a key has 1 to {KEY_MAX} bytes, not {0}")]
    Key(usize),
    /// A value is too long.
    #[error("a value has at most {VALUE_MAX} bytes, not {0}: split it over several keys")]
    Value(usize),
    /// More keys than one listing returns.
    #[error("store '{0}' has more than {KEYS_MAX} keys, the most that one listing returns")]
    Keys(String),
    /// A key to add to holds something else than a number.
    #[error("the value of key '{0}' is no whole number to add to")]
    Number(String),
    /// A sum is out of range.
    #[error("the number of key '{0}' would leave the range of 64 bits")]
    Overflow(String),
    /// A store in memory has no room.
    #[error("the store in memory holds {records} records, the most that it may: delete some, or use one on a disk")]
    Full {
        /// How many.
        records: usize,
    },
}
