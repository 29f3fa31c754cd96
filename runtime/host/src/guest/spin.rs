//! Spin's key-value and variables for guests, over `hearth-store` and the application's resolved variables. Only stores that the manifest names can be opened.

use std::sync::Arc;

use hearth_store::{Namespace, StoreError};
use tokio::sync::Semaphore;
use wasmtime::component::{Accessor, FutureReader, HasData, Resource, StreamReader};

use super::state::State;

#[allow(missing_docs, unreachable_pub)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit/spin",
        world: "spin",
        imports: { default: async | store | trappable, "spin:key-value/key-value.[drop]store": trappable },
        with: { "spin:key-value/key-value.store": super::OpenStore },
        require_store_data_send: true,
    });
}

#[allow(missing_docs, unreachable_pub)]
mod older {
    wasmtime::component::bindgen!({ path: "../../wit/spin", world: "settings", imports: { default: trappable } });
}

pub(crate) use bindings::Spin;
use bindings::spin::{key_value::key_value as kv, variables::variables as vars};
pub(crate) use older::Settings;
use older::fermyon::spin::variables as older_vars;

/// Stores that one instance may hold open.
pub(crate) const OPEN_MAX: usize = 32;
/// Store operations of one instance that run at the same time; further ones wait.
const OPERATIONS_MAX: usize = 8;
/// Store operations of one instance that run or wait.
const WAITING_MAX: usize = 1024;
/// Bytes of keys and values in them: each call has its own copy here, though the guest may pass the same bytes in all of them.
pub(crate) const BYTES_MAX: usize = 64 << 20;

/// A store that a guest opened. `pub` since the generated bindings export it again.
#[allow(unreachable_pub)]
pub struct OpenStore {
    namespace: Namespace,
    operations: Arc<Semaphore>,
}

/// What an instance holds of stores.
pub(crate) struct Stores {
    pub(crate) open: usize,
    waiting: usize,
    pub(crate) bytes: usize,
    operations: Arc<Semaphore>,
}

impl Default for Stores {
    fn default() -> Self {
        Self { open: 0, waiting: 0, bytes: 0, operations: Arc::new(Semaphore::new(OPERATIONS_MAX)) }
    }
}

/// Marks the store data for the generated traits.
pub(crate) struct HasState;

impl HasData for HasState {
    type Data<'a> = &'a mut State;
}

type Answer<T> = wasmtime::Result<Result<T, kv::Error>>;

impl kv::Host for State {}

impl kv::HostStore for State {
    fn drop(&mut self, this: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        self.stores.open = self.stores.open.saturating_sub(1);
        Ok(())
    }
}

/// Runs one operation, whose key and value have so many `bytes`, on a thread that may block.
async fn operate<T: Send + 'static, U: Send + 'static>(
    accessor: &Accessor<U, HasState>,
    store: &Resource<OpenStore>,
    bytes: usize,
    operation: impl FnOnce(&Namespace) -> Result<T, StoreError> + Send + 'static,
) -> Answer<T> {
    let admitted = accessor.with(|mut access| {
        let state: &mut State = access.get();
        let store = state.table.get(store)?;
        let (namespace, operations) = (store.namespace.clone(), store.operations.clone());
        if state.stores.waiting >= WAITING_MAX || bytes > BYTES_MAX.saturating_sub(state.stores.bytes) {
            return wasmtime::error::Ok(None);
        }
        state.stores.waiting += 1;
        state.stores.bytes += bytes;
        Ok(Some((namespace, operations)))
    })?;
    let Some((namespace, operations)) = admitted else {
        let reason =
            format!("at most {WAITING_MAX} operations and {BYTES_MAX} bytes of keys and values may be under way: await some first");
        return Ok(Err(kv::Error::Other(reason)));
    };
    let permit = operations.acquire_owned().await?;
    let result = tokio::task::spawn_blocking(move || {
        let result = operation(&namespace);
        drop(permit);
        result
    })
    .await?;
    accessor.with(|mut access| {
        let state: &mut State = access.get();
        state.stores.waiting -= 1;
        state.stores.bytes -= bytes;
        state.progressed();
    });
    Ok(result.map_err(|error| kv::Error::Other(error.to_string())))
}

