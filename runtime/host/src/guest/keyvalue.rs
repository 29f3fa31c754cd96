//! `wasi:keyvalue` for guests: the same stores as Spin's key-value has ([`super::spin`]), with increments and compare-and-swap. As there, only stores that the manifest names
//! can be opened, and what an instance holds is bounded.

use hearth_store::{Namespace, StoreError};
use wasmtime::component::Resource;

use super::{spin::BYTES_MAX, spin::OPEN_MAX, state::State};

#[allow(missing_docs, unreachable_pub)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit/spin",
        world: "keyvalue",
        imports: {
            "wasi:keyvalue/store.[drop]bucket": trappable,
            "wasi:keyvalue/atomics.[drop]cas": trappable,
            "wasi:keyvalue/atomics.[method]cas.current": trappable,
            default: async | trappable,
        },
        with: { "wasi:keyvalue/store.bucket": super::Bucket, "wasi:keyvalue/atomics.cas": super::Cas },
        require_store_data_send: true,
    });
}

pub(crate) use bindings::Keyvalue;
use bindings::wasi::keyvalue::{atomics, store};

/// Keys of one answer to `list-keys`.
const PAGE: usize = 1000;

/// A store that a guest opened. `pub` since the generated bindings export it again.
#[allow(unreachable_pub)]
pub struct Bucket(Namespace);

/// A value as it was found, and where.
#[allow(unreachable_pub)]
pub struct Cas {
    namespace: Namespace,
    key: String,
    current: Option<Vec<u8>>,
}

impl Cas {
    fn bytes(&self) -> usize {
        self.key.len() + self.current.as_ref().map_or(0, Vec::len)
    }
}

type Answer<T> = wasmtime::Result<Result<T, store::Error>>;

fn refused(error: StoreError) -> store::Error {
    store::Error::Other(error.to_string())
}

impl State {
    /// Runs one operation; on a thread that may block, where it does.
    async fn operate<T: Send + 'static>(
        &mut self,
        namespace: Namespace,
        operation: impl FnOnce(&Namespace) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        let done =
            if namespace.blocks() { tokio::task::spawn_blocking(move || operation(&namespace)).await? } else { operation(&namespace) };
        self.progressed();
        Ok(done.map_err(refused))
    }

    fn bucket(&self, bucket: &Resource<Bucket>) -> wasmtime::Result<Namespace> {
        Ok(self.table.get(bucket)?.0.clone())
    }

    /// Reads a value to swap; there is a bound on what an instance holds of them.
    async fn read(&mut self, namespace: Namespace, key: String) -> Answer<Resource<Cas>> {
        let name = key.clone();
        let current = match self.operate(namespace.clone(), move |space| space.get(&name)).await? {
            Ok(current) => current,
            Err(error) => return Ok(Err(error)),
        };
        let cas = Cas { namespace, key, current };
        if cas.bytes() > BYTES_MAX.saturating_sub(self.stores.bytes) {
            return Ok(Err(store::Error::Other(format!("at most {BYTES_MAX} bytes of keys and values may be held: drop some first"))));
        }
        self.stores.bytes += cas.bytes();
        Ok(Ok(self.table.push(cas)?))
    }

    fn take(&mut self, cas: Resource<Cas>) -> wasmtime::Result<Cas> {
        let cas = self.table.delete(cas)?;
        self.stores.bytes = self.stores.bytes.saturating_sub(cas.bytes());
        Ok(cas)
    }
}

impl store::Host for State {
    async fn open(&mut self, identifier: String) -> Answer<Resource<Bucket>> {
        if !self.shared.key_value_stores.contains(&identifier) {
            return Ok(Err(store::Error::AccessDenied));
        }
        let Some(store) = &self.shared.store else { return Ok(Err(store::Error::NoSuchStore)) };
        if self.stores.open >= OPEN_MAX {
            return Ok(Err(store::Error::Other(format!("at most {OPEN_MAX} stores may be open at the same time: drop some first"))));
        }
        let namespace = match store.namespace(&identifier) {
            Ok(namespace) => namespace,
            Err(error) => return Ok(Err(refused(error))),
        };
        self.stores.open += 1;
        Ok(Ok(self.table.push(Bucket(namespace))?))
    }
}

impl store::HostBucket for State {
    async fn get(&mut self, this: Resource<Bucket>, key: String) -> Answer<Option<Vec<u8>>> {
        self.operate(self.bucket(&this)?, move |space| space.get(&key)).await
    }

    async fn set(&mut self, this: Resource<Bucket>, key: String, value: Vec<u8>) -> Answer<()> {
        self.operate(self.bucket(&this)?, move |space| space.set(&key, &value)).await
    }

    async fn delete(&mut self, this: Resource<Bucket>, key: String) -> Answer<()> {
        self.operate(self.bucket(&this)?, move |space| space.delete(&key)).await
    }

    async fn exists(&mut self, this: Resource<Bucket>, key: String) -> Answer<bool> {
        self.operate(self.bucket(&this)?, move |space| space.exists(&key)).await
    }

    async fn list_keys(&mut self, this: Resource<Bucket>, cursor: Option<String>) -> Answer<store::KeyResponse> {
        let keys = self.operate(self.bucket(&this)?, Namespace::keys).await?;
        Ok(keys.map(|keys| {
            let from = cursor.map_or(0, |cursor| keys.partition_point(|key| *key <= cursor));
            let page: Vec<_> = keys.iter().skip(from).take(PAGE).cloned().collect();
            let more = from + page.len() < keys.len();
            store::KeyResponse { cursor: page.last().filter(|_| more).cloned(), keys: page }
        }))
    }

    fn drop(&mut self, this: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        self.stores.open = self.stores.open.saturating_sub(1);
        Ok(())
    }
}

impl atomics::Host for State {
    async fn increment(&mut self, bucket: Resource<Bucket>, key: String, delta: i64) -> Answer<i64> {
        self.operate(self.bucket(&bucket)?, move |space| space.increment(&key, delta)).await
    }

    async fn swap(&mut self, cas: Resource<Cas>, value: Vec<u8>) -> wasmtime::Result<Result<(), atomics::CasError>> {
        let Cas { namespace, key, current } = self.take(cas)?;
        let name = key.clone();
        let swapped = self.operate(namespace.clone(), move |space| space.replace(&name, current.as_deref(), &value)).await?;
        Ok(match swapped {
            Ok(true) => Ok(()),
            Ok(false) => Err(match self.read(namespace, key).await? {
                Ok(newer) => atomics::CasError::CasFailed(newer),
                Err(error) => atomics::CasError::StoreError(error),
            }),
            Err(error) => Err(atomics::CasError::StoreError(error)),
        })
    }
}

impl atomics::HostCas for State {
    async fn new(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<Resource<Cas>> {
        self.read(self.bucket(&bucket)?, key).await
    }

    fn current(&mut self, this: Resource<Cas>) -> Answer<Option<Vec<u8>>> {
        Ok(Ok(self.table.get(&this)?.current.clone()))
    }

    fn drop(&mut self, this: Resource<Cas>) -> wasmtime::Result<()> {
        self.take(this)?;
        Ok(())
    }
}
