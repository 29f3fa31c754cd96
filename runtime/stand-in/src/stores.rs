//! Spin's key-value, and the draft of WASI's that can count, over the same stores.

use crate::{
    StandIn,
    bindings::{
        exports::{
            spin::key_value::key_value::{self as spin, GuestStore},
            wasi::keyvalue::{
                atomics::{self, CasError, GuestCas},
                store::{self as wasi, GuestBucket, KeyResponse},
            },
        },
        wit_future, wit_stream,
    },
    memory::Store,
};

impl spin::Guest for StandIn {
    type Store = Store;
}

impl GuestStore for Store {
    async fn open(label: String) -> Result<spin::Store, spin::Error> {
        Self::open(&label).map(spin::Store::new).ok_or(spin::Error::NoSuchStore)
    }

    async fn get(&self, key: String) -> Result<Option<Vec<u8>>, spin::Error> {
        Ok((*self).get(&key))
    }

    async fn set(&self, key: String, value: Vec<u8>) -> Result<(), spin::Error> {
        (*self).set(&key, value).map_err(|full| spin::Error::Other(full.into()))
    }

    async fn delete(&self, key: String) -> Result<(), spin::Error> {
        (*self).delete(&key);
        Ok(())
    }

    async fn exists(&self, key: String) -> Result<bool, spin::Error> {
        Ok((*self).get(&key).is_some())
    }

    async fn get_keys(&self) -> (wit_bindgen::StreamReader<String>, wit_bindgen::FutureReader<Result<(), spin::Error>>) {
        let (mut keys, reader) = wit_stream::new::<String>();
        let (done, whole) = wit_future::new::<Result<(), spin::Error>>(|| Ok(()));
        let all = (*self).keys();
        wit_bindgen::spawn(async move {
            // Who reads no further wants no more.
            let _ = keys.write_all(all).await;
            drop(keys);
            let _ = done.write(Ok(())).await;
        });
        (reader, whole)
    }
}

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
