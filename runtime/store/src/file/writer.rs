//! The one thread that writes a file. What waits while a commit reaches the disk goes into the next one together: with many writers a commit serves many.

use std::{
    mem,
    sync::{Mutex, PoisonError, mpsc},
    thread::JoinHandle,
};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::database::{Faults, checksum};
use crate::{StoreError, number};

/// Changes of one commit at most.
const GROUP_MAX: usize = 256;
/// Changes that wait at most; who comes later waits to wait.
const WAITING_MAX: usize = 1024;

/// What is done to a key.
#[derive(Debug)]
pub(super) enum Change {
    Set(Vec<u8>),
    Delete,
    Add(i64),
    Replace { expected: Option<Vec<u8>>, value: Vec<u8> },
}

#[derive(Debug)]
struct Job {
    label: String,
    key: String,
    change: Change,
    done: mpsc::SyncSender<Result<i64, StoreError>>,
}

#[derive(Debug)]
pub(super) struct Writer {
    faults: Faults,
    jobs: Option<mpsc::SyncSender<Job>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(mut connection: Connection, faults: Faults) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::sync_channel::<Job>(WAITING_MAX);
        let of = faults.clone();
        let run = move || {
            while let Ok(first) = waiting.recv() {
                let group: Vec<_> = std::iter::once(first).chain(waiting.try_iter().take(GROUP_MAX - 1)).collect();
                commit(&mut connection, &of, group);
            }
        };
        let thread = std::thread::Builder::new().name("store".into()).spawn(run);
        let thread = thread.map_err(|error| faults.failed(format!("its thread cannot be started: {error}")))?;
        Ok(Self { faults, jobs: Some(jobs), thread: Mutex::new(Some(thread)) })
    }

    /// Makes a change and returns when it is on the disk: the total of an addition, whether something was replaced (1 or 0), else 0.
    pub(super) fn write(&self, label: &str, key: &str, change: Change) -> Result<i64, StoreError> {
        let (done, wait) = mpsc::sync_channel(1);
        let job = Job { label: label.to_owned(), key: key.to_owned(), change, done };
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        let done = if sent { wait.recv().ok() } else { None };
        done.unwrap_or_else(|| Err(self.faults.failed("its writer has ended".to_owned())))
    }
}

impl Drop for Writer {
    /// The file is closed when the last user has gone, and not at some time after.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

/// Makes changes in one transaction; where that fails, each in one of its own, so that none suffers for another (a large value on a disk that is almost full).
fn commit(connection: &mut Connection, faults: &Faults, mut group: Vec<Job>) {
    let together = apply(connection, faults, &group);
    let results = match together {
        Ok(results) => results,
        Err(error) if group.len() == 1 => vec![Err(error)],
        Err(_) => {
            group.iter().map(|job| apply(connection, faults, std::slice::from_ref(job)).and_then(|mut result| result.remove(0))).collect()
        }
    };
    for (job, result) in mem::take(&mut group).into_iter().zip(results) {
        // Who no longer waits does not care.
        let _ = job.done.send(result);
    }
}

/// A change that is refused, such as an addition to a text, changes nothing and is no failure of the others.
fn apply(connection: &mut Connection, faults: &Faults, jobs: &[Job]) -> Result<Vec<Result<i64, StoreError>>, StoreError> {
    let failed = |error: rusqlite::Error| faults.of(&error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let mut results = Vec::with_capacity(jobs.len());
    for job in jobs {
        results.push(match change(&transaction, faults, job) {
            Err(error @ (StoreError::Number(_) | StoreError::Overflow(_) | StoreError::Damaged { .. })) => Err(error),
            done => Ok(done?),
        });
    }
    transaction.commit().map_err(failed)?;
    Ok(results)
}

fn change(connection: &Connection, faults: &Faults, Job { label, key, change, .. }: &Job) -> Result<i64, StoreError> {
    let failed = |error: rusqlite::Error| faults.of(&error);
    let get = || -> Result<Option<Vec<u8>>, StoreError> {
        let get = || -> rusqlite::Result<Option<(Vec<u8>, u32)>> {
            let mut get = connection.prepare_cached("SELECT value, sum FROM records WHERE label = ?1 AND key = ?2")?;
            get.query_row(params![label, key], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        };
        let Some((value, sum)) = get().map_err(failed)? else { return Ok(None) };
        faults.compare(label, key, &value, sum)?;
        Ok(Some(value))
    };
    let set = |value: &[u8]| -> Result<(), StoreError> {
        let set = || -> rusqlite::Result<usize> {
            let statement = "INSERT INTO records(label, key, value, sum) VALUES(?1, ?2, ?3, ?4) \
                             ON CONFLICT(label, key) DO UPDATE SET value = excluded.value, sum = excluded.sum";
            connection.prepare_cached(statement)?.execute(params![label, key, value, checksum(label, key, value)])
        };
        set().map(drop).map_err(failed)
    };
    match change {
        Change::Set(value) => set(value).map(|()| 0),
        Change::Delete => {
            let delete = || connection.prepare_cached("DELETE FROM records WHERE label = ?1 AND key = ?2")?.execute(params![label, key]);
            delete().map(|_| 0).map_err(failed)
        }
        Change::Add(delta) => {
            let total = number(key, get()?.as_deref())?.checked_add(*delta).ok_or_else(|| StoreError::Overflow(key.clone()))?;
            set(total.to_string().as_bytes())?;
            Ok(total)
        }
        Change::Replace { expected, value } => {
            if get()? != *expected {
                return Ok(0);
            }
            set(value)?;
            Ok(1)
        }
    }
}
