//! What can go wrong with a backup.

use std::path::PathBuf;

use crate::StoreError;

/// A failure of a backup or of its restoration. No message holds a key or what was kept.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file of this machine cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The place that backups go to failed.
    #[error("the place of the backups, {place}: {reason}")]
    Shelf {
        /// The folder or address.
        place: String,
        /// What it says, and the cure.
        reason: String,
    },
    /// A key file is none.
    #[error("{path} is no key of backups: make one with `hearth backup key --out FILE`, and keep a copy where the backups are not")]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// An object is not what was written, or was written with another key.
    #[error(
        "{name} in the backups is not what was written, or this is not its key ({reason}): restore an older backup, and take a full one now"
    )]
    Damaged {
        /// The object.
        name: String,
        /// What does not fit.
        reason: String,
    },
    /// An object is gone.
    #[error("{0} is missing in the backups: restore an older one, and take a full one now")]
    Missing(String),
    /// There is no backup, or none of this name.
    #[error("there is no backup {0}: `hearth backup list` shows which there are")]
    None(String),
    /// The list of contents of a backup is not in order.
    #[error("the contents of the backup are not in order: {0}")]
    Manifest(String),
    /// The store, or the folder that it is in.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    pub(crate) fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::File { path: path.to_owned(), reason: error.to_string() }
    }
}
