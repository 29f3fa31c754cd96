//! Key-value over an embedded database: labelled namespaces in one file, every write durable before it is acknowledged.
//!
//! Used by `hearth-host` (Spin's key-value for guests) and the native binary. Knows no HTTP. All calls block: an async caller moves them to a thread for that.

mod error;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{Database, DatabaseError, ReadableDatabase, StorageError, TableDefinition, backends::FileBackend};

pub use error::StoreError;

/// Bytes of a label at most.
pub const LABEL_MAX: usize = 256;
/// Bytes of a key at most.
pub const KEY_MAX: usize = 1024;
/// Bytes of a value at most.
pub const VALUE_MAX: usize = 8 << 20;
/// Keys that [`Namespace::keys`] returns at most.
pub const KEYS_MAX: usize = 100_000;

/// `(label, key)` to value. One table for all labels, so that a label costs nothing until it holds a key.
const RECORDS: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("records");

/// An open store. Clones share it; the file is released when the last is dropped.
#[derive(Debug, Clone)]
pub struct Store(Arc<Database>);

/// The keys under one label.
#[derive(Debug, Clone)]
pub struct Namespace {
    store: Store,
    label: Arc<str>,
}

impl Store {
    /// Opens the file at `path`; makes it, and its folder, where there is none, readable by their owner only.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::InUse`], [`StoreError::Damaged`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let open = |reason: std::io::Error| StoreError::Open { path: path.clone(), reason: reason.to_string() };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            private_folder(folder).map_err(open)?;
        }
        let file = private_file(&path).map_err(open)?;
        let database = FileBackend::new(file).and_then(|file| Database::builder().create_with_backend(file));
        let database = database.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path: path.clone() },
            DatabaseError::Storage(StorageError::Io(error)) if error.kind() != std::io::ErrorKind::InvalidData => open(error),
            error => StoreError::Damaged { path: path.clone(), reason: error.to_string() },
        })?;
        Self::prepare(database)
    }

    /// A store that is gone with the process.
    ///
    /// # Errors
    /// [`StoreError::Storage`]
    pub fn in_memory() -> Result<Self, StoreError> {
        let database = Database::builder()
            .create_with_backend(redb::backends::InMemoryBackend::new())
            .map_err(|error| StoreError::Storage(Box::new(error.into())))?;
        Self::prepare(database)
    }

    /// Makes the table, so that reading needs not care whether anything was written yet.
    fn prepare(database: Database) -> Result<Self, StoreError> {
        let transaction = database.begin_write()?;
        transaction.open_table(RECORDS)?;
        transaction.commit()?;
        Ok(Self(Arc::new(database)))
    }

    /// The keys under `label`.
    ///
    /// # Errors
    /// [`StoreError::Label`]
    pub fn namespace(&self, label: &str) -> Result<Namespace, StoreError> {
        if label.is_empty() || label.len() > LABEL_MAX {
            return Err(StoreError::Label(label.len()));
        }
        Ok(Namespace { store: self.clone(), label: label.into() })
    }
}

impl Namespace {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`StoreError::Key`], [`StoreError::Storage`].
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        check_key(key)?;
        let table = self.store.0.begin_read()?.open_table(RECORDS)?;
        Ok(table.get((&*self.label, key))?.map(|value| value.value().to_vec()))
    }

    /// Sets `key`, whatever it was before. Durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Key`], [`StoreError::Value`], [`StoreError::Storage`].
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        check_key(key)?;
        if value.len() > VALUE_MAX {
            return Err(StoreError::Value(value.len()));
        }
        let transaction = self.store.0.begin_write()?;
        transaction.open_table(RECORDS)?.insert((&*self.label, key), value)?;
        transaction.commit()?;
        Ok(())
    }

    /// Removes `key`; it need not exist. Durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Key`], [`StoreError::Storage`].
    pub fn delete(&self, key: &str) -> Result<(), StoreError> {
        check_key(key)?;
        let transaction = self.store.0.begin_write()?;
        transaction.open_table(RECORDS)?.remove((&*self.label, key))?;
        transaction.commit()?;
        Ok(())
    }

    /// Whether `key` exists.
    ///
    /// # Errors
    /// [`StoreError::Key`], [`StoreError::Storage`].
    pub fn exists(&self, key: &str) -> Result<bool, StoreError> {
        check_key(key)?;
        let table = self.store.0.begin_read()?.open_table(RECORDS)?;
        Ok(table.get((&*self.label, key))?.is_some())
    }

    /// All keys, sorted.
    ///
    /// # Errors
    /// [`StoreError::Keys`] beyond [`KEYS_MAX`], [`StoreError::Storage`].
    pub fn keys(&self) -> Result<Vec<String>, StoreError> {
        self.keys_with("")
    }

    /// The keys that begin with `prefix`, sorted.
    ///
    /// # Errors
    /// [`StoreError::Keys`] beyond [`KEYS_MAX`], [`StoreError::Storage`].
    pub fn keys_with(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let table = self.store.0.begin_read()?.open_table(RECORDS)?;
        let mut keys = Vec::new();
        for record in table.range((&*self.label, prefix)..)? {
            let (key, _) = record?;
            let (label, key) = key.value();
            if label != &*self.label || !key.starts_with(prefix) {
                break;
            }
            if keys.len() == KEYS_MAX {
                return Err(StoreError::Keys(label.to_owned()));
            }
            keys.push(key.to_owned());
        }
        Ok(keys)
    }
}

fn check_key(key: &str) -> Result<(), StoreError> {
    if key.is_empty() || key.len() > KEY_MAX { Err(StoreError::Key(key.len())) } else { Ok(()) }
}

fn private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn private_file(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
