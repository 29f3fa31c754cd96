//! One pull of a model at a time.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use anyhow::Context;

/// Held while the files of a model are fetched; the system frees it with the process, however that ends.
pub(super) struct PullLock {
    _file: File,
    waited: bool,
}

impl PullLock {
    /// Waits, and says so, while another process pulls into `folder`.
    pub(super) fn acquire(folder: &Path, model: &str) -> anyhow::Result<Self> {
        let path = folder.join(".pull.lock");
        let failed = || format!("cannot lock {}", path.display());
        let file = File::options().create(true).truncate(false).write(true).open(&path).with_context(failed)?;
        let waited = match file.try_lock() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => {
                eprintln!("another pull of {model} is under way; waiting for it");
                file.lock().with_context(failed)?;
                true
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
        };
        Ok(Self { _file: file, waited })
    }

    /// Whether another pull has been at work since this one looked what is here.
    pub(super) fn has_waited(&self) -> bool {
        self.waited
    }
}
