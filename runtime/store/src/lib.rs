//! Key-value in labelled namespaces: over an embedded database in one file, where every write is durable before it is acknowledged, over Redis, or in memory.
//!
//! Used by `hearth-host` (key-value for guests) and the native binary. Knows no HTTP. All calls may block: an async caller moves them to a thread for that, where
//! [`Namespace::blocks`] says so.

mod address;
pub mod backup;
mod error;
mod file;
mod memory;
mod redis;
mod state;

use std::{path::Path, sync::Arc, time::Duration};

use file::File;
use memory::Memory;
use redis::{Redis, Server};

pub use address::RedisUrl;
pub use error::StoreError;
pub use state::{Kept, StateFolder, Temporary};

/// Bytes of a label at most.
pub const LABEL_MAX: usize = 256;
/// Bytes of a key at most.
pub const KEY_MAX: usize = 1024;
/// Bytes of a value at most.
pub const VALUE_MAX: usize = 8 << 20;
/// The name of the store's file in a state folder, in both shapes, so that they can take over from each other.
pub const FILE_NAME: &str = "key-value.db";
/// Keys that [`Namespace::keys`] returns at most.
pub const KEYS_MAX: usize = 100_000;

/// The label of what is durable.
pub const DEFAULT: &str = "default";
/// The label of counts. They are kept for [`COUNTERS_LIFE`] from their first use, and by no embedded store longer than by the process.
pub const COUNTERS: &str = "counters";
/// How long a count is kept.
pub const COUNTERS_LIFE: Duration = Duration::from_secs(60 * 60);

/// An open store. Clones share it; it is released when the last is dropped.
#[derive(Debug, Clone)]
pub struct Store {
    records: Arc<dyn Backend>,
    counters: Arc<dyn Backend>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    File(Arc<File>),
    Redis(Arc<Server>),
    Memory,
}

/// The keys under one label.
#[derive(Debug, Clone)]
pub struct Namespace {
    backend: Arc<dyn Backend>,
    label: Arc<str>,
}

