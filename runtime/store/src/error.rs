//! What can go wrong in a store.

use std::path::PathBuf;

use crate::{KEY_MAX, KEYS_MAX, LABEL_MAX, VALUE_MAX};

/// A failure of the store.
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
    /// Another process holds the file.
    #[error("the store at {path} is in use by another process: stop that one, or give this one its own folder with --state-dir")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a store, or is damaged.
    #[error("the store at {path} is damaged ({reason}): move the file away and restore a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the database says.
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
    /// Reading or writing failed.
    #[error("the store failed: {0}")]
    Storage(#[source] Box<redb::Error>),
}

macro_rules! storage {
    ($($from:ty),*) => {$(
        impl From<$from> for StoreError {
            fn from(error: $from) -> Self {
                Self::Storage(Box::new(error.into()))
            }
        }
    )*};
}

storage!(redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError);
