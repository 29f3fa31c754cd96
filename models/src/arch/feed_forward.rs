//! The feed-forward half of a plain decoder's layer: gated, with one set of matrices for all rows or with those of the few experts that a router chooses for each.

use burn::tensor::Tensor;
use hearth_kernels::{Activation, Experts, Linear, Routes, gated};

use super::{
    Projection,
    loader::{Loader, MAX_WIDTH, Sizes},
};
use crate::gguf::GgufError;

/// Experts that a file may have, far above any model.
const MAX_EXPERTS: usize = 1 << 16;

#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // there is one a layer
pub(super) enum FeedForward {
    Dense {
        gate: Projection,
        up: Projection,
        down: Projection,
    },
    Experts {
        /// A logit for each expert.
        router: Linear,
        /// Experts that a row goes through.
        used: usize,
        gate: Experts,
        up: Experts,
        down: Experts,
    },
}

impl FeedForward {
    /// One set of matrices; `fused` where the file has one for gate and up.
    pub(super) fn dense(loader: &Loader<'_>, sizes: &Sizes, fused: bool, layer: usize) -> Result<Self, GgufError> {
        let &Sizes { width, hidden, .. } = sizes;
        let name = |part: &str| format!("blk.{layer}.{part}");
        let [gate, up] = match fused {
            true => loader.fused(&name("ffn_up"), [hidden, hidden], width)?,
            false => [loader.projection(&name("ffn_gate"), hidden, width)?, loader.projection(&name("ffn_up"), hidden, width)?],
        };
        Ok(Self::Dense { gate, up, down: loader.projection(&name("ffn_down"), width, hidden)? })
    }

    /// A router and its experts.
    pub(super) fn experts(loader: &Loader<'_>, sizes: &Sizes, layer: usize) -> Result<Self, GgufError> {
        let &Sizes { width, hidden, .. } = sizes;
        let count = loader.size("expert_count", MAX_EXPERTS)?;
        let used = loader.size("expert_used_count", count)?;
        let hidden = loader.size_or("expert_feed_forward_length", MAX_WIDTH, (hidden / used).max(1))?;
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        Ok(Self::Experts {
            router: loader.matrix(&name("ffn_gate_inp"), count, width)?,
            used,
            gate: loader.experts(&name("ffn_gate_exps"), count, hidden, width)?,
            up: loader.experts(&name("ffn_up_exps"), count, hidden, width)?,
            down: loader.experts(&name("ffn_down_exps"), count, width, hidden)?,
        })
    }

    /// The residual stream `x` with what comes of its normed rows added.
    pub(super) fn add_forward(&self, x: Tensor<2>, normed: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Dense { gate, up, down } => down.add_forward(x, Projection::forward_gated(gate, up, normed, Activation::Silu)),
            Self::Experts { router, used, gate, up, down } => {
                let routes = Routes::new(router.forward(normed.clone()), *used);
                let up = up.forward(normed.clone(), &routes);
                x + routes.mix(down.forward(gated(gate.forward(normed, &routes), up, Activation::Silu), &routes))
            }
        }
    }
}
