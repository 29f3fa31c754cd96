//! Records in one file.

use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition, backends::FileBackend};

use crate::{Backend, KEYS_MAX, StoreError, number};

/// `(label, key)` to value. One table for all labels, so that a label costs nothing until it holds a key.
const RECORDS: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("records");

#[derive(Debug)]
pub(crate) struct File(Database);

impl File {
    pub(crate) fn open(path: PathBuf) -> Result<Self, StoreError> {
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
        // The table is made now, so that reading needs not care whether anything was written yet.
        let transaction = database.begin_write()?;
        transaction.open_table(RECORDS)?;
        transaction.commit()?;
        Ok(Self(database))
    }
}

impl Backend for File {
    fn get(&self, label: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let table = self.0.begin_read()?.open_table(RECORDS)?;
        Ok(table.get((label, key))?.map(|value| value.value().to_vec()))
    }

    fn exists(&self, label: &str, key: &str) -> Result<bool, StoreError> {
        let table = self.0.begin_read()?.open_table(RECORDS)?;
        Ok(table.get((label, key))?.is_some())
    }

    fn set(&self, label: &str, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let transaction = self.0.begin_write()?;
        transaction.open_table(RECORDS)?.insert((label, key), value)?;
        Ok(transaction.commit()?)
    }

    fn delete(&self, label: &str, key: &str) -> Result<(), StoreError> {
        let transaction = self.0.begin_write()?;
        transaction.open_table(RECORDS)?.remove((label, key))?;
        Ok(transaction.commit()?)
    }

    fn increment(&self, label: &str, key: &str, delta: i64) -> Result<i64, StoreError> {
        let transaction = self.0.begin_write()?;
        let mut table = transaction.open_table(RECORDS)?;
        let before = number(key, table.get((label, key))?.as_ref().map(|value| value.value()))?;
        let total = before.checked_add(delta).ok_or_else(|| StoreError::Overflow(key.to_owned()))?;
        table.insert((label, key), total.to_string().as_bytes())?;
        drop(table);
        transaction.commit()?;
        Ok(total)
    }

    fn replace(&self, label: &str, key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, StoreError> {
        let transaction = self.0.begin_write()?;
        let mut table = transaction.open_table(RECORDS)?;
        if table.get((label, key))?.as_ref().map(|value| value.value()) != expected {
            return Ok(false);
        }
        table.insert((label, key), value)?;
        drop(table);
        transaction.commit()?;
        Ok(true)
    }

    fn keys(&self, label: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        let table = self.0.begin_read()?.open_table(RECORDS)?;
        let mut keys = Vec::new();
        for record in table.range((label, prefix)..)? {
            let (key, _) = record?;
            let (of, key) = key.value();
            if of != label || !key.starts_with(prefix) {
                break;
            }
            if keys.len() == KEYS_MAX {
                return Err(StoreError::Keys(label.to_owned()));
            }
            keys.push(key.to_owned());
        }
        Ok(keys)
    }

    fn blocks(&self) -> bool {
        true
    }
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
