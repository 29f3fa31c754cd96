//! An encoder whose answers are known: what a sequence becomes is a function of its tokens, as they come out of the layers.

use std::sync::{Arc, Mutex};

use burn::tensor::{Device, Tensor, TensorData};
use hearth_engine::{Engine, EngineOptions, Graph};
use hearth_models::{
    Facts, Model,
    arch::{AnyNetwork, Encoder},
    gguf::Gguf,
    tokenizer::Tokenizer,
};

use crate::toy::{self, Control, PANICS, VOCABULARY, token};

pub(crate) const LAYERS: usize = 6;
pub(crate) const WIDTH: usize = 3;
/// The longest sequence.
pub(crate) const CONTEXT: usize = 300;

/// How a test steers and watches the encoder.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Stops and lets go each layer.
    pub(crate) control: Control,
    /// The lengths of the sequences of each layer that was computed.
    pub(crate) layers: Mutex<Vec<Vec<usize>>>,
}

#[derive(Debug)]
struct ToyEncoder(Arc<Watch>);

impl Encoder for ToyEncoder {
    fn vocabulary(&self) -> usize {
        VOCABULARY
    }

    fn width(&self) -> usize {
        WIDTH
    }

    fn layers(&self) -> usize {
        LAYERS
    }

    fn weight_bytes(&self) -> usize {
        0
    }

    fn embed(&self, sequences: &[Vec<u32>]) -> Tensor<2> {
        let rows: Vec<f32> = sequences.concat().into_iter().map(|token| token as f32).collect();
        let shape = [rows.len(), 1];
        Tensor::from_data(TensorData::new(rows, shape), &Device::flex())
    }

    fn layer(&self, layer: usize, rows: Tensor<2>, lengths: &[usize]) -> Tensor<2> {
        self.0.control.wait();
        self.0.layers.lock().unwrap().push(lengths.to_vec());
        assert_eq!(rows.dims()[0], lengths.iter().sum::<usize>());
        let values = rows.clone().into_data().try_to_vec::<f32>().unwrap();
        assert!(layer < 2 || !values.contains(&(f32::from(PANICS) + 3.0 + layer as f32)), "the toy was told to panic");
        // What went through all layers, in order, is higher by their number.
        assert!(values.iter().all(|value| *value >= layer as f32));
        rows.add_scalar(1.0)
    }

    fn pool(&self, rows: Tensor<2>, lengths: &[usize]) -> Tensor<2> {
        let values = rows.into_data().try_to_vec::<f32>().unwrap();
        let mut rest = &values[..];
        let embeddings: Vec<f32> = lengths
            .iter()
            .flat_map(|length| {
                let (sequence, others) = rest.split_at(*length);
                rest = others;
                let tokens: Vec<u32> = sequence.iter().map(|value| (value - LAYERS as f32) as u32).collect();
                embedding(&tokens)
            })
            .collect();
        Tensor::from_data(TensorData::new(embeddings, [lengths.len(), WIDTH]), &Device::flex())
    }
}

/// What a sequence becomes.
pub(crate) fn embedding(tokens: &[u32]) -> [f32; WIDTH] {
    let hash = tokens.iter().fold(7_u32, |hash, token| (hash ^ token).wrapping_mul(0x0100_0193));
    let not_a_number = tokens.contains(&token(toy::NOT_A_NUMBER));
    [(hash >> 8) as f32, tokens.len() as f32, if not_a_number { f32::NAN } else { 1.0 }]
}

/// Serves the encoder as `embedder`.
pub(crate) fn add(engine: &Engine) -> (Graph, Arc<Watch>) {
    let watch = Arc::new(Watch::default());
    let network = AnyNetwork::Encoder(Box::new(ToyEncoder(watch.clone())));
    let tokenizer = Tokenizer::from_gguf(&Gguf::parse(&toy::gguf()).unwrap()).unwrap();
    let model = Model { network, tokenizer, template: None, context_length: CONTEXT, facts: Facts::default() };
    (engine.add_loaded("embedder", model, None).unwrap(), watch)
}

/// An engine that serves it alone.
pub(crate) fn engine(options: EngineOptions) -> (Engine, Graph, Arc<Watch>) {
    let engine = Engine::start(options).unwrap();
    let (graph, watch) = add(&engine);
    (engine, graph, watch)
}
