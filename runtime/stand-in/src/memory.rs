//! The stores of an instance: values by label and key, and a bound to them all.

use std::{cell::RefCell, collections::BTreeMap};

/// Labels that there are: those that spin.toml grants.
const LABELS: [&str; 2] = ["default", "counters"];
/// Bytes of all keys and values.
const BYTES_MAX: usize = 64 << 20;

/// A store, by its label.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Store(&'static str);

/// Why a value is not taken.
pub(crate) const FULL: &str =
    "the stores of this instance are in its memory and full (64 MiB): delete something, or run on a host with stores of its own";

#[derive(Default)]
struct Stores {
    values: BTreeMap<(&'static str, String), Vec<u8>>,
    bytes: usize,
}

thread_local! {
    static STORES: RefCell<Stores> = RefCell::default();
}

impl Store {
    /// The store with this label, if there is one.
    pub(crate) fn open(label: &str) -> Option<Self> {
        LABELS.into_iter().find(|known| *known == label).map(Self)
    }

    pub(crate) fn get(self, key: &str) -> Option<Vec<u8>> {
        STORES.with_borrow(|stores| stores.values.get(&(self.0, key.to_owned())).cloned())
    }

    /// # Errors
    /// [`FULL`]
    pub(crate) fn set(self, key: &str, value: Vec<u8>) -> Result<(), &'static str> {
        STORES.with_borrow_mut(|stores| {
            let place = (self.0, key.to_owned());
            let before = stores.values.get(&place).map_or(0, |before| key.len() + before.len());
            let bytes = stores.bytes - before + key.len() + value.len();
            if bytes > BYTES_MAX {
                return Err(FULL);
            }
            stores.bytes = bytes;
            stores.values.insert(place, value);
            Ok(())
        })
    }

    pub(crate) fn delete(self, key: &str) {
        STORES.with_borrow_mut(|stores| {
            if let Some(value) = stores.values.remove(&(self.0, key.to_owned())) {
                stores.bytes -= key.len() + value.len();
            }
        });
    }

    /// All keys, sorted.
    pub(crate) fn keys(self) -> Vec<String> {
        STORES.with_borrow(|stores| {
            let ours = stores.values.range((self.0, String::new())..).take_while(|((label, _), _)| *label == self.0);
            ours.map(|((_, key), _)| key.clone()).collect()
        })
    }
}
