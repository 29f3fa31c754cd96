//! A weight matrix on its device, in the tiles that its kernels read.

use burn::{
    backend::{Backend, Dispatch, ExtensionType, TensorMetadata, tensor::IntTensor},
    tensor::{AllocationProperty, Bytes, DType, Device, Int, Tensor, TensorData},
};

use crate::{Activation, WeightError, WeightType, batch::indices, cpu::tile, gated, ops::KernelOps};

/// What a packed weight is, for the kernel that reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackedShape {
    /// The type that it came from.
    pub(crate) ty: WeightType,
    /// Output features.
    pub(crate) rows: usize,
    /// Input features.
    pub(crate) columns: usize,
    /// Bytes before the first tile, on the CPU: tiles begin at a cache line, allocations do not.
    pub(crate) start: usize,
}

/// A weight matrix `[rows, columns]` (output features × input features), repacked for its device. Clones share the weights.
#[derive(Debug, Clone)]
pub struct Linear {
    /// Consecutive rows. One part, unless the device's buffers are too small for the whole.
    parts: Vec<Part>,
    rows: usize,
    columns: usize,
}

/// A weight, or a stack of them of one shape, in the form that a backend's kernels read.
#[derive(Debug, Clone, ExtensionType)]
pub(crate) enum Packed<B: Backend> {
    /// The CPU's.
    Tiles { tiles: IntTensor<B>, shape: PackedShape },
    /// A GPU's. Factors are of the scales, where those are small integers.
    #[cfg_attr(not(feature = "wgpu"), allow(dead_code))]
    Planes { codes: IntTensor<B>, scales: IntTensor<B>, factors: IntTensor<B>, shape: PackedShape },
}

#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) packed: Packed<Dispatch>,
    pub(crate) rows: usize,
    device: Device,
}

/// Whether tensors on `device` are Burn's CPU tensors, for which `cpu/` has the kernels.
pub(crate) fn is_cpu(device: &Device) -> bool {
    *device == Device::flex()
}

/// The most rows that a part may have.
pub(crate) fn part_rows(ty: WeightType, columns: usize, device: &Device) -> usize {
    #[cfg(feature = "wgpu")]
    if !is_cpu(device) {
        return crate::cube::max_rows(ty, columns, device).max(1);
    }
    let _ = (ty, columns, device);
    usize::MAX
}

/// That `len` bytes are a weight of this shape; the bytes of its rows.
pub(crate) fn check(ty: WeightType, len: usize, rows: usize, columns: usize) -> Result<usize, WeightError> {
    let row_bytes = ty.bytes_of(columns).ok_or(WeightError::Block { ty, columns, block: ty.block_len() })?;
    let need = row_bytes.saturating_mul(rows);
    if len != need || need == 0 {
        return Err(WeightError::Length { ty, rows, columns, need, got: len });
    }
    Ok(row_bytes)
}

impl Part {
    /// A stack of `count` weights of this shape.
    pub(crate) fn new(ty: WeightType, bytes: &[u8], count: usize, rows: usize, columns: usize, device: &Device) -> Self {
        #[cfg(feature = "wgpu")]
        if !is_cpu(device) {
            let shape = PackedShape { ty, rows, columns, start: 0 };
            let [codes, scales, factors] = crate::cube::pack(ty, bytes, count * rows, columns, device).map(Tensor::into_dispatch);
            return Self { packed: Packed::Planes { codes, scales, factors, shape }, rows, device: device.clone() };
        }
        let _ = device;
        let (tiles, start) = tile::pack(ty, bytes, count, rows, columns);
        let len = tiles.len();
        Self::on_cpu(TensorData::new(tiles, [len]), PackedShape { ty, rows, columns, start })
    }

    /// The same over tiles that lie somewhere already.
    pub(crate) fn over(tiles: bytes::Bytes, shape: PackedShape) -> Self {
        let len = tiles.len();
        let tiles = Bytes::from_shared(tiles, AllocationProperty::File);
        Self::on_cpu(TensorData::from_bytes(tiles, [len], DType::U8), shape)
    }

