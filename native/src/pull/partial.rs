//! A file that is not whole yet: under a temporary name, hashed as it grows.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use sha2::{Digest, Sha256};

/// Why an [`Partial::append`] did not come to its end.
pub(super) enum Stopped {
    /// The source failed.
    Reading(io::Error),
    /// The bytes cannot be taken.
    Writing(anyhow::Error),
}

impl From<Stopped> for anyhow::Error {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Reading(error) => error.into(),
            Stopped::Writing(error) => error,
        }
    }
}

/// A growing file.
pub(super) struct Partial {
    path: PathBuf,
    file: File,
    hasher: Sha256,
    len: u64,
    /// Bytes that an earlier pull left.
    resumed: u64,
}

impl Partial {
    /// An empty one at `path`, in place of what lies there.
    pub(super) fn create(path: PathBuf) -> anyhow::Result<Self> {
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, file, hasher: Sha256::new(), len: 0, resumed: 0 })
    }

    /// Goes on with what an earlier pull left at `path`, if it did.
    pub(super) fn resume(path: PathBuf) -> anyhow::Result<Self> {
        let failed = || format!("cannot go on with {}", path.display());
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&path).with_context(failed)?;
        let (mut hasher, mut len) = (Sha256::new(), 0);
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    hasher.update(&buffer[..n]);
                    len += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).with_context(failed),
            }
        }
        Ok(Self { path, file, hasher, len, resumed: len })
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// How much of it an earlier pull left.
    pub(super) fn resumed(&self) -> u64 {
        self.resumed
    }

    /// Begins again with nothing.
    pub(super) fn restart(&mut self) -> anyhow::Result<()> {
        self.file.set_len(0).and_then(|()| self.file.rewind()).with_context(|| format!("cannot empty {}", self.path.display()))?;
        (self.hasher, self.len, self.resumed) = (Sha256::new(), 0, 0);
        Ok(())
    }

    /// Appends `bytes`.
    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.file.write_all(bytes).with_context(|| {
            format!(
                "cannot write {} after {} bytes (if the disk is full, choose another folder with HEARTH_MODELS)",
                self.path.display(),
                self.len
            )
        })?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Appends what `reader` has, which must be at most `limit` bytes where there is one; `progress` gets the bytes so far.
    pub(super) fn append(&mut self, reader: &mut dyn Read, limit: Option<u64>, progress: &mut dyn FnMut(u64)) -> Result<(), Stopped> {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Stopped::Reading(error)),
            };
            if let Some(limit) = limit
                && self.len + read as u64 > limit
            {
                return Err(Stopped::Writing(anyhow!("it is larger than the {limit} bytes that it should have")));
            }
            self.write(&buffer[..read]).map_err(Stopped::Writing)?;
            progress(self.len);
        }
    }

    /// The sha256 of the bytes so far, lower-case hexadecimal.
    pub(super) fn sha256(&self) -> String {
        self.hasher.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Makes it durable and gives it the name `target`, if its hash is `expected`; else nothing is kept.
    pub(super) fn finish(self, expected: &str, target: &Path) -> anyhow::Result<()> {
        let got = self.sha256();
        if got != expected {
            self.discard();
            anyhow::bail!("the file that came has the sha256 {got}, but {expected} is expected; nothing of it was kept");
        }
        let failed = || format!("cannot write {}", target.display());
        self.file.sync_all().with_context(failed)?;
        fs::rename(&self.path, target).with_context(failed)?;
        if let Some(folder) = target.parent() {
            // The name is durable only when its folder is; where folders cannot be opened as files the system sees to it.
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }

    /// Removes it.
    pub(super) fn discard(self) {
        let _ = fs::remove_file(&self.path);
    }
}
