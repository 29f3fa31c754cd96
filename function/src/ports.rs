//! What the handler needs of the world it runs in.

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use futures::Stream;
use http::{Request, Response};

use crate::keys::Caller;

/// The element type of a tensor, as wasi-nn names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TensorType {
    Fp16,
    Fp32,
    Fp64,
    Bf16,
    U8,
    I32,
    I64,
}

/// A tensor of wasi-nn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Length of each dimension.
    pub dimensions: Vec<u32>,
    /// Element type.
    pub ty: TensorType,
    /// Elements in row-major order, little endian.
    pub data: Vec<u8>,
}

/// A failure behind [`Nn`]: the JSON document of wasi-nn's `error.data()` (`docs/wasi-nn.md`).
#[derive(Debug, Clone, thiserror::Error)]
#[error("{data}")]
pub struct NnError {
    /// `{"kind", "message", …}`
    pub data: String,
}

/// wasi-nn.
pub trait Nn: Send + Sync {
    /// A model.
    type Graph: Graph;

    /// wasi-nn's `load-by-name`.
    fn load_by_name(&self, name: &str) -> impl Future<Output = Result<Self::Graph, NnError>> + Send;
}

/// A model.
pub trait Graph: Send + Sync + 'static {
    /// A sequence of this model.
    type Context: Context;

    /// wasi-nn's `init-execution-context`.
    ///
    /// # Errors
    /// [`NnError`]
    fn init_execution_context(&self) -> Result<Self::Context, NnError>;
}

/// A sequence. Dropping it stops it.
pub trait Context: Send + 'static {
    /// wasi-nn's `compute`. Where this is a synchronous import it holds the caller's fiber, so a caller yields between calls.
    fn compute(&mut self, inputs: Vec<(String, Tensor)>) -> impl Future<Output = Result<Vec<(String, Tensor)>, NnError>> + Send;

    /// Lets what was written so far leave before the next `compute`.
    fn yield_now(&mut self) -> impl Future<Output = ()> + Send;
}

/// Configuration values by name.
pub trait Settings: Send + Sync {
    /// The value, `None` where it is not set. Names in use: `models` (comma-separated catalog names; the first is the default), `max_body_bytes` (largest request body),
    /// `store_responses` (`false` keeps no responses and conversations), `store_days` (how long a response is kept; 0 until it is deleted), `master_key` (32 bytes in base64,
    /// which wrap the keys that what is kept is encrypted with), `keys` (`none`, or `required`: requests need a key), `api_key` (a key that is not in the store; where there is
    /// one, requests need a key), `limit_requests_per_minute`, `limit_tokens_per_minute` and `limit_concurrent` (of keys that have no limits of their own), `response_cache`
    /// (answers that are kept for the same request to come again; 0 keeps none), `fallback_url` (the address of another Hearth, as `https://gpu.example.com`, that is asked for
    /// what is not here or is refused here), `fallback_key` (this server's key there), `fallback_timeout` (seconds until an answer from there has to begin).
    fn get(&self, name: &str) -> impl Future<Output = Option<String>> + Send;
}

/// A failure behind [`KeyValue`] or [`Counters`], in words that may be shown to a client: no secret is in them.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct KeyValueError {
    /// What failed, and the cure where there is one.
    pub message: String,
}

/// What outlives the process: values by key. A key has 1 to 1024 bytes, a value at most 8 MiB.
pub trait KeyValue: Send + Sync {
    /// The value of `key`.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, KeyValueError>> + Send;

    /// Sets `key`, whatever it was before. Durable when it is done.
    fn set(&self, key: &str, value: Vec<u8>) -> impl Future<Output = Result<(), KeyValueError>> + Send;

    /// Removes `key`, which need not be there. Durable when it is done.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), KeyValueError>> + Send;

    /// All keys that begin with `prefix`, sorted.
    fn keys(&self, prefix: &str) -> impl Future<Output = Result<Vec<String>, KeyValueError>> + Send;
}

/// Counts that several processes may share. A key is as one of [`KeyValue`]; its count may vanish an hour after its first use, so that what is counted by time has the
/// number of its span in its key, as `limit/<key id>/requests/<minute>`.
pub trait Counters: Send + Sync {
    /// Adds to the count of `key`, which begins at 0, and returns the new total.
    fn add(&self, key: &str, amount: u64) -> impl Future<Output = Result<u64, KeyValueError>> + Send;
}

/// How long an exchange with another server may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect.
    pub connect: Duration,
    /// From then until the answer's head is there.
    pub first_byte: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
}

/// A failure behind [`Outbound`], in words that may be shown to a client: neither an address nor a secret is in them.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct OutboundError {
    /// What failed.
    pub message: String,
}

/// The body of another server's answer, piece by piece as it comes. Dropping it ends the exchange.
pub type Incoming = Pin<Box<dyn Stream<Item = Result<Bytes, OutboundError>> + Send>>;

/// Other servers over HTTP.
pub trait Outbound: Send + Sync {
    /// Sends a request, whose address is whole, and returns once the answer's head is there. Dropping the future ends the exchange. Redirects are answers like any other.
    fn send(&self, request: Request<Bytes>, timeouts: Timeouts) -> impl Future<Output = Result<Response<Incoming>, OutboundError>> + Send;
}

/// All ports together. Cheap to clone.
pub trait Ports: Clone + Send + Sync + 'static {
    /// Models.
    type Nn: Nn;
    /// What outlives the process.
    type KeyValue: KeyValue;
    /// Counts of limits.
    type Counters: Counters;
    /// Configuration.
    type Settings: Settings;
    /// Other servers.
    type Outbound: Outbound;

    /// Models.
    fn nn(&self) -> &Self::Nn;

    /// What outlives the process.
    fn key_value(&self) -> &Self::KeyValue;

    /// Counts of limits.
    fn counters(&self) -> &Self::Counters;

    /// Configuration.
    fn settings(&self) -> &Self::Settings;

    /// Other servers.
    fn outbound(&self) -> &Self::Outbound;

    /// Whose request it is. The handler itself says it, once it has seen the key; a host leaves this as it is.
    fn caller(&self) -> &Caller {
        Caller::nobody()
    }
}