    fn on_cpu(tiles: TensorData, shape: PackedShape) -> Self {
        let device = Device::flex();
        let tiles = Tensor::<1, Int>::from_data(tiles, (&device, DType::U8)).into_dispatch();
        Self { packed: Packed::Tiles { tiles, shape }, rows: shape.rows, device }
    }

    /// Bytes on the device.
    pub(crate) fn bytes(&self) -> usize {
        let size = |tensor: &IntTensor<Dispatch>| tensor.shape().num_elements() * tensor.dtype().size();
        match &self.packed {
            Packed::Tiles { tiles, .. } => size(tiles),
            Packed::Planes { codes, scales, factors, .. } => size(codes) + size(scales) + size(factors),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        Tensor::from_dispatch(<Dispatch as KernelOps>::linear(x.into_dispatch(), self.packed.clone()))
    }

    fn embed(&self, ids: Tensor<1, Int>) -> Tensor<2> {
        Tensor::from_dispatch(<Dispatch as KernelOps>::embed(ids.into_dispatch(), self.packed.clone()))
    }
}

impl Linear {
    /// The number of the CPU's tile layout. Tiles that were kept under another number are no use.
    pub const TILES_VERSION: u32 = 1;
    /// Rows of a tile: tiles of a matrix follow one another, so that whole ones are a matrix of fewer rows.
    pub const TILE_ROWS: usize = tile::ROWS;

    /// Whether weights on `device` are the CPU's tiles.
    pub fn is_tiled(device: &Device) -> bool {
        is_cpu(device)
    }

    /// Bytes of the CPU's tiles of a weight; `None` when its rows are not whole blocks.
    pub fn tile_bytes(ty: WeightType, rows: usize, columns: usize) -> Option<usize> {
        ty.bytes_of(columns).map(|_| tile::bytes_of(ty, rows, columns))
    }

    /// Repacks GGML's row-major blocks into the CPU's tiles, `tiles`: zeros before, [`Self::tile_bytes`] long.
    ///
    /// # Errors
    /// [`WeightError`] as for [`Self::new`], or when `tiles` has another length.
    pub fn pack(ty: WeightType, bytes: &[u8], rows: usize, columns: usize, tiles: &mut [u8]) -> Result<(), WeightError> {
        check(ty, bytes.len(), rows, columns)?;
        let need = tile::bytes_of(ty, rows, columns);
        if tiles.len() != need {
            return Err(WeightError::Length { ty, rows, columns, need, got: tiles.len() });
        }
        tile::pack_stack(ty, bytes, 1, rows, columns, tiles);
        Ok(())
    }

    /// A weight on the CPU over tiles that [`Self::pack`] made, where they lie: a mapped file, say.
    ///
    /// # Errors
    /// [`WeightError`] when `tiles` has another length than the weight needs.
    pub fn from_tiles(ty: WeightType, rows: usize, columns: usize, tiles: bytes::Bytes) -> Result<Self, WeightError> {
        let need = Self::tile_bytes(ty, rows, columns).ok_or(WeightError::Block { ty, columns, block: ty.block_len() })?;
        if tiles.len() != need || need == 0 {
            return Err(WeightError::Length { ty, rows, columns, need, got: tiles.len() });
        }
        Ok(Self { parts: vec![Part::over(tiles, PackedShape { ty, rows, columns, start: 0 })], rows, columns })
    }

    /// Repacks GGML's row-major blocks for `device`.
    ///
    /// # Errors
    /// [`WeightError`] when `bytes` is not exactly `rows × columns` elements of `ty` in whole blocks.
    pub fn new(ty: WeightType, bytes: &[u8], rows: usize, columns: usize, device: &Device) -> Result<Self, WeightError> {
        let row_bytes = check(ty, bytes.len(), rows, columns)?;
        let part_rows = part_rows(ty, columns, device).min(rows);
        let parts =
            bytes.chunks(part_rows * row_bytes).map(|bytes| Part::new(ty, bytes, 1, bytes.len() / row_bytes, columns, device)).collect();
        Ok(Self { parts, rows, columns })
    }

    /// Output features.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Input features.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes that the weights take on their device.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(Part::bytes).sum()
    }

