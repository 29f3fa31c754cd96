//! `wasi:nn` for guests, over `hearth-engine`: the standard WIT, with `compute`, `load` and `load-by-name` asynchronous on this side, so that a guest that waits holds no thread.
//!
//! Tensors, graphs, contexts and errors are host resources; what one instance may hold of them is bounded, and a guest beyond a bound traps with the bound named.

use std::sync::Arc;

use hearth_engine::{Context, Engine, Error, ErrorKind, Graph, Tensor};
use tokio::sync::Semaphore;
use wasmtime::{bail, component::Resource};

use super::state::State;

#[allow(missing_docs, unreachable_pub)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit/wasi-nn",
        world: "ml",
        imports: {
            "wasi:nn/inference.[method]graph-execution-context.compute": async | trappable,
            "wasi:nn/graph.load": async | trappable,
            "wasi:nn/graph.load-by-name": async | trappable,
            default: trappable,
        },
        with: {
            "wasi:nn/tensor.tensor": hearth_engine::Tensor,
            "wasi:nn/graph.graph": hearth_engine::Graph,
            "wasi:nn/inference.graph-execution-context": hearth_engine::Context,
            "wasi:nn/errors.error": hearth_engine::Error,
        },
        require_store_data_send: true,
    });
}

pub(crate) use bindings::Ml;
use bindings::wasi::nn::{errors, graph, inference, tensor};

/// Tensors, graphs, contexts and errors that one instance may hold.
const RESOURCES_MAX: usize = 1024;
/// Execution contexts that one instance may hold.
const CONTEXTS_MAX: usize = 64;

/// The engine as the guests of one host share it.
#[derive(Debug, Clone)]
pub(crate) struct SharedEngine {
    pub(crate) engine: Engine,
    /// One `load` at a time: its bytes are in memory twice, in the guest and here.
    loading: Arc<Semaphore>,
}

impl SharedEngine {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, loading: Arc::new(Semaphore::new(1)) }
    }
}

/// What an instance holds.
#[derive(Debug, Default)]
pub(crate) struct Held {
    resources: usize,
    pub(crate) contexts: usize,
    bytes: usize,
}

impl Held {
    fn take(&mut self, bytes: usize, bytes_max: usize) -> wasmtime::Result<()> {
        if self.resources >= RESOURCES_MAX {
            bail!("the component holds {RESOURCES_MAX} resources of wasi:nn, the most that one instance may: drop those no longer in use");
        }
        if bytes > bytes_max.saturating_sub(self.bytes) {
            bail!(
                "the component's tensors hold {} bytes and would hold {bytes} more; one instance may hold {bytes_max}: drop those no longer in use",
                self.bytes
            );
        }
        self.resources += 1;
        self.bytes += bytes;
        Ok(())
    }

    fn give_back(&mut self, bytes: usize) {
        self.resources = self.resources.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

type Answer<T> = wasmtime::Result<Result<T, Resource<Error>>>;

impl State {
    fn push_tensor(&mut self, tensor: Tensor) -> wasmtime::Result<Resource<Tensor>> {
        self.held.take(tensor.data.len(), self.shared.tensor_bytes_max)?;
        Ok(self.table.push(tensor)?)
    }

    fn take_tensor(&mut self, tensor: Resource<Tensor>) -> wasmtime::Result<Tensor> {
        let tensor = self.table.delete(tensor)?;
        self.held.give_back(tensor.data.len());
        Ok(tensor)
    }

    /// What a guest gets for `result`: a resource either way.
    fn answer<T: Send + 'static>(&mut self, result: Result<T, Error>) -> Answer<Resource<T>> {
        self.held.take(0, usize::MAX)?;
        Ok(match result {
            Ok(value) => Ok(self.table.push(value)?),
            Err(error) => Err(self.table.push(error)?),
        })
    }
}

impl tensor::Host for State {}

impl tensor::HostTensor for State {
    fn new(&mut self, dimensions: Vec<u32>, ty: tensor::TensorType, data: Vec<u8>) -> wasmtime::Result<Resource<Tensor>> {
        self.push_tensor(Tensor { dimensions, ty: from_wit(ty), data })
    }

    fn dimensions(&mut self, this: Resource<Tensor>) -> wasmtime::Result<Vec<u32>> {
        Ok(self.table.get(&this)?.dimensions.clone())
    }

    fn ty(&mut self, this: Resource<Tensor>) -> wasmtime::Result<tensor::TensorType> {
        Ok(to_wit(self.table.get(&this)?.ty))
    }

    fn data(&mut self, this: Resource<Tensor>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.table.get(&this)?.data.clone())
    }

    fn drop(&mut self, this: Resource<Tensor>) -> wasmtime::Result<()> {
        self.take_tensor(this)?;
        Ok(())
    }
}

impl errors::Host for State {}

