//! Records in this process's memory: a store for tests and trials, and counts that need not outlive it.

use std::{
    collections::BTreeMap,
    ops::Bound::{Included, Unbounded},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{Backend, KEYS_MAX, StoreError, number};

/// Records at most: what never ends must not take all memory.
const RECORDS_MAX: usize = 1_000_000;
/// How often what is over is looked for and removed.
const SWEEP: Duration = Duration::from_secs(60);

/// Records of all labels, each for a time from its first use, or for as long as the process.
#[derive(Debug)]
pub(crate) struct Memory {
    life: Option<Duration>,
    records: Mutex<Records>,
}

#[derive(Debug)]
struct Records {
    swept: Instant,
    by_key: BTreeMap<(String, String), Record>,
}

#[derive(Debug)]
struct Record {
    value: Vec<u8>,
    born: Instant,
}

impl Memory {
    pub(crate) fn new(life: Option<Duration>) -> Self {
        Self { life, records: Mutex::new(Records { swept: Instant::now(), by_key: BTreeMap::new() }) }
    }

    /// The records, without those that are over where it is time to look for them.
    fn records(&self) -> MutexGuard<'_, Records> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(life) = self.life
            && (now - records.swept >= SWEEP || records.by_key.len() >= RECORDS_MAX)
        {
            records.swept = now;
            records.by_key.retain(|_, record| now - record.born < life);
        }
        records
    }

    fn lives(&self, record: &Record) -> bool {
        self.life.is_none_or(|life| record.born.elapsed() < life)
    }

    /// Puts what `change` makes of the value in its place; `None` leaves it.
    fn change(
        &self,
        label: &str,
        key: &str,
        change: impl FnOnce(Option<&[u8]>) -> Result<Option<Vec<u8>>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut records = self.records();
        let full = records.by_key.len() >= RECORDS_MAX;
        let place = (label.to_owned(), key.to_owned());
        match records.by_key.get_mut(&place).filter(|record| self.lives(record)) {
            Some(record) => {
                if let Some(value) = change(Some(&record.value))? {
                    record.value = value;
                }
            }
            None => {
                if let Some(value) = change(None)? {
                    if full {
                        return Err(StoreError::Full { records: RECORDS_MAX });
                    }
                    records.by_key.insert(place, Record { value, born: Instant::now() });
                }
            }
        }
        Ok(())
    }
}

impl Backend for Memory {
    fn get(&self, label: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let records = self.records();
        let record = records.by_key.get(&(label.to_owned(), key.to_owned())).filter(|record| self.lives(record));
        Ok(record.map(|record| record.value.clone()))
    }

    fn exists(&self, label: &str, key: &str) -> Result<bool, StoreError> {
        Ok(self.records().by_key.get(&(label.to_owned(), key.to_owned())).is_some_and(|record| self.lives(record)))
    }

    fn set(&self, label: &str, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.change(label, key, |_| Ok(Some(value.to_vec())))
    }

    fn delete(&self, label: &str, key: &str) -> Result<(), StoreError> {
        self.records().by_key.remove(&(label.to_owned(), key.to_owned()));
        Ok(())
    }

    fn increment(&self, label: &str, key: &str, delta: i64) -> Result<i64, StoreError> {
        let mut total = 0;
        self.change(label, key, |value| {
            total = number(key, value)?.checked_add(delta).ok_or_else(|| StoreError::Overflow(key.to_owned()))?;
            Ok(Some(total.to_string().into_bytes()))
        })?;
        Ok(total)
    }

    fn replace(&self, label: &str, key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, StoreError> {
        let mut replaced = false;
        self.change(label, key, |found| {
            replaced = found == expected;
            Ok(replaced.then(|| value.to_vec()))
        })?;
        Ok(replaced)
    }

    fn keys(&self, label: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        let records = self.records();
        let range = records.by_key.range((Included((label.to_owned(), prefix.to_owned())), Unbounded));
        let matching = range.take_while(|((of, key), _)| of == label && key.starts_with(prefix));
        let keys: Vec<_> = matching.filter(|(_, record)| self.lives(record)).take(KEYS_MAX + 1).map(|((_, key), _)| key.clone()).collect();
        if keys.len() > KEYS_MAX { Err(StoreError::Keys(label.to_owned())) } else { Ok(keys) }
    }

    fn blocks(&self) -> bool {
        false
    }
}