impl<U: Send + 'static> kv::HostStoreWithStore<U> for HasState {
    async fn open(accessor: &Accessor<U, Self>, label: String) -> Answer<Resource<OpenStore>> {
        accessor.with(|mut access| {
            let state: &mut State = access.get();
            if !state.shared.key_value_stores.contains(&label) {
                return Ok(Err(kv::Error::AccessDenied));
            }
            let Some(store) = &state.shared.store else { return Ok(Err(kv::Error::NoSuchStore)) };
            if state.stores.open >= OPEN_MAX {
                return Ok(Err(kv::Error::StoreTableFull));
            }
            let namespace = match store.namespace(&label) {
                Ok(namespace) => namespace,
                Err(error) => return Ok(Err(kv::Error::Other(error.to_string()))),
            };
            state.stores.open += 1;
            let operations = state.stores.operations.clone();
            Ok(Ok(state.table.push(OpenStore { namespace, operations })?))
        })
    }

    async fn get(accessor: &Accessor<U, Self>, this: Resource<OpenStore>, key: String) -> Answer<Option<Vec<u8>>> {
        operate(accessor, &this, key.len(), move |space| space.get(&key)).await
    }

    async fn set(accessor: &Accessor<U, Self>, this: Resource<OpenStore>, key: String, value: Vec<u8>) -> Answer<()> {
        operate(accessor, &this, key.len() + value.len(), move |space| space.set(&key, &value)).await
    }

    async fn delete(accessor: &Accessor<U, Self>, this: Resource<OpenStore>, key: String) -> Answer<()> {
        operate(accessor, &this, key.len(), move |space| space.delete(&key)).await
    }

    async fn exists(accessor: &Accessor<U, Self>, this: Resource<OpenStore>, key: String) -> Answer<bool> {
        operate(accessor, &this, key.len(), move |space| space.exists(&key)).await
    }

    async fn get_keys(
        accessor: &Accessor<U, Self>,
        this: Resource<OpenStore>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), kv::Error>>)> {
        let (keys, end) = match operate(accessor, &this, 0, Namespace::keys).await? {
            Ok(keys) => (keys, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        accessor.with(|mut access| {
            Ok((StreamReader::new(&mut access, keys)?, FutureReader::new(&mut access, async { wasmtime::error::Ok(end) })?))
        })
    }
}

impl vars::Host for State {}

impl<U: Send + 'static> vars::HostWithStore<U> for HasState {
    async fn get(accessor: &Accessor<U, Self>, name: String) -> wasmtime::Result<Result<String, vars::Error>> {
        Ok(accessor.with(|mut access| {
            let state: &mut State = access.get();
            state.variable(&name).map_err(|no| match no {
                NoVariable::Invalid(reason) => vars::Error::InvalidName(reason),
                NoVariable::Undefined(reason) => vars::Error::Undefined(reason),
            })
        }))
    }
}

impl older_vars::Host for State {
    fn get(&mut self, name: String) -> wasmtime::Result<Result<String, older_vars::Error>> {
        Ok(self.variable(&name).map_err(|no| match no {
            NoVariable::Invalid(reason) => older_vars::Error::InvalidName(reason),
            NoVariable::Undefined(reason) => older_vars::Error::Undefined(reason),
        }))
    }
}

/// Why there is no value.
enum NoVariable {
    Invalid(String),
    Undefined(String),
}

impl State {
    /// The value of a variable of the guest's component.
    fn variable(&self, name: &str) -> Result<String, NoVariable> {
        if name.is_empty() || !name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')) {
            return Err(NoVariable::Invalid(format!("'{name}': a variable's name has lower-case letters, digits and '_'")));
        }
        self.shared.variables.get(name).cloned().ok_or_else(|| {
            NoVariable::Undefined(format!(
                "component '{0}' has no variable '{name}': add it under [component.{0}.variables]",
                self.shared.id
            ))
        })
    }
}
