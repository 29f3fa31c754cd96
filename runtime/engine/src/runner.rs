//! A model's forward pass over one step's rows: from what the scheduler chose to logits on the host.

use burn::tensor::Device;
use hearth_kernels::{Batch, KvCache, KvShape, Step};
use hearth_models::arch::Network;

/// A network with its KV cache on the device.
#[derive(Debug)]
pub(crate) struct Runner {
    network: Box<dyn Network>,
    shape: KvShape,
    cache: KvCache,
    blocks: usize,
    device: Device,
}

impl Runner {
    /// Allocates a cache of `blocks` blocks.
    pub(crate) fn new(network: Box<dyn Network>, blocks: usize, device: Device) -> Self {
        let shape = network.kv_shape();
        let cache = KvCache::new(shape, blocks, &device);
        Self { network, shape, cache, blocks, device }
    }

    /// Computes `batch` and returns the logits of its outputs, a row of the vocabulary each.
    ///
    /// # Errors
    /// What the device said, when the logits could not be read.
    ///
    /// # Panics
    /// As the kernels do: the cache's content is lost then, see [`Self::reset`].
    pub(crate) fn run(&mut self, batch: &Batch) -> Result<Vec<f32>, String> {
        let step = Step::new(batch, &self.device);
        let logits = self.network.forward(batch, &step, &mut self.cache);
        let logits = logits.try_into_vec_as::<f32>().map_err(|error| error.to_string())?;
        let expected = batch.outputs.len() * self.network.vocabulary();
        if logits.len() == expected {
            Ok(logits)
        } else {
            Err(format!("the network returned {} logits in place of {expected}", logits.len()))
        }
    }

    /// A new, empty cache in place of one whose tensors a failed step may have left anywhere.
    pub(crate) fn reset(&mut self) {
        self.cache = KvCache::new(self.shape, self.blocks, &self.device);
    }

    pub(crate) fn vocabulary(&self) -> usize {
        self.network.vocabulary()
    }
}
