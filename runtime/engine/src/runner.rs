//! A model's forward pass over one step's rows: from what the scheduler chose to tokens.

use burn::tensor::Device;
use hearth_kernels::{Answer, Ask, Batch, Chooser, KvCache, KvError, KvType, Mask, Step};
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

    /// Computes `batch` and answers the asks, one for each of its outputs, with the masks that are there once the logits are on their way.
    ///
    /// # Errors
    /// What the device said, when the answers could not be read.
    ///
    /// # Panics
    /// As the kernels do: the cache's content is lost then, see [`Self::reset`].
    pub(crate) fn run(&mut self, batch: &Batch, asks: Vec<Ask>, masks: impl FnOnce() -> Vec<Mask>) -> Result<Vec<Answer>, String> {
        let step = Step::new(batch, &self.device);
        let chooser = Chooser::new(asks, self.network.vocabulary(), &self.device);
        let logits = self.network.forward(batch, &step, &mut self.cache);
        let (got, expected) = (logits.dims(), [batch.outputs.len(), self.network.vocabulary()]);
        if got != expected {
            return Err(format!("the network returned {got:?} logits in place of {expected:?}"));
        }
        chooser.answer(logits, &masks())
    }

    /// A new, empty cache in place of one whose tensors a failed step may have left anywhere.
    pub(crate) fn reset(&mut self) {
        let cache = KvCache::of_type(self.kv_type, self.network.kv_shape(), self.blocks, &self.device);
        self.cache = cache.expect("there was one of this type before");
    }
}
