//! Records in one file: SQLite with a write-ahead log, for several processes at once. Why SQLite, and what it was measured against, is in docs/store.md.

mod database;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, OptionalExtension, params};

use crate::{Backend, KEYS_MAX, StoreError};
use database::Faults;
use writer::{Change, Writer};

/// Connections for reading that are kept open.
const READERS_MAX: usize = 16;

#[derive(Debug)]
pub(crate) struct File {
    faults: Faults,
    writer: Writer,
    readers: Mutex<Vec<Connection>>,
}

impl File {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = database::open(path)?;
        let faults = Faults(path.to_owned());
        Ok(Self { writer: Writer::start(connection, faults.clone())?, faults, readers: Mutex::default() })
    }

    pub(crate) fn path(&self) -> &PathBuf {
        &self.faults.0
    }

    /// Reads with a connection of its own: readers wait neither for one another nor for writers.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => database::connect(self.path()).map_err(|error| self.faults.of(&error))?,
        };
        let done = read(&connection);
        // One that failed may be in any state, and another is soon made.
        if done.is_ok() {
            let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
            if readers.len() < READERS_MAX {
                readers.push(connection);
            }
        }
        done
    }

    /// Reads all, and finds what is damaged.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.read(|connection| {
            let found = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
            match found.map_err(|error| self.faults.of(&error))?.as_str() {
                "ok" => Ok(()),
                found => Err(self.faults.damaged(found.to_owned())),
            }
        })?;
        self.each(|_, _, _| Ok(()))
    }

    /// Hands every record over, each compared with its checksum.
    pub(crate) fn each(&self, mut take: impl FnMut(&str, &str, &[u8]) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let failed = |error: &rusqlite::Error| self.faults.of(error);
        self.read(|connection| {
            let mut records = connection.prepare("SELECT label, key, value, sum FROM records").map_err(|error| failed(&error))?;
            let mut rows = records.query([]).map_err(|error| failed(&error))?;
            while let Some(row) = rows.next().map_err(|error| failed(&error))? {
                let record =
                    || -> rusqlite::Result<(String, String, Vec<u8>, u32)> { Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)) };
                let (label, key, value, sum) = record().map_err(|error| failed(&error))?;
                self.faults.compare(&label, &key, &value, sum)?;
                take(&label, &key, &value)?;
            }
            Ok(())
        })
    }

    /// Makes a file at `target` with the records that `each` hands over.
    pub(crate) fn make(
        target: &Path,
        each: impl FnOnce(&mut dyn FnMut(&str, &str, &[u8]) -> Result<(), StoreError>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let faults = Faults(target.to_owned());
        let failed = |error: rusqlite::Error| faults.of(&error);
        let mut connection = database::open(target)?;
        let transaction = connection.transaction().map_err(failed)?;
        {
            let mut insert =
                transaction.prepare("INSERT OR REPLACE INTO records(label, key, value, sum) VALUES(?1, ?2, ?3, ?4)").map_err(failed)?;
            each(&mut |label, key, value| {
                let sum = database::checksum(label, key, value);
                insert.execute(params![label, key, value, sum]).map(drop).map_err(failed)
            })?;
        }
        transaction.commit().map_err(failed)
    }

    /// Copies all to a new file at `target`, as it is at one moment; writers go on meanwhile.
    pub(crate) fn copy(&self, target: &Path) -> Result<(), StoreError> {
        let failed = |error: rusqlite::Error| self.faults.of(&error);
        database::private_file(target).map_err(|error| StoreError::Open { path: target.to_owned(), reason: error.to_string() })?;
        self.read(|connection| {
            let mut copy = Connection::open(target).map_err(|error| Faults(target.to_owned()).of(&error))?;
            let backup = rusqlite::backup::Backup::new(connection, &mut copy).map_err(failed)?;
            // All pages in one step, which is one read transaction: nothing that is written meanwhile comes in between.
            match backup.step(-1).map_err(failed)? {
                rusqlite::backup::StepResult::Done => Ok(()),
                other => Err(self.faults.failed(format!("copying it ended early ({other:?})"))),
            }
        })
    }
}

impl Backend for File {
    fn get(&self, label: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.read(|connection| {
            let get = || -> rusqlite::Result<Option<(Vec<u8>, u32)>> {
                let mut get = connection.prepare_cached("SELECT value, sum FROM records WHERE label = ?1 AND key = ?2")?;
                get.query_row(params![label, key], |row| Ok((row.get(0)?, row.get(1)?))).optional()
            };
            get().map_err(|error| self.faults.of(&error))
        })?;
        let Some((value, sum)) = found else { return Ok(None) };
        self.faults.compare(label, key, &value, sum)?;
        Ok(Some(value))
    }

    fn exists(&self, label: &str, key: &str) -> Result<bool, StoreError> {
        self.read(|connection| {
            let exists = || connection.prepare_cached("SELECT 1 FROM records WHERE label = ?1 AND key = ?2")?.exists(params![label, key]);
            exists().map_err(|error| self.faults.of(&error))
        })
    }

    fn set(&self, label: &str, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.writer.write(label, key, Change::Set(value.to_vec())).map(drop)
    }

    fn delete(&self, label: &str, key: &str) -> Result<(), StoreError> {
        self.writer.write(label, key, Change::Delete).map(drop)
    }

    fn increment(&self, label: &str, key: &str, delta: i64) -> Result<i64, StoreError> {
        self.writer.write(label, key, Change::Add(delta))
    }

    fn replace(&self, label: &str, key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, StoreError> {
        let change = Change::Replace { expected: expected.map(<[u8]>::to_vec), value: value.to_vec() };
        Ok(self.writer.write(label, key, change)? != 0)
    }

    fn keys(&self, label: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        let keys = self.read(|connection| {
            let keys = || -> rusqlite::Result<Vec<String>> {
                let mut keys = connection.prepare_cached("SELECT key FROM records WHERE label = ?1 AND key >= ?2 ORDER BY key")?;
                let mut found = Vec::new();
                let mut rows = keys.query(params![label, prefix])?;
                while let Some(row) = rows.next()? {
                    let key: String = row.get(0)?;
                    if !key.starts_with(prefix) || found.len() > KEYS_MAX {
                        break;
                    }
                    found.push(key);
                }
                Ok(found)
            };
            keys().map_err(|error| self.faults.of(&error))
        })?;
        if keys.len() > KEYS_MAX { Err(StoreError::Keys(label.to_owned())) } else { Ok(keys) }
    }

    fn blocks(&self) -> bool {
        true
    }
}
