//! Spin's key-value, over the same stores.

use crate::{
    StandIn,
    bindings::{
        exports::spin::key_value::key_value::{self as spin, GuestStore},
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
