//! Clients' keys as they were last seen: who had one when Redis went away keeps its service.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::DEFAULT;

/// What the keys of clients begin with.
const KEYS: &str = "key/";
/// Keys that are remembered, and bytes of one, at most.
const SEEN_MAX: usize = 10_000;
const BYTES_MAX: usize = 16 << 10;

#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<HashMap<String, Vec<u8>>>);

impl Seen {
    /// Remembers what a key is, or forgets it where it is no more.
    pub(super) fn saw(&self, label: &str, key: &str, value: Option<&[u8]>) {
        if label != DEFAULT || !key.starts_with(KEYS) {
            return;
        }
        let mut seen = self.seen();
        match value.filter(|value| value.len() <= BYTES_MAX) {
            Some(value) => {
                if seen.len() >= SEEN_MAX && !seen.contains_key(key) {
                    // Any: all were seen, and which will be asked for again nobody knows.
                    if let Some(other) = seen.keys().next().cloned() {
                        seen.remove(&other);
                    }
                }
                seen.insert(key.to_owned(), value.to_vec());
            }
            None => drop(seen.remove(key)),
        }
    }

    pub(super) fn last(&self, label: &str, key: &str) -> Option<Vec<u8>> {
        if label == DEFAULT { self.seen().get(key).cloned() } else { None }
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