    /// `x · Wᵀ`: `[m, columns] → [m, rows]`, f32. A row of the result does not depend on `m` or on the other rows of `x`, to the bit.
    ///
    /// # Panics
    /// When the rows of `x` are not [`Self::columns`] long.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        assert_eq!(x.dims()[1], self.columns, "activations of a {}x{} weight", self.rows, self.columns);
        if let [part] = &self.parts[..] {
            return part.forward(x);
        }
        Tensor::cat(self.parts.iter().map(|part| part.forward(x.clone())).collect(), 1)
    }

    /// [`Self::forward`] of three weights with one input, to the bit, as one operation.
    ///
    /// # Panics
    /// As [`Self::forward`].
    pub fn forward_three(weights: [&Self; 3], x: Tensor<2>) -> [Tensor<2>; 3] {
        let wrong = |weight: &&Self| weight.columns != x.dims()[1];
        assert!(!weights.iter().any(wrong), "activations of {} columns for {:?}", x.dims()[1], weights.map(|weight| weight.columns));
        let [[a], [b], [c]] = weights.map(|weight| &weight.parts[..]) else {
            return weights.map(|weight| weight.forward(x.clone()));
        };
        let packed = [a, b, c].map(|part| part.packed.clone());
        let [a, b, c] = packed;
        let (a, b, c) = <Dispatch as KernelOps>::linear_three(x.into_dispatch(), a, b, c);
        [a, b, c].map(Tensor::from_dispatch)
    }

    /// `activation(x · gateᵀ) × (x · upᵀ)`: [`Self::forward`] and [`gated`], to the bit, as one operation. `[m, columns] → [m, rows]`.
    ///
    /// # Panics
    /// When the two have different shapes, and as [`Self::forward`].
    pub fn forward_gated(gate: &Self, up: &Self, x: Tensor<2>, activation: Activation) -> Tensor<2> {
        assert_eq!([gate.rows, gate.columns], [up.rows, up.columns], "the shapes of gate and up");
        assert_eq!(x.dims()[1], gate.columns, "activations of a {}x{} weight", gate.rows, gate.columns);
        let ([gate], [up]) = (&gate.parts[..], &up.parts[..]) else {
            return gated(gate.forward(x.clone()), up.forward(x), activation);
        };
        let (gate, up) = (gate.packed.clone(), up.packed.clone());
        Tensor::from_dispatch(<Dispatch as KernelOps>::linear_gated(x.into_dispatch(), gate, up, activation))
    }

    /// `sum + x · Wᵀ`: [`Self::forward`] and a sum, to the bit, as one operation. `[m, columns] → [m, rows]`.
    ///
    /// # Panics
    /// When `sum` has another shape than the product, and as [`Self::forward`].
    pub fn add_forward(&self, sum: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
        assert_eq!(x.dims()[1], self.columns, "activations of a {}x{} weight", self.rows, self.columns);
        assert_eq!(sum.dims(), [x.dims()[0], self.rows], "what the product is added to");
        let [part] = &self.parts[..] else { return sum + self.forward(x) };
        Tensor::from_dispatch(<Dispatch as KernelOps>::add_linear(sum.into_dispatch(), x.into_dispatch(), part.packed.clone()))
    }

    /// The rows with these ids, dequantized: `[ids.len(), columns]`, f32. For token embeddings, tied or not.
    ///
    /// # Panics
    /// When an id is not below [`Self::rows`]: the engine checks tokens before they come here.
    pub fn embed(&self, ids: &[u32]) -> Tensor<2> {
        let device = &self.parts[0].device;
        if let Some(id) = ids.iter().find(|&&id| id as usize >= self.rows) {
            panic!("token {id} of an embedding with {} rows", self.rows);
        }
        if let [part] = &self.parts[..] {
            return part.embed(indices(ids, device));
        }
        // Runs of ids that are in the same part.
        let part_rows = self.parts[0].rows;
        let part_of = |id: &u32| *id as usize / part_rows;
        let runs = ids.chunk_by(|a, b| part_of(a) == part_of(b)).map(|run| {
            let part = part_of(&run[0]);
            let within: Vec<u32> = run.iter().map(|id| id - (part * part_rows) as u32).collect();
            self.parts[part].embed(indices(&within, device))
        });
        Tensor::cat(runs.collect(), 0)
    }
}
