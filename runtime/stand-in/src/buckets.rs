//! The draft of WASI's key-value, which can count.

use crate::{
    StandIn,
    bindings::exports::wasi::keyvalue::{
        atomics::{self, CasError, GuestCas},
        store::{self as wasi, GuestBucket, KeyResponse},
    },
    memory::Store,
};

impl wasi::Guest for StandIn {
    type Bucket = Store;

    fn open(identifier: String) -> Result<wasi::Bucket, wasi::Error> {
        Store::open(&identifier).map(wasi::Bucket::new).ok_or(wasi::Error::NoSuchStore)
    }
}

impl GuestBucket for Store {
    fn get(&self, key: String) -> Result<Option<Vec<u8>>, wasi::Error> {
        Ok((*self).get(&key))
    }

    fn set(&self, key: String, value: Vec<u8>) -> Result<(), wasi::Error> {
        (*self).set(&key, value).map_err(|full| wasi::Error::Other(full.into()))
    }

    fn delete(&self, key: String) -> Result<(), wasi::Error> {
        (*self).delete(&key);
        Ok(())
    }

    fn exists(&self, key: String) -> Result<bool, wasi::Error> {
        Ok((*self).get(&key).is_some())
    }

    fn list_keys(&self, _cursor: Option<String>) -> Result<KeyResponse, wasi::Error> {
        Ok(KeyResponse { keys: (*self).keys(), cursor: None })
    }
}

/// A value as it was when somebody began to change it.
pub(crate) struct Cas {
    store: Store,
    key: String,
    seen: Option<Vec<u8>>,
}

impl Cas {
    fn of(store: Store, key: String) -> Self {
        let seen = store.get(&key);
        Self { store, key, seen }
    }
}

impl atomics::Guest for StandIn {
    type Cas = Cas;

    fn increment(bucket: wasi::BucketBorrow<'_>, key: String, delta: i64) -> Result<i64, wasi::Error> {
        let store = *bucket.get::<Store>();
        let count = match store.get(&key) {
            None => 0,
            Some(bytes) => {
                let text = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse::<i64>().ok());
                text.ok_or_else(|| wasi::Error::Other(format!("the value of `{key}` is no number, so that it cannot be counted up")))?
            }
        };
        let count = count.saturating_add(delta);
        store.set(&key, count.to_string().into_bytes()).map_err(|full| wasi::Error::Other(full.into()))?;
        Ok(count)
    }

    fn swap(cas: atomics::Cas, value: Vec<u8>) -> Result<(), CasError> {
        let Cas { store, key, seen } = cas.into_inner::<Cas>();
        if store.get(&key) != seen {
            return Err(CasError::CasFailed(atomics::Cas::new(Cas::of(store, key))));
        }
        store.set(&key, value).map_err(|full| CasError::StoreError(wasi::Error::Other(full.into())))
    }
}

impl GuestCas for Cas {
    fn new(bucket: wasi::BucketBorrow<'_>, key: String) -> Result<atomics::Cas, wasi::Error> {
        Ok(atomics::Cas::new(Self::of(*bucket.get::<Store>(), key)))
    }

    fn current(&self) -> Result<Option<Vec<u8>>, wasi::Error> {
        Ok(self.seen.clone())
    }
}
