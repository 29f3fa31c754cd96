//! The handler as a WASI 0.3 component: its ports over the imports `wasi:nn`, `wasi:keyvalue` and Spin's variables and key-value. The only file that knows it is wasm.

// The bindings that the macros generate are full of it, by their nature.
#![allow(unsafe_code)]

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, Full};
use send_wrapper::SendWrapper;
use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
    key_value::{Error, Store},
    variables,
    wasip3::{
        http::types::{ErrorCode, RequestOptions},
        http_compat::RequestOptionsExtension,
        wit_bindgen::yield_async,
    },
};

use crate::ports::{self, Incoming, KeyValueError, NnError, OutboundError, Ports, TensorType, Timeouts};

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod ml {
    spin_sdk::wit_bindgen::generate!({
        path: "../wit/wasi-nn",
        world: "ml",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

use ml::wasi::nn::{errors, graph, inference, tensor};

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod kv {
    spin_sdk::wit_bindgen::generate!({
        path: "../wit/spin",
        world: "keyvalue",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

use kv::wasi::keyvalue::{atomics, store as buckets};

#[http_service]
async fn serve(request: Request) -> impl IntoResponse {
    crate::handle(Wasi, request).await
}

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

impl ports::KeyValue for Wasi {
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, KeyValueError>> + Send {
        let key = key.to_owned();
        SendWrapper::new(async move { open().await?.get(key).await.map_err(failed) })
    }

    fn set(&self, key: &str, value: Vec<u8>) -> impl Future<Output = Result<(), KeyValueError>> + Send {
        let key = key.to_owned();
        SendWrapper::new(async move { open().await?.set(key, value).await.map_err(failed) })
    }

    fn delete(&self, key: &str) -> impl Future<Output = Result<(), KeyValueError>> + Send {
        let key = key.to_owned();
        SendWrapper::new(async move { open().await?.delete(key).await.map_err(failed) })
    }

    fn keys(&self, prefix: &str) -> impl Future<Output = Result<Vec<String>, KeyValueError>> + Send {
        let prefix = prefix.to_owned();
        SendWrapper::new(async move {
            // The interface knows no prefix: all keys come, and those of others are left out here.
            let mut keys = open().await?.get_keys().await.collect().await.map_err(failed)?;
            keys.retain(|key| key.starts_with(&prefix));
            keys.sort_unstable();
            Ok(keys)
        })
    }
}

async fn open() -> Result<Store, KeyValueError> {
    Store::open(STORE).await.map_err(failed)
}

fn failed(error: Error) -> KeyValueError {
    let message = match error {
        Error::AccessDenied => denied(STORE),
        Error::NoSuchStore => missing(STORE),
        Error::StoreTableFull => "too many stores are open at the same time".to_owned(),
        Error::Other(reason) => reason,
    };
    KeyValueError { message }
}

impl ports::Counters for Wasi {
    async fn add(&self, key: &str, amount: u64) -> Result<u64, KeyValueError> {
        let failed = |error: buckets::Error| {
            let message = match error {
                buckets::Error::AccessDenied => denied(COUNTERS),
                buckets::Error::NoSuchStore => missing(COUNTERS),
                buckets::Error::Other(reason) => reason,
            };
            KeyValueError { message }
        };
        let bucket = buckets::open(COUNTERS).map_err(failed)?;
        let total = atomics::increment(&bucket, key, i64::try_from(amount).unwrap_or(i64::MAX)).map_err(failed)?;
        Ok(u64::try_from(total).unwrap_or(0))
    }
}

fn denied(store: &str) -> String {
    format!("the component may not open the store '{store}': add \"{store}\" to its key_value_stores in spin.toml")
}

fn missing(store: &str) -> String {
    format!("the host has no store '{store}'")
}

impl ports::Settings for Wasi {
    fn get(&self, name: &str) -> impl Future<Output = Option<String>> + Send {
        let name = name.to_owned();
        // A component has one thread, so what is tied to it may be called sendable.
        SendWrapper::new(async move { variables::get(name).await.ok() })
    }
}

impl ports::Outbound for Wasi {
    fn send(
        &self,
        request: http::Request<Bytes>,
        timeouts: Timeouts,
    ) -> impl Future<Output = Result<http::Response<Incoming>, OutboundError>> + Send {
        SendWrapper::new(async move {
            let (mut head, body) = request.into_parts();
            let options = RequestOptions::new();
            let nanoseconds = |duration: Duration| Some(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
            // A host that knows no such timeout has its own.
            let _ = options.set_connect_timeout(nanoseconds(timeouts.connect));
            let _ = options.set_first_byte_timeout(nanoseconds(timeouts.first_byte));
            let _ = options.set_between_bytes_timeout(nanoseconds(timeouts.idle));
            head.extensions.insert(RequestOptionsExtension(options));
            let response = spin_sdk::http::send(http::Request::from_parts(head, Full::new(body))).await.map_err(outbound_error)?;
            Ok(response.map(|body| {
                let pieces = body.into_data_stream().map(|piece| piece.map_err(outbound_error));
                Box::pin(SendWrapper::new(pieces)) as Incoming
            }))
        })
    }
}

fn outbound_error(error: ErrorCode) -> OutboundError {
    let message = match error {
        ErrorCode::HttpRequestDenied => {
            "the component may not call it: add its address to allowed_outbound_hosts of the component in spin.toml".to_owned()
        }
        ErrorCode::ConnectionRefused => "it refuses connections".to_owned(),
        ErrorCode::ConnectionTimeout => "it takes no connection in time".to_owned(),
        ErrorCode::ConnectionReadTimeout | ErrorCode::HttpResponseTimeout => "it does not answer in time".to_owned(),
        ErrorCode::DnsError(_) | ErrorCode::DnsTimeout => "its name is not known".to_owned(),
        ErrorCode::TlsProtocolError | ErrorCode::TlsCertificateError | ErrorCode::TlsAlertReceived(_) => {
            "TLS with it fails: see its certificate".to_owned()
        }
        // Hosts differ in what they call it.
        _ => "the connection to it broke off".to_owned(),
    };
    OutboundError { message }
}

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
        yield_async().await;
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
