//! A model's forward pass over one step's rows: from what the scheduler chose to logits on the host.

use burn::tensor::Device;
use hearth_kernels::{Batch, KvCache, KvError, KvType, Step};
use hearth_models::arch::Network;

/// A network with its KV cache on the device.
#[derive(Debug)]
pub(crate) struct Runner {
    network: Box<dyn Network>,
    cache: KvCache,
    kv_type: KvType,
    blocks: usize,
    device: Device,
}

impl Runner {
    /// Allocates a cache of `blocks` blocks.
    ///
    /// # Errors
    /// When there is no cache of this type for the network on the device.
    pub(crate) fn new(network: Box<dyn Network>, kv_type: KvType, blocks: usize, device: Device) -> Result<Self, KvError> {
        let cache = KvCache::of_type(kv_type, network.kv_shape(), blocks, &device)?;
        Ok(Self { network, cache, kv_type, blocks, device })
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
        let cache = KvCache::of_type(self.kv_type, self.network.kv_shape(), self.blocks, &self.device);
        self.cache = cache.expect("there was one of this type before");
    }

    pub(crate) fn vocabulary(&self) -> usize {
        self.network.vocabulary()
    }
}
