//! A mixture of experts: a stack of weight matrices on its device, the choice of a few of them for each row of activations, and the mixture of their results.

use burn::{
    backend::Dispatch,
    tensor::{Device, Int, Tensor},
};

use crate::{
    WeightError, WeightType,
    cpu::tile,
    linear::{PackedShape, Part, check, part_rows},
    ops::KernelOps,
};

/// The experts of a stack that one part of it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExpertRange {
    pub(crate) first: usize,
    pub(crate) count: usize,
}

/// A stack of weight matrices `[experts, rows, columns]`, repacked for its device. Clones share the weights.
#[derive(Debug, Clone)]
pub struct Experts {
    /// Consecutive experts. One part, unless the device's buffers are too small for the whole.
    parts: Vec<(Part, ExpertRange)>,
    count: usize,
    rows: usize,
    columns: usize,
}

/// Which experts each row of activations goes through, and how much each has to say. An expert's place in a row's list is the order in which it is added up, and
/// depends on that row alone.
#[derive(Debug, Clone)]
pub struct Routes {
    /// `[m, used]`, i32.
    ids: Tensor<2, Int>,
    /// `[m, used]`: of a row they sum to 1.
    weights: Tensor<2>,
}

impl Routes {
    /// The `used` experts of each row with the highest of its `logits: [m, experts]`, the best first and the lower number first among equals, weighted by the softmax
    /// over these alone. (That is the softmax over all experts, taken of the chosen ones and divided by their sum.)
    ///
    /// # Panics
    /// When `used` is 0 or more than there are experts.
    pub fn new(logits: Tensor<2>, used: usize) -> Self {
        let experts = logits.dims()[1];
        assert!((1..=experts).contains(&used), "{used} of {experts} experts");
        let (ids, weights) = <Dispatch as KernelOps>::route(logits.into_dispatch(), used);
        Self { ids: Tensor::from_dispatch(ids), weights: Tensor::from_dispatch(weights) }
    }

    /// The weighted sum of each row's results: `x: [m × used, n] → [m, n]`.
    ///
    /// # Panics
    /// When `x` has another number of rows.
    pub fn mix(&self, x: Tensor<2>) -> Tensor<2> {
        let [m, used] = self.weights.dims();
        assert_eq!(x.dims()[0], m * used, "results of {used} experts for {m} rows");
        Tensor::from_dispatch(<Dispatch as KernelOps>::mix(x.into_dispatch(), self.weights.clone().into_dispatch()))
    }
}

impl Experts {
    /// Bytes of the CPU's tiles of a stack; `None` when its rows are not whole blocks.
    pub fn tile_bytes(ty: WeightType, count: usize, rows: usize, columns: usize) -> Option<usize> {
        ty.bytes_of(columns).map(|_| tile::bytes_of(ty, rows, columns).saturating_mul(count))
    }

    /// Repacks GGML's row-major blocks into the CPU's tiles, `tiles`: zeros before, [`Self::tile_bytes`] long.
    ///
    /// # Errors
    /// [`WeightError`] as for [`Self::new`], or when `tiles` has another length.
    pub fn pack(ty: WeightType, bytes: &[u8], count: usize, rows: usize, columns: usize, tiles: &mut [u8]) -> Result<(), WeightError> {
        check(ty, bytes.len(), rows.saturating_mul(count), columns)?;
        check_tiles(ty, tiles.len(), count, rows, columns)?;
        tile::pack_stack(ty, bytes, count, rows, columns, tiles);
        Ok(())
    }

    /// A stack on the CPU over tiles that [`Self::pack`] made, where they lie: a mapped file, say.
    ///
    /// # Errors
    /// [`WeightError`] when `tiles` has another length than the stack needs.
    pub fn from_tiles(ty: WeightType, count: usize, rows: usize, columns: usize, tiles: bytes::Bytes) -> Result<Self, WeightError> {
        check_tiles(ty, tiles.len(), count, rows, columns)?;
        let part = Part::over(tiles, PackedShape { ty, rows, columns, start: 0 });
        Ok(Self { parts: vec![(part, ExpertRange { first: 0, count })], count, rows, columns })
    }

    /// Repacks GGML's row-major blocks for `device`.
    ///
    /// # Errors
    /// [`WeightError`] when `bytes` is not exactly `count × rows × columns` elements of `ty` in whole blocks.
    pub fn new(ty: WeightType, bytes: &[u8], count: usize, rows: usize, columns: usize, device: &Device) -> Result<Self, WeightError> {
        let row_bytes = check(ty, bytes.len(), rows.saturating_mul(count), columns)?;
        let most = (part_rows(ty, columns, device) / rows).clamp(1, count);
        let part = |(number, bytes): (usize, &[u8])| {
            let range = ExpertRange { first: number * most, count: bytes.len() / (rows * row_bytes) };
            (Part::new(ty, bytes, range.count, rows, columns, device), range)
        };
        Ok(Self { parts: bytes.chunks(most * rows * row_bytes).enumerate().map(part).collect(), count, rows, columns })
    }

    /// Experts of the stack.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes that the weights take on their device.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|(part, _)| part.bytes()).sum()
    }

    /// Each row of `x` times `Wᵀ` of its experts: `[m × used, rows]`, the results of a row one after the other in the order of its routes. `x` is `[m, columns]`, a
    /// row for all of its experts, or `[m × used, columns]`, one for each. A row of the result is that of [`crate::Linear::forward`] with the expert's weight, to
    /// the bit on the CPU, and depends on no other row anywhere.
    ///
    /// # Panics
    /// When shapes do not fit together, or a route leads to an expert that is not there.
    pub fn forward(&self, x: Tensor<2>, routes: &Routes) -> Tensor<2> {
        let ([rows, columns], [m, used]) = (x.dims(), routes.ids.dims());
        assert_eq!(columns, self.columns, "activations of {} experts of {}x{}", self.count, self.rows, self.columns);
        assert!(rows == m || rows == m * used, "{rows} rows of activations for {m} rows with {used} experts each");
        let products = self.parts.iter().map(|(part, range)| {
            let (x, ids) = (x.clone().into_dispatch(), routes.ids.clone().into_dispatch());
            Tensor::from_dispatch(<Dispatch as KernelOps>::experts(x, ids, part.packed.clone(), *range))
        });
        // A row of the result is zero in all parts but one.
        products.reduce(|sum, part| sum + part).expect("a stack has a part")
    }
}

fn check_tiles(ty: WeightType, len: usize, count: usize, rows: usize, columns: usize) -> Result<(), WeightError> {
    let need = Experts::tile_bytes(ty, count, rows, columns).ok_or(WeightError::Block { ty, columns, block: ty.block_len() })?;
    match len == need && need > 0 {
        true => Ok(()),
        false => Err(WeightError::Length { ty, rows: rows.saturating_mul(count), columns, need, got: len }),
    }
}
