//! `wasi:nn` over the engine. The counterpart of `hearth-host`'s, with the same semantics: that is imported by a guest from outside, this is linked to it.

use std::{cell::RefCell, rc::Rc};

use hearth_engine::{Error, ErrorKind};

use crate::{
    bindings::exports::wasi::nn::{errors, graph, inference, tensor},
    models::{CONTEXTS_MAX, engine},
};

/// The component.
pub(crate) struct Provider;

/// A tensor as a guest holds it.
pub(crate) struct Tensor(hearth_engine::Tensor);

/// An error as a guest holds it.
pub(crate) struct Failure(Error);

/// A graph as a guest holds it.
pub(crate) struct Graph(hearth_engine::Graph);

/// A context as a guest holds it, counted as long as it is there.
pub(crate) struct Context {
    context: RefCell<hearth_engine::Context>,
    _counted: Rc<()>,
}

thread_local! {
    /// Held once by each context beside this.
    static CONTEXTS: Rc<()> = Rc::default();
}

impl tensor::Guest for Provider {
    type Tensor = Tensor;
}

impl tensor::GuestTensor for Tensor {
    fn new(dimensions: Vec<u32>, ty: tensor::TensorType, data: Vec<u8>) -> Self {
        Self(hearth_engine::Tensor { dimensions, ty: ty.into(), data })
    }

    fn dimensions(&self) -> Vec<u32> {
        self.0.dimensions.clone()
    }

    fn ty(&self) -> tensor::TensorType {
        self.0.ty.into()
    }

    fn data(&self) -> Vec<u8> {
        self.0.data.clone()
    }
}

impl errors::Guest for Provider {
    type Error = Failure;
}

impl errors::GuestError for Failure {
    fn code(&self) -> errors::ErrorCode {
        use hearth_engine::ErrorCode as Code;
        match self.0.code() {
            Code::InvalidArgument => errors::ErrorCode::InvalidArgument,
            Code::InvalidEncoding => errors::ErrorCode::InvalidEncoding,
            Code::Timeout => errors::ErrorCode::Timeout,
            Code::RuntimeError => errors::ErrorCode::RuntimeError,
            Code::UnsupportedOperation => errors::ErrorCode::UnsupportedOperation,
            Code::TooLarge => errors::ErrorCode::TooLarge,
            Code::NotFound => errors::ErrorCode::NotFound,
            Code::Security => errors::ErrorCode::Security,
            Code::Unknown => errors::ErrorCode::Unknown,
        }
    }

    fn data(&self) -> String {
        self.0.data()
    }
}

fn failed(error: Error) -> errors::Error {
    errors::Error::new(Failure(error))
}

fn refuse(kind: ErrorKind, message: String) -> Error {
    Error { kind, message, param: None }
}

impl graph::Guest for Provider {
    type Graph = Graph;

    fn load(
        mut builders: Vec<Vec<u8>>,
        encoding: graph::GraphEncoding,
        // A hint in the standard; the engine computes on its own device.
        _target: graph::ExecutionTarget,
    ) -> Result<graph::Graph, errors::Error> {
        use graph::GraphEncoding::{Autodetect, Ggml};
        let loaded = match (encoding, builders.len()) {
            (Ggml | Autodetect, 1) => engine().and_then(|engine| engine.wait(engine.engine().load(builders.remove(0)))),
            (Ggml | Autodetect, parts) => {
                Err(refuse(ErrorKind::InvalidRequest, format!("load takes the bytes of one whole GGUF file, not {parts} parts")))
            }
            (encoding, _) => {
                let message = format!("{encoding:?} is not read: pass a GGUF file as ggml or autodetect");
                Err(refuse(ErrorKind::UnsupportedEncoding, message))
            }
        };
        loaded.map(|loaded| graph::Graph::new(Graph(loaded))).map_err(failed)
    }

    fn load_by_name(name: String) -> Result<graph::Graph, errors::Error> {
        let loaded = engine().and_then(|engine| engine.wait(engine.engine().load_by_name(&name)));
        loaded.map(|loaded| graph::Graph::new(Graph(loaded))).map_err(failed)
    }
}

impl graph::GuestGraph for Graph {
    fn init_execution_context(&self) -> Result<inference::GraphExecutionContext, errors::Error> {
        let counted = CONTEXTS.with(Rc::clone);
        // One is the variable's and one is this.
        if Rc::strong_count(&counted) - 2 >= CONTEXTS_MAX {
            let message =
                format!("{CONTEXTS_MAX} execution contexts are open in this instance, the most that there may be: try again later");
            return Err(failed(refuse(ErrorKind::QueueFull, message)));
        }
        let context = self.0.init_execution_context().map_err(failed)?;
        Ok(inference::GraphExecutionContext::new(Context { context: RefCell::new(context), _counted: counted }))
    }
}

impl inference::Guest for Provider {
    type GraphExecutionContext = Context;
}

impl inference::GuestGraphExecutionContext for Context {
    fn compute(&self, inputs: Vec<(String, tensor::Tensor)>) -> Result<Vec<(String, tensor::Tensor)>, errors::Error> {
        let inputs = inputs.into_iter().map(|(name, tensor)| (name, tensor.into_inner::<Tensor>().0)).collect();
        // Nobody calls in while this computes: there is one thread, and nothing in here waits for the host.
        let mut context = self.context.borrow_mut();
        let outputs = engine().and_then(|engine| engine.wait(context.compute(inputs))).map_err(failed)?;
        Ok(outputs.into_iter().map(|(name, output)| (name, tensor::Tensor::new(Tensor(output)))).collect())
    }
}

macro_rules! same_names {
    ($($name:ident)*) => {
        impl From<tensor::TensorType> for hearth_engine::TensorType {
            fn from(ty: tensor::TensorType) -> Self {
                match ty { $(tensor::TensorType::$name => Self::$name),* }
            }
        }
        impl From<hearth_engine::TensorType> for tensor::TensorType {
            fn from(ty: hearth_engine::TensorType) -> Self {
                match ty { $(hearth_engine::TensorType::$name => Self::$name),* }
            }
        }
    };
}
same_names!(Fp16 Fp32 Fp64 Bf16 U8 I32 I64);
