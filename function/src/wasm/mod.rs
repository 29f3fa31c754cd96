//! The handler as a WASI component: its ports over imports. The only folder that knows it is wasm. Models (`wasi:nn`) and counts (`wasi:keyvalue`) are imported alike by every
//! component; what differs between the versions of WASI stands in a file each: [`p3`], with Spin's variables and key-value as Spin 4 has them, and [`p2`] for hosts that have no 0.3.

// The bindings that the macros generate are full of it, by their nature.
#![allow(unsafe_code)]

use crate::ports::{self, KeyValueError, NnError, Ports, TensorType};

#[cfg(feature = "p2")]
mod p2;
#[cfg(not(feature = "p2"))]
mod p3;

#[cfg(feature = "p2")]
use p2 as version;
#[cfg(not(feature = "p2"))]
use p3 as version;

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod ml {
    wit_bindgen::generate!({
        path: "../wit/wasi-nn",
        world: "ml",
        generate_all,
    });
}

use ml::wasi::nn::{errors, graph, inference, tensor};

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod kv {
    wit_bindgen::generate!({
        path: "../wit/spin",
        world: "keyvalue",
        generate_all,
    });
}

use kv::wasi::keyvalue::{atomics, store as buckets};

/// The imports.
#[derive(Debug, Clone, Copy)]
struct Wasi;

impl Ports for Wasi {
    type Nn = Self;
    type KeyValue = Self;
    type Counters = Self;
    type Settings = Self;
    type Outbound = Self;

    fn nn(&self) -> &Self {
        self
    }

    fn key_value(&self) -> &Self {
        self
    }

    fn counters(&self) -> &Self {
        self
    }

    fn settings(&self) -> &Self {
        self
    }

    fn outbound(&self) -> &Self {
        self
    }
}

/// The store of what outlives the process, and that of counts: spin.toml grants them.
const STORE: &str = "default";
const COUNTERS: &str = "counters";

impl ports::Counters for Wasi {
    async fn add(&self, key: &str, amount: u64) -> Result<u64, KeyValueError> {
        let failed = |error| bucket_error(COUNTERS, error);
        let bucket = buckets::open(COUNTERS).map_err(failed)?;
        let total = atomics::increment(&bucket, key, i64::try_from(amount).unwrap_or(i64::MAX)).map_err(failed)?;
        Ok(u64::try_from(total).unwrap_or(0))
    }
}

fn bucket_error(store: &str, error: buckets::Error) -> KeyValueError {
    let message = match error {
        buckets::Error::AccessDenied => denied(store),
        buckets::Error::NoSuchStore => missing(store),
        buckets::Error::Other(reason) => reason,
    };
    KeyValueError { message }
}

fn denied(store: &str) -> String {
    format!("the component may not open the store '{store}': add \"{store}\" to its key_value_stores in spin.toml")
}

fn missing(store: &str) -> String {
    format!("the host has no store '{store}'")
}

/// What a failure of an exchange means to a client: an `ErrorCode` of either version of wasi:http.
macro_rules! outbound_error {
    ($codes:ident, $error:expr) => {{
        let message = match $error {
            $codes::HttpRequestDenied => {
                "the component may not call it: add its address to allowed_outbound_hosts of the component in spin.toml"
            }
            $codes::ConnectionRefused => "it refuses connections",
            $codes::DestinationNotFound | $codes::DestinationUnavailable => "it cannot be reached",
            $codes::ConnectionTimeout => "it takes no connection in time",
            $codes::ConnectionReadTimeout | $codes::HttpResponseTimeout => "it does not answer in time",
            $codes::DnsError(_) | $codes::DnsTimeout => "its name is not known",
            $codes::TlsProtocolError | $codes::TlsCertificateError | $codes::TlsAlertReceived(_) => {
                "TLS with it fails: see its certificate"
            }
            // Hosts differ in what they call it.
            _ => crate::wasm::BROKE_OFF,
        };
        crate::ports::OutboundError { message: message.to_owned() }
    }};
}
use outbound_error;

const BROKE_OFF: &str = "the connection to it broke off";

impl ports::Nn for Wasi {
    type Graph = graph::Graph;

    async fn load_by_name(&self, name: &str) -> Result<graph::Graph, NnError> {
        graph::load_by_name(name).map_err(error)
    }
}

impl ports::Graph for graph::Graph {
    type Context = inference::GraphExecutionContext;

    fn init_execution_context(&self) -> Result<Self::Context, NnError> {
        self.init_execution_context().map_err(error)
    }
}

impl ports::Context for inference::GraphExecutionContext {
    async fn compute(&mut self, inputs: Vec<(String, ports::Tensor)>) -> Result<Vec<(String, ports::Tensor)>, NnError> {
        let inputs = inputs
            .into_iter()
            .map(|(name, ports::Tensor { dimensions, ty, data })| (name, tensor::Tensor::new(&dimensions, ty.into(), &data)))
            .collect();
        let outputs = inference::GraphExecutionContext::compute(self, inputs).map_err(error)?;
        let port = |tensor: tensor::Tensor| ports::Tensor { dimensions: tensor.dimensions(), ty: tensor.ty().into(), data: tensor.data() };
        Ok(outputs.into_iter().map(|(name, tensor)| (name, port(tensor))).collect())
    }

    async fn yield_now(&mut self) {
        version::yield_now().await;
    }
}

fn error(error: errors::Error) -> NnError {
    NnError { data: error.data() }
}

macro_rules! same_names {
    ($($name:ident = $theirs:ident),*) => {
        impl From<TensorType> for tensor::TensorType {
            fn from(ty: TensorType) -> Self {
                match ty { $(TensorType::$name => Self::$theirs),* }
            }
        }
        impl From<tensor::TensorType> for TensorType {
            fn from(ty: tensor::TensorType) -> Self {
                match ty { $(tensor::TensorType::$theirs => Self::$name),* }
            }
        }
    };
}
same_names!(Fp16 = Fp16, Fp32 = Fp32, Fp64 = Fp64, Bf16 = Bf16, U8 = U8, I32 = I32, I64 = I64);
