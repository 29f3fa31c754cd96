//! `wasi:nn` over exchanges with the server.

use std::cell::RefCell;

use crate::{
    bindings::exports::wasi::nn::{errors, graph, inference, tensor},
    exchange::{self, Exchange},
    failure::Failure,
    line::{self, Tensor, Tensors},
};

/// The component.
pub(crate) struct Provider;

/// A model, of which no more is known here than its name.
pub(crate) struct Graph(String);

/// A sequence.
pub(crate) struct Context {
    model: String,
    /// The answer that comes, until all of it is there.
    exchange: RefCell<Option<Exchange>>,
}

impl tensor::Guest for Provider {
    type Tensor = Tensor;
}

impl tensor::GuestTensor for Tensor {
    fn new(dimensions: Vec<u32>, ty: tensor::TensorType, data: Vec<u8>) -> Self {
        Self { dimensions, ty, data }
    }

    fn dimensions(&self) -> Vec<u32> {
        self.dimensions.clone()
    }

    fn ty(&self) -> tensor::TensorType {
        self.ty
    }

    fn data(&self) -> Vec<u8> {
        self.data.clone()
    }
}

impl errors::Guest for Provider {
    type Error = Failure;
}

impl errors::GuestError for Failure {
    fn code(&self) -> errors::ErrorCode {
        self.code()
    }

    fn data(&self) -> String {
        self.0.to_string()
    }
}

impl graph::Guest for Provider {
    type Graph = Graph;

    fn load(_: Vec<Vec<u8>>, _: graph::GraphEncoding, _: graph::ExecutionTarget) -> Result<graph::Graph, errors::Error> {
        let message = "The server that computes takes no models from its guests: load one of its own by name.";
        Err(errors::Error::new(Failure::new("unsupported_encoding", message)))
    }

    /// Whether the server has it is known with the first compute; where there is no server, there is no model.
    fn load_by_name(name: String) -> Result<graph::Graph, errors::Error> {
        if exchange::url().is_empty() {
            let message = format!("The model '{name}' is not here: {} names no server that computes.", exchange::URL);
            return Err(errors::Error::new(Failure::new("model_not_found", message)));
        }
        Ok(graph::Graph::new(Graph(name)))
    }
}

impl graph::GuestGraph for Graph {
    fn init_execution_context(&self) -> Result<inference::GraphExecutionContext, errors::Error> {
        let context = Context { model: self.0.clone(), exchange: RefCell::default() };
        Ok(inference::GraphExecutionContext::new(context))
    }
}

impl inference::Guest for Provider {
    type GraphExecutionContext = Context;
}

impl inference::GuestGraphExecutionContext for Context {
    fn compute(&self, inputs: Vec<(String, tensor::Tensor)>) -> Result<Vec<(String, tensor::Tensor)>, errors::Error> {
        let inputs = inputs.into_iter().map(|(name, tensor)| (name, tensor.into_inner::<Tensor>())).collect();
        let outputs = self.step(inputs).map_err(errors::Error::new)?;
        Ok(outputs.into_iter().map(|(name, output)| (name, tensor::Tensor::new(output))).collect())
    }
}

impl Context {
    fn step(&self, inputs: Tensors) -> Result<Tensors, Failure> {
        // Nobody else holds it: a guest's instance has one thread, and one call at a time.
        let mut exchange = self.exchange.borrow_mut();
        match &inputs[..] {
            [] => {}
            [(name, Tensor { ty: tensor::TensorType::U8, data, .. })] if name == "request" => {
                // The one before ends first.
                *exchange = None;
                *exchange = Some(Exchange::begin(&self.model, data)?);
            }
            _ => {
                return Err(Failure::new("invalid_request", "The server that computes takes a document, 'request', and no other tensors."));
            }
        }
        let Some(open) = &mut *exchange else { return Err(Failure::new("invalid_request", "There is nothing after the last chunk.")) };
        let read = open.line().and_then(|line| match line {
            Some(line) => line::read(&line),
            None => Err(Failure::of_server("its answer broke off")),
        });
        if read.as_ref().map_or(true, |outputs| outputs.iter().any(|(name, _)| name == "result")) {
            *exchange = None;
        }
        read
    }
}
