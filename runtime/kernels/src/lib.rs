//! The numeric operations that a language model's forward pass is made of, as Burn custom operations: quantized linear, mixture of experts, embedding, norms, RoPE,
//! gated activation, attention over a paged KV cache, and the choice of tokens from logits, each for the CPU (`flex`) and for GPUs (`cube`).
//!
//! Used by `hearth-models` (which composes architectures from these operations) and by `hearth-engine` (which owns the KV cache). Knows nothing of file
//! formats beyond the bit layout of a quantized block, nothing of models, sequences or HTTP. The only home of `unsafe` in the workspace.

mod batch;
mod cache;
mod choose;
mod cpu;
#[cfg(feature = "wgpu")]
mod cube;
#[cfg(feature = "wgpu")]
mod device;
mod experts;
mod flex;
mod linear;
mod odds;
mod ops;
mod weight;

pub use batch::{Batch, Step};
pub use cache::{KvCache, KvError, KvShape, KvType};
pub use choose::{Answer, Ask, Chooser, Mask, Penalty, Rule};
pub use cpu::{
    pool::set_threads,
    target::{Target, cpu_description},
};
#[cfg(feature = "wgpu")]
pub use device::{Gpu, GpuError, GpuKind, gpus};
pub use experts::{Experts, Routes};
pub use linear::Linear;
pub use odds::Odds;
pub use ops::{Activation, AttentionShape, Rope, RopeStyle, attention, gated, layer_norm, rms_norm, rope};
pub use weight::{WeightError, WeightType};
