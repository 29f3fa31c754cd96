//! The handler's ports over the engine in this process: the same nouns on both sides, so that what stands here only renames.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use hearth_engine::{Context, Engine, Error, Graph};
use hearth_function::{
    Body,
    ports::{self, KeyValueError, NnError, Tensor, TensorType},
};
use hearth_server::RequestBody;
use hearth_store::{COUNTERS, DEFAULT, Namespace, Store, StoreError};
use http::{Request, Response};

use crate::outbound::Outbound;

/// All ports of a server.
#[derive(Debug, Clone)]
pub(crate) struct Ports(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    nn: Nn,
    key_value: KeyValue,
    counters: Counters,
    settings: Settings,
    outbound: Outbound,
}

impl Ports {
    /// Over this engine and store, with these settings. Without a store nothing is kept, and counts are this process's.
    pub(crate) fn new(engine: Engine, store: Option<Store>, settings: Settings) -> Result<Self, StoreError> {
        let key_value = KeyValue(store.as_ref().map(|store| store.namespace(DEFAULT)).transpose()?);
        let counters = Counters(store.unwrap_or_else(Store::in_memory).namespace(COUNTERS)?);
        Ok(Self(Arc::new(Inner { nn: Nn(engine), key_value, counters, settings, outbound: Outbound::default() })))
    }
}

impl ports::Ports for Ports {
    type Nn = Nn;
    type KeyValue = KeyValue;
    type Counters = Counters;
    type Settings = Settings;
    type Outbound = Outbound;

    fn nn(&self) -> &Nn {
        &self.0.nn
    }

    fn key_value(&self) -> &KeyValue {
        &self.0.key_value
    }

    fn counters(&self) -> &Counters {
        &self.0.counters
    }

    fn settings(&self) -> &Settings {
        &self.0.settings
    }

    fn outbound(&self) -> &Outbound {
        &self.0.outbound
    }
}

/// Answers requests with the handler.
pub(crate) struct Handler(pub(crate) Ports);

impl hearth_server::Handler for Handler {
    type Body = Body;

    async fn handle(&self, request: Request<RequestBody>) -> Response<Body> {
        hearth_function::handle(self.0.clone(), request).await
    }
}

/// Values by name, which may be others from one request to the next. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Settings(Arc<RwLock<BTreeMap<&'static str, String>>>);

impl Settings {
    /// From now on these, and no others.
    pub(crate) fn replace(&self, values: BTreeMap<&'static str, String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = values;
    }
}

impl fmt::Debug for Settings {
    /// Names alone: among the values are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.read().unwrap_or_else(PoisonError::into_inner).keys()).finish()
    }
}

impl ports::Settings for Settings {
    async fn get(&self, name: &str) -> Option<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// An operation of the store: on a thread that may block, where it does.
async fn operate<T: Send + 'static>(
    namespace: &Namespace,
    operation: impl FnOnce(&Namespace) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, KeyValueError> {
    let done = if namespace.blocks() {
        let namespace = namespace.clone();
        let done = tokio::task::spawn_blocking(move || operation(&namespace)).await;
        done.map_err(|error| KeyValueError { message: error.to_string() })?
    } else {
        operation(namespace)
    };
    done.map_err(|error| KeyValueError { message: error.to_string() })
}

/// What is kept, unless nothing is.
#[derive(Debug)]
pub(crate) struct KeyValue(Option<Namespace>);

impl KeyValue {
    pub(crate) fn new(namespace: Option<Namespace>) -> Self {
        Self(namespace)
    }

    async fn operate<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Namespace) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, KeyValueError> {
        match &self.0 {
            Some(namespace) => operate(namespace, operation).await,
            None => Err(KeyValueError { message: "the server was started with --no-store".to_owned() }),
        }
    }
}

impl ports::KeyValue for KeyValue {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        let key = key.to_owned();
        self.operate(move |space| space.get(&key)).await
    }

    async fn set(&self, key: &str, value: Vec<u8>) -> Result<(), KeyValueError> {
        let key = key.to_owned();
        self.operate(move |space| space.set(&key, &value)).await
    }

    async fn delete(&self, key: &str) -> Result<(), KeyValueError> {
        let key = key.to_owned();
        self.operate(move |space| space.delete(&key)).await
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>, KeyValueError> {
        let prefix = prefix.to_owned();
        self.operate(move |space| space.keys_with(&prefix)).await
    }
}

/// Counts of limits.
#[derive(Debug)]
pub(crate) struct Counters(Namespace);

impl ports::Counters for Counters {
    async fn add(&self, key: &str, amount: u64) -> Result<u64, KeyValueError> {
        let (key, amount) = (key.to_owned(), i64::try_from(amount).unwrap_or(i64::MAX));
        let total = operate(&self.0, move |space| space.increment(&key, amount)).await?;
        Ok(u64::try_from(total).unwrap_or(0))
    }
}

#[derive(Debug)]
pub(crate) struct Nn(Engine);

impl ports::Nn for Nn {
    type Graph = NativeGraph;

    async fn load_by_name(&self, name: &str) -> Result<NativeGraph, NnError> {
        self.0.load_by_name(name).await.map(NativeGraph).map_err(error)
    }
}

#[derive(Debug)]
pub(crate) struct NativeGraph(Graph);

impl ports::Graph for NativeGraph {
    type Context = NativeContext;

    fn init_execution_context(&self) -> Result<NativeContext, NnError> {
        self.0.init_execution_context().map(NativeContext).map_err(error)
    }
}

#[derive(Debug)]
pub(crate) struct NativeContext(Context);

impl ports::Context for NativeContext {
    async fn compute(&mut self, inputs: Vec<(String, Tensor)>) -> Result<Vec<(String, Tensor)>, NnError> {
        let inputs = inputs.into_iter().map(|(name, tensor)| (name, into_engine(tensor))).collect();
        let outputs = self.0.compute(inputs).await.map_err(error)?;
        Ok(outputs.into_iter().map(|(name, tensor)| (name, from_engine(tensor))).collect())
    }

    async fn yield_now(&mut self) {
        tokio::task::yield_now().await;
    }
}

fn error(error: Error) -> NnError {
    NnError { data: error.data() }
}

fn into_engine(tensor: Tensor) -> hearth_engine::Tensor {
    use hearth_engine::TensorType as To;
    let ty = match tensor.ty {
        TensorType::Fp16 => To::Fp16,
        TensorType::Fp32 => To::Fp32,
        TensorType::Fp64 => To::Fp64,
        TensorType::Bf16 => To::Bf16,
        TensorType::U8 => To::U8,
        TensorType::I32 => To::I32,
        TensorType::I64 => To::I64,
    };
    hearth_engine::Tensor { dimensions: tensor.dimensions, ty, data: tensor.data }
}

fn from_engine(tensor: hearth_engine::Tensor) -> Tensor {
    use hearth_engine::TensorType as From;
    let ty = match tensor.ty {
        From::Fp16 => TensorType::Fp16,
        From::Fp32 => TensorType::Fp32,
        From::Fp64 => TensorType::Fp64,
        From::Bf16 => TensorType::Bf16,
        From::U8 => TensorType::U8,
        From::I32 => TensorType::I32,
        From::I64 => TensorType::I64,
    };
    Tensor { dimensions: tensor.dimensions, ty, data: tensor.data }
}