/// Where records are. Keys, labels and values that come here are within their bounds.
trait Backend: std::fmt::Debug + Send + Sync {
    fn get(&self, label: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    fn exists(&self, label: &str, key: &str) -> Result<bool, StoreError>;
    fn set(&self, label: &str, key: &str, value: &[u8]) -> Result<(), StoreError>;
    fn delete(&self, label: &str, key: &str) -> Result<(), StoreError>;
    fn increment(&self, label: &str, key: &str, delta: i64) -> Result<i64, StoreError>;
    fn replace(&self, label: &str, key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, StoreError>;
    fn keys(&self, label: &str, prefix: &str) -> Result<Vec<String>, StoreError>;
    fn blocks(&self) -> bool;
}

impl Store {
    /// Opens the file at `path`; makes it, and its folder, where there is none, readable by their owner only.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::InUse`], [`StoreError::Damaged`], [`StoreError::Newer`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let file = Arc::new(File::open(path.as_ref())?);
        Ok(Self { records: file.clone(), counters: counters(), kind: Kind::File(file) })
    }

    /// Uses Redis, which several instances may share, counts included. It is connected to when it is first used: see [`Self::check`].
    ///
    /// # Errors
    /// [`StoreError::Address`]
    pub fn redis(url: &RedisUrl) -> Result<Self, StoreError> {
        let server = Arc::new(Server::new(url)?);
        let (records, counters) = (Redis::records(server.clone()), Redis::counters(server.clone()));
        Ok(Self { records: Arc::new(records), counters: Arc::new(counters), kind: Kind::Redis(server) })
    }

    /// A store that is gone with the process.
    pub fn in_memory() -> Self {
        Self { records: Arc::new(Memory::new(None)), counters: counters(), kind: Kind::Memory }
    }

    /// Whether it works: reads a file from its beginning to its end and compares every record with its checksum; asks Redis for a sign of life. Takes as long as that takes.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Redis`], [`StoreError::File`].
    pub fn check(&self) -> Result<(), StoreError> {
        match &self.kind {
            Kind::File(file) => file.check(),
            Kind::Redis(server) => server.ping(),
            Kind::Memory => Ok(()),
        }
    }

    /// Copies a store to a new file while others write: one in a file as it is at one moment, one in Redis record by record, each as it is when it is read. False where it is in
    /// memory.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::Damaged`], [`StoreError::DiskFull`], [`StoreError::File`], [`StoreError::Redis`].
    pub fn copy(&self, target: &Path) -> Result<bool, StoreError> {
        match &self.kind {
            Kind::File(file) => file.copy(target).map(|()| true),
            Kind::Redis(server) => {
                let records = Redis::records(server.clone());
                File::make(target, |take| records.each(take)).map(|()| true)
            }
            Kind::Memory => Ok(false),
        }
    }

    /// Puts the records of a store's file into this one, which is in Redis and empty; how many they are.
    ///
    /// # Errors
    /// [`StoreError::Redis`], also where there are records already; [`StoreError::Address`] where this is no Redis; those of reading the file.
    pub fn fill(&self, from: &Path) -> Result<usize, StoreError> {
        let Kind::Redis(server) = &self.kind else {
            return Err(StoreError::Address("only a Redis is filled: a file is put in its place as it is".to_owned()));
        };
        Redis::records(server.clone()).fill(&File::open(from)?)
    }

    /// The keys under `label`.
    ///
    /// # Errors
    /// [`StoreError::Label`]
    pub fn namespace(&self, label: &str) -> Result<Namespace, StoreError> {
        if label.is_empty() || label.len() > LABEL_MAX {
            return Err(StoreError::Label(label.len()));
        }
        let backend = if label == COUNTERS { &self.counters } else { &self.records };
        Ok(Namespace { backend: backend.clone(), label: label.into() })
    }
}

fn counters() -> Arc<dyn Backend> {
    Arc::new(Memory::new(Some(COUNTERS_LIFE)))
}

impl Namespace {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`StoreError::Key`], [`StoreError::File`], [`StoreError::Redis`].
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        check_key(key)?;
        self.backend.get(&self.label, key)
    }

    /// Whether `key` exists.
    ///
    /// # Errors
    /// [`StoreError::Key`], [`StoreError::File`], [`StoreError::Redis`].
    pub fn exists(&self, key: &str) -> Result<bool, StoreError> {
        check_key(key)?;
        self.backend.exists(&self.label, key)
    }

    /// Sets `key`, whatever it was before. Durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Key`], [`StoreError::Value`], [`StoreError::File`], [`StoreError::Redis`].
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        check_key(key)?;
        check_value(value)?;
        self.backend.set(&self.label, key, value)
    }

    /// Removes `key`; it need not exist. Durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Key`], [`StoreError::File`], [`StoreError::Redis`].
    pub fn delete(&self, key: &str) -> Result<(), StoreError> {
        check_key(key)?;
        self.backend.delete(&self.label, key)
    }

    /// Adds `delta` to the number under `key`, 0 where there is none, and returns the total, in one step for all who use the store. A number is kept as decimal text. Durable
    /// when this returns.
    ///
    /// # Errors
    /// [`StoreError::Key`], [`StoreError::Number`] where another value is there, [`StoreError::Overflow`], [`StoreError::File`], [`StoreError::Redis`].
    pub fn increment(&self, key: &str, delta: i64) -> Result<i64, StoreError> {
        check_key(key)?;
        self.backend.increment(&self.label, key, delta)
    }

    /// Sets `key` where its value is `expected` (`None`: where it does not exist), in one step for all who use the store; whether it was so. Durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Key`], [`StoreError::Value`], [`StoreError::File`], [`StoreError::Redis`].
    pub fn replace(&self, key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, StoreError> {
        check_key(key)?;
        check_value(value)?;
        self.backend.replace(&self.label, key, expected, value)
    }

    /// Sets `key` where it does not exist, as [`Self::replace`] does; whether it was so.
    ///
    /// # Errors
    /// As [`Self::replace`].
    pub fn set_if_absent(&self, key: &str, value: &[u8]) -> Result<bool, StoreError> {
        self.replace(key, None, value)
    }

    /// All keys, sorted.
    ///
    /// # Errors
    /// [`StoreError::Keys`] beyond [`KEYS_MAX`], [`StoreError::File`], [`StoreError::Redis`].
    pub fn keys(&self) -> Result<Vec<String>, StoreError> {
        self.keys_with("")
    }

    /// The keys that begin with `prefix`, sorted.
    ///
    /// # Errors
    /// [`StoreError::Keys`] beyond [`KEYS_MAX`], [`StoreError::File`], [`StoreError::Redis`].
    pub fn keys_with(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.backend.keys(&self.label, prefix)
    }

    /// Whether calls wait for a disk or a network, so that an async caller must not make them on a thread of its runtime.
    pub fn blocks(&self) -> bool {
        self.backend.blocks()
    }
}

/// Makes a folder that only its owner enters, where there is none.
fn private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn check_key(key: &str) -> Result<(), StoreError> {
    if key.is_empty() || key.len() > KEY_MAX { Err(StoreError::Key(key.len())) } else { Ok(()) }
}

fn check_value(value: &[u8]) -> Result<(), StoreError> {
    if value.len() > VALUE_MAX { Err(StoreError::Value(value.len())) } else { Ok(()) }
}

/// The number that a value is; 0 where there is none.
fn number(key: &str, value: Option<&[u8]>) -> Result<i64, StoreError> {
    let Some(value) = value else { return Ok(0) };
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or_else(|| StoreError::Number(key.to_owned()))
}
