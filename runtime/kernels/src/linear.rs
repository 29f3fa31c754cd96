//! A weight matrix on its device, in the tiles that its kernels read.

use burn::{
    backend::Dispatch,
    tensor::{AllocationProperty, Bytes, DType, Device, Int, Tensor, TensorData},
};

use crate::{WeightError, WeightType, batch::indices, cpu::tile, ops::KernelOps};

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

#[derive(Debug, Clone)]
pub(crate) struct Part {
    codes: Tensor<1, Int>,
    scales: Tensor<1, Int>,
    /// Of the scales, where those are small integers.
    factors: Tensor<1, Int>,
    pub(crate) shape: PackedShape,
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
    /// A stack of `count` weights, of which `shape` describes one.
    pub(crate) fn new(ty: WeightType, bytes: &[u8], count: usize, rows: usize, columns: usize, device: &Device) -> Self {
        #[cfg(feature = "wgpu")]
        if !is_cpu(device) {
            let [codes, scales, factors] = crate::cube::pack(ty, bytes, count * rows, columns, device);
            return Self { codes, scales, factors, shape: PackedShape { ty, rows, columns, start: 0 } };
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

    /// Bytes on the device.
    pub(crate) fn bytes(&self) -> usize {
        let size = |tensor: &Tensor<1, Int>| tensor.dims()[0] * tensor.dtype().size();
        size(&self.codes) + size(&self.scales) + size(&self.factors)
    }

    fn on_cpu(tiles: TensorData, shape: PackedShape) -> Self {
        let device = &Device::flex();
        // Scales are in the tiles.
        let none = || Tensor::zeros([1], (device, DType::I32));
        Self { codes: Tensor::from_data(tiles, (device, DType::U8)), scales: none(), factors: none(), shape }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let [codes, scales, factors] = self.primitives();
        Tensor::from_dispatch(<Dispatch as KernelOps>::linear(
            x.into_dispatch(),
            codes.into_dispatch(),
            scales.into_dispatch(),
            factors.into_dispatch(),
            self.shape,
        ))
    }

    fn embed(&self, ids: Tensor<1, Int>) -> Tensor<2> {
        let [codes, scales, factors] = self.primitives();
        Tensor::from_dispatch(<Dispatch as KernelOps>::embed(
            ids.into_dispatch(),
            codes.into_dispatch(),
            scales.into_dispatch(),
            factors.into_dispatch(),
            self.shape,
        ))
    }

    pub(crate) fn primitives(&self) -> [Tensor<1, Int>; 3] {
        [self.codes.clone(), self.scales.clone(), self.factors.clone()]
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

    /// The rows with these ids, dequantized: `[ids.len(), columns]`, f32. For token embeddings, tied or not.
    ///
    /// # Panics
    /// When an id is not below [`Self::rows`]: the engine checks tokens before they come here.
    pub fn embed(&self, ids: &[u32]) -> Tensor<2> {
        let device = self.parts[0].codes.device();
        if let Some(id) = ids.iter().find(|&&id| id as usize >= self.rows) {
            panic!("token {id} of an embedding with {} rows", self.rows);
        }
        if let [part] = &self.parts[..] {
            return part.embed(indices(ids, &device));
        }
        // Runs of ids that are in the same part.
        let part_rows = self.parts[0].shape.rows;
        let part_of = |id: &u32| *id as usize / part_rows;
        let runs = ids.chunk_by(|a, b| part_of(a) == part_of(b)).map(|run| {
            let part = part_of(&run[0]);
            let within: Vec<u32> = run.iter().map(|id| id - (part * part_rows) as u32).collect();
            self.parts[part].embed(indices(&within, &device))
        });
        Tensor::cat(runs.collect(), 0)
    }
}
