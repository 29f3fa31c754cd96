//! The database of a file: how it is opened, and what its errors mean.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode};

use crate::{StoreError, private_folder};

/// How long a writer waits for one of another process.
pub(super) const WAIT: Duration = Duration::from_secs(10);
/// Marks the file as Hearth's: "HRTH".
const APPLICATION: i64 = 0x4852_5448;
/// The format of the table below.
const FORMAT: i64 = 1;
/// A table with rows of its own and the keys in an index: listing keys then reads no values. `sum` finds what a disk changed, which SQLite itself does not.
const TABLE: &str = "CREATE TABLE records(label TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY(label, key)) STRICT";

/// Opens the file at `path`, and makes it where there is none.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let faults = Faults(path.to_owned());
    let unopened = |reason: std::io::Error| StoreError::Open { path: path.to_owned(), reason: reason.to_string() };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        private_folder(folder).map_err(unopened)?;
    }
    // SQLite would make it with the mode of the process' umask, and makes the files beside it like this one.
    private_file(path).map_err(unopened)?;
    let mut connection = connect(path).map_err(|error| faults.of(&error))?;
    prepare(&mut connection, &faults)?;
    Ok(connection)
}

/// One more connection to a file that is there.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(WAIT)?;
    // FULL: a commit is on the disk before it is acknowledged. What is deleted is overwritten. The log shrinks after a burst.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA cell_size_check = ON; PRAGMA journal_size_limit = 16777216;",
    )?;
    Ok(connection)
}

/// Makes the table in a new file, and looks whether an old one is of this format.
fn prepare(connection: &mut Connection, faults: &Faults) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| faults.of(&error);
    let marks = |connection: &Connection| -> rusqlite::Result<(i64, i64, i64)> {
        let mark = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0));
        Ok((mark("application_id")?, mark("user_version")?, mark("schema_version")?))
    };
    let check = |(application, format, _): (i64, i64, i64)| match (application, format) {
        (APPLICATION, FORMAT) => Ok(()),
        (APPLICATION, found) => Err(StoreError::Newer { path: faults.0.clone(), found, known: FORMAT }),
        _ => Err(faults.damaged("it is a database of another program".to_owned())),
    };
    let found = marks(connection).map_err(failed)?;
    if found.2 != 0 {
        return check(found);
    }
    // Two processes may come here at once: the second finds what the first made.
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(failed)?;
    let found = marks(&transaction).map_err(failed)?;
    if found.2 != 0 {
        return check(found);
    }
    transaction
        .execute_batch(&format!("{TABLE}; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}"))
        .and_then(|()| transaction.commit())
        .map_err(failed)
}

/// Says what an error of the database is, for the file at this path.
#[derive(Debug, Clone)]
pub(super) struct Faults(pub(super) PathBuf);

impl Faults {
    pub(super) fn of(&self, error: &rusqlite::Error) -> StoreError {
        let path = self.0.clone();
        match error {
            rusqlite::Error::SqliteFailure(code, reason) => {
                let reason = reason.clone().unwrap_or_else(|| code.to_string());
                match code.code {
                    ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Damaged { path, reason },
                    ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::InUse { path, seconds: WAIT.as_secs() },
                    ErrorCode::DiskFull => StoreError::DiskFull { path, reason },
                    // Quotas and limits come so.
                    _ if code.extended_code == rusqlite::ffi::SQLITE_IOERR_WRITE => StoreError::DiskFull { path, reason },
                    ErrorCode::CannotOpen | ErrorCode::ReadOnly => StoreError::Open { path, reason },
                    _ => StoreError::File { path, reason },
                }
            }
            // A column of another type than the table has: only damage does that.
            rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::Utf8Error(..) => {
                StoreError::Damaged { path, reason: "a record is not of its form".to_owned() }
            }
            error => StoreError::File { path, reason: error.to_string() },
        }
    }

    pub(super) fn damaged(&self, reason: String) -> StoreError {
        StoreError::Damaged { path: self.0.clone(), reason }
    }

    pub(super) fn failed(&self, reason: String) -> StoreError {
        StoreError::File { path: self.0.clone(), reason }
    }

    /// Whether a record is what was written.
    pub(super) fn compare(&self, label: &str, key: &str, value: &[u8], sum: u32) -> Result<(), StoreError> {
        if checksum(label, key, value) == sum {
            Ok(())
        } else {
            Err(self.damaged(format!("the value of key '{key}' is not what was written")))
        }
    }
}

/// CRC-32 over a record.
pub(super) fn checksum(label: &str, key: &str, value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [label.as_bytes(), b"\0", key.as_bytes(), b"\0", value] {
        hasher.update(part);
    }
    hasher.finalize()
}

/// Makes a file that only its owner reads, where there is none.
pub(super) fn private_file(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