impl errors::HostError for State {
    fn code(&mut self, this: Resource<Error>) -> wasmtime::Result<errors::ErrorCode> {
        use hearth_engine::ErrorCode as Code;
        Ok(match self.table.get(&this)?.code() {
            Code::InvalidArgument => errors::ErrorCode::InvalidArgument,
            Code::InvalidEncoding => errors::ErrorCode::InvalidEncoding,
            Code::Timeout => errors::ErrorCode::Timeout,
            Code::RuntimeError => errors::ErrorCode::RuntimeError,
            Code::UnsupportedOperation => errors::ErrorCode::UnsupportedOperation,
            Code::TooLarge => errors::ErrorCode::TooLarge,
            Code::NotFound => errors::ErrorCode::NotFound,
            Code::Security => errors::ErrorCode::Security,
            Code::Unknown => errors::ErrorCode::Unknown,
        })
    }

    fn data(&mut self, this: Resource<Error>) -> wasmtime::Result<String> {
        Ok(self.table.get(&this)?.data())
    }

    fn drop(&mut self, this: Resource<Error>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        self.held.give_back(0);
        Ok(())
    }
}

impl graph::Host for State {
    async fn load(
        &mut self,
        mut builders: Vec<graph::GraphBuilder>,
        encoding: graph::GraphEncoding,
        // A hint in the standard; the engine computes on its own device.
        _target: graph::ExecutionTarget,
    ) -> Answer<Resource<Graph>> {
        let refuse = |kind, message: String| Err(Error { kind, message, param: None });
        let loaded = match (encoding, builders.len()) {
            (graph::GraphEncoding::Ggml | graph::GraphEncoding::Autodetect, 1) => {
                let shared = self.shared.clone();
                let _turn = shared.nn.loading.acquire().await?;
                shared.nn.engine.load(builders.remove(0)).await
            }
            (graph::GraphEncoding::Ggml | graph::GraphEncoding::Autodetect, parts) => {
                refuse(ErrorKind::InvalidRequest, format!("load takes the bytes of one whole GGUF file, not {parts} parts"))
            }
            (encoding, _) => {
                refuse(ErrorKind::UnsupportedEncoding, format!("{encoding:?} is not read: pass a GGUF file as ggml or autodetect"))
            }
        };
        self.progressed();
        self.answer(loaded)
    }

    async fn load_by_name(&mut self, name: String) -> Answer<Resource<Graph>> {
        let engine = self.shared.nn.engine.clone();
        let graph = engine.load_by_name(&name).await;
        self.progressed();
        self.answer(graph)
    }
}

impl graph::HostGraph for State {
    fn init_execution_context(&mut self, this: Resource<Graph>) -> Answer<Resource<Context>> {
        if self.held.contexts >= CONTEXTS_MAX {
            bail!("the component holds {CONTEXTS_MAX} execution contexts, the most that one instance may: drop those no longer in use");
        }
        let context = self.table.get(&this)?.init_execution_context();
        self.held.contexts += usize::from(context.is_ok());
        self.answer(context)
    }

    fn drop(&mut self, this: Resource<Graph>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        self.held.give_back(0);
        Ok(())
    }
}

impl inference::Host for State {}

impl inference::HostGraphExecutionContext for State {
    async fn compute(
        &mut self,
        this: Resource<Context>,
        inputs: Vec<(String, Resource<Tensor>)>,
    ) -> Answer<Vec<(String, Resource<Tensor>)>> {
        let mut tensors = Vec::with_capacity(inputs.len());
        for (name, tensor) in inputs {
            tensors.push((name, self.take_tensor(tensor)?));
        }
        // Where this future is dropped (the client went away) the whole store is, and the context with it.
        let computed = self.table.get_mut(&this)?.compute(tensors).await;
        self.progressed();
        match computed {
            Ok(outputs) => {
                let outputs = outputs.into_iter().map(|(name, tensor)| Ok((name, self.push_tensor(tensor)?)));
                Ok(Ok(outputs.collect::<wasmtime::Result<_>>()?))
            }
            Err(error) => Ok(self.answer::<Tensor>(Err(error))?.map(|_| Vec::new())),
        }
    }

    fn drop(&mut self, this: Resource<Context>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        self.held.contexts = self.held.contexts.saturating_sub(1);
        self.held.give_back(0);
        Ok(())
    }
}

fn from_wit(ty: tensor::TensorType) -> hearth_engine::TensorType {
    use hearth_engine::TensorType as Engine;
    match ty {
        tensor::TensorType::Fp16 => Engine::Fp16,
        tensor::TensorType::Fp32 => Engine::Fp32,
        tensor::TensorType::Fp64 => Engine::Fp64,
        tensor::TensorType::Bf16 => Engine::Bf16,
        tensor::TensorType::U8 => Engine::U8,
        tensor::TensorType::I32 => Engine::I32,
        tensor::TensorType::I64 => Engine::I64,
    }
}

fn to_wit(ty: hearth_engine::TensorType) -> tensor::TensorType {
    use hearth_engine::TensorType as Engine;
    match ty {
        Engine::Fp16 => tensor::TensorType::Fp16,
        Engine::Fp32 => tensor::TensorType::Fp32,
        Engine::Fp64 => tensor::TensorType::Fp64,
        Engine::Bf16 => tensor::TensorType::Bf16,
        Engine::U8 => tensor::TensorType::U8,
        Engine::I32 => tensor::TensorType::I32,
        Engine::I64 => tensor::TensorType::I64,
    }
}
