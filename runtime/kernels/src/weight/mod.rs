//! The bit layouts of GGML's tensor types: block sizes and exact dequantization, the reference that every kernel is tested against.
//!
//! Every quantized type reads as small integer codes in groups of 16 or 32 with a scale and perhaps a minimum for each group: `w = scale · code − min`. `legacy.rs`
//! and `k.rs` take one block apart into that form; dequantization, the CPU's tiles and the GPU's arrays are all made from it. `quantize.rs` goes the other way, for
//! models that come as floats.

mod k;
mod legacy;
mod quantize;

use half::{bf16, f16};

use crate::cpu::pool;

/// A tensor type of GGUF that weights may have. Layouts follow ggml's `ggml-common.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are GGML's own
pub enum WeightType {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
}

/// Why a weight could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum WeightError {
    /// The bytes do not hold `rows × columns` elements of the type.
    #[error("a {rows}x{columns} weight of type {ty:?} needs {need} bytes, got {got}")]
    Length {
        /// The type of the weight.
        ty: WeightType,
        /// Output features.
        rows: usize,
        /// Input features.
        columns: usize,
        /// Bytes needed.
        need: usize,
        /// Bytes given.
        got: usize,
    },
    /// The row length is not a multiple of the type's block.
    #[error("a row of {columns} elements is not a multiple of the {block}-element block of type {ty:?}")]
    Block {
        /// The type of the weight.
        ty: WeightType,
        /// Input features.
        columns: usize,
        /// Elements in a block.
        block: usize,
    },
}

/// Elements of the longest block.
pub(crate) const MAX_BLOCK: usize = 256;

/// One block taken apart: only the first `block_len` codes and `block_len / group` scales and minimums have a meaning.
///
/// A group's scale is `d · sub_scales[group]`, its minimum `dmin · sub_mins[group]`; types without such small integers have ones there.
pub(crate) struct Block {
    pub(crate) codes: [i8; MAX_BLOCK],
    pub(crate) d: f16,
    pub(crate) dmin: f16,
    /// Signed (as `i8`) in Q3_K and Q6_K.
    pub(crate) sub_scales: [u8; MAX_BLOCK / 16],
    pub(crate) sub_mins: [u8; MAX_BLOCK / 16],
}

impl Block {
    pub(crate) const fn new() -> Self {
        Self { codes: [0; MAX_BLOCK], d: f16::ZERO, dmin: f16::ZERO, sub_scales: [1; MAX_BLOCK / 16], sub_mins: [1; MAX_BLOCK / 16] }
    }

    /// The scale of group `g`.
    fn scale(&self, ty: WeightType, g: usize) -> f32 {
        let sub = self.sub_scales[g];
        self.d.to_f32() * if matches!(ty, WeightType::Q3K | WeightType::Q6K) { f32::from(sub as i8) } else { f32::from(sub) }
    }

    /// The minimum of group `g`: 0 where the type has none.
    fn min(&self, g: usize) -> f32 {
        self.dmin.to_f32() * f32::from(self.sub_mins[g])
    }

    /// Reads one block of the quantized type `ty`. Inlined with all that it calls, so that a kernel that reads blocks does so with its target's vectors.
    #[inline(always)]
    pub(crate) fn read(&mut self, ty: WeightType, bytes: &[u8]) {
        match ty {
            WeightType::Q4_0 => legacy::q4_0(bytes, self),
            WeightType::Q4_1 => legacy::q4_1(bytes, self),
            WeightType::Q5_0 => legacy::q5_0(bytes, self),
            WeightType::Q5_1 => legacy::q5_1(bytes, self),
            WeightType::Q8_0 => legacy::q8_0(bytes, self),
            WeightType::Q2K => k::q2_k(bytes, self),
            WeightType::Q3K => k::q3_k(bytes, self),
            WeightType::Q4K => k::q4_k(bytes, self),
            WeightType::Q5K => k::q5_k(bytes, self),
            WeightType::Q6K => k::q6_k(bytes, self),
            WeightType::F32 | WeightType::F16 | WeightType::BF16 => unreachable!("float types have no blocks to take apart"),
        }
    }
}

impl WeightType {
    /// Every supported type.
    pub const ALL: [Self; 13] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    /// Elements in a block: 1 for floats, 32 or 256 for quantized types.
    pub fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => 32,
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Q4_0 => 2 + 16,
            Self::Q4_1 => 4 + 16,
            Self::Q5_0 => 2 + 4 + 16,
            Self::Q5_1 => 4 + 4 + 16,
            Self::Q8_0 => 2 + 32,
            Self::Q2K => 16 + 64 + 4,
            Self::Q3K => 32 + 64 + 12 + 2,
            Self::Q4K => 4 + 12 + 128,
            Self::Q5K => 4 + 12 + 32 + 128,
            Self::Q6K => 128 + 64 + 16 + 2,
        }
    }

    /// Whether elements are floating-point numbers of their own, without codes and scales.
    pub fn is_float(self) -> bool {
        self.block_len() == 1
    }

    /// Elements that share a scale: 16 or 32 (1 for floats).
    pub(crate) fn group(self) -> usize {
        match self {
            Self::Q2K | Self::Q3K | Self::Q6K => 16,
            _ => self.block_len().min(32),
        }
    }

    /// Whether a group has a minimum besides its scale.
    #[cfg(feature = "wgpu")]
    pub(crate) fn has_mins(self) -> bool {
        matches!(self, Self::Q4_1 | Self::Q5_1 | Self::Q2K | Self::Q4K | Self::Q5K)
    }

    /// The type with this number in GGML's `enum ggml_type`, if supported.
    pub fn from_ggml(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            10 => Self::Q2K,
            11 => Self::Q3K,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            30 => Self::BF16,
            _ => return None,
        })
    }

    /// Bytes of `elements` consecutive elements, `None` when they are not whole blocks or the count overflows.
    pub fn bytes_of(self, elements: usize) -> Option<usize> {
        if !elements.is_multiple_of(self.block_len()) {
            return None;
        }
        (elements / self.block_len()).checked_mul(self.block_bytes())
    }

    /// Writes the elements of `bytes` as f32 to `out` (`out.len()` whole blocks), exactly as ggml's `dequantize_row_*` does.
    ///
    /// # Panics
    /// When `bytes` and `out` do not hold the same number of whole blocks.
    pub fn dequantize(self, bytes: &[u8], out: &mut [f32]) {
        assert_eq!(self.bytes_of(out.len()), Some(bytes.len()), "{} elements of {self:?} in {} bytes", out.len(), bytes.len());
        match self {
            Self::F32 => each(bytes, out, |b: [u8; 4]| f32::from_le_bytes(b)),
            Self::F16 => each(bytes, out, |b: [u8; 2]| f16::from_le_bytes(b).to_f32()),
            Self::BF16 => each(bytes, out, |b: [u8; 2]| bf16::from_le_bytes(b).to_f32()),
            _ => {
                let group = self.group();
                let mut block = Block::new();
                for (bytes, out) in bytes.chunks_exact(self.block_bytes()).zip(out.chunks_exact_mut(self.block_len())) {
                    block.read(self, bytes);
                    for (g, out) in out.chunks_exact_mut(group).enumerate() {
                        // Where there is no minimum, 0 is taken off: `x - 0.0` is `x`, the sign of zero included.
                        let (scale, min) = (block.scale(self, g), block.min(g));
                        for (out, &code) in out.iter_mut().zip(&block.codes[g * group..]) {
                            *out = scale * f32::from(code) - min;
                        }
                    }
                }
            }
        }
    }

    /// Writes `values` (whole blocks) to `out`: the inverse of [`Self::dequantize`], as near as the type comes. For floats, Q4_K, Q5_0 and Q8_0.
    ///
    /// # Panics
    /// When `values` and `out` do not hold the same number of whole blocks, and for a type that nothing is quantized to here.
    pub fn quantize(self, values: &[f32], out: &mut [u8]) {
        assert_eq!(self.bytes_of(values.len()), Some(out.len()), "{} elements of {self:?} in {} bytes", values.len(), out.len());
        match self {
            Self::F32 => each_mut(values, out, f32::to_le_bytes),
            Self::F16 => each_mut(values, out, |v| f16::from_f32(v).to_le_bytes()),
            Self::BF16 => each_mut(values, out, |v| bf16::from_f32(v).to_le_bytes()),
            Self::Q4K | Self::Q5_0 | Self::Q8_0 => {
                for (values, out) in values.chunks_exact(self.block_len()).zip(out.chunks_exact_mut(self.block_bytes())) {
                    quantize::block(self, values, out);
                }
            }
            _ => panic!("there is no quantizer for {self:?}"),
        }
    }

    /// A matrix of this type as one of type `to`, on the CPU's threads: its rows dequantized and quantized again, each alone, so that no more than a row a thread is
    /// ever there as f32.
    ///
    /// # Panics
    /// As [`Self::dequantize`] and [`Self::quantize`] do, and when `bytes` are not whole rows of `columns` elements.
    pub fn convert(self, bytes: &[u8], to: Self, columns: usize) -> Vec<u8> {
        let (Some(row @ 1..), Some(to_row)) = (self.bytes_of(columns), to.bytes_of(columns)) else {
            panic!("rows of {columns} elements are not whole blocks of {self:?} and {to:?}")
        };
        assert!(bytes.len().is_multiple_of(row), "{} bytes are no whole rows of {row}", bytes.len());
        let mut out = vec![0; bytes.len() / row * to_row];
        pool::for_each_slice(&mut out, to_row, |i, out| {
            let mut values = vec![0.0; columns];
            self.dequantize(&bytes[i * row..(i + 1) * row], &mut values);
            to.quantize(&values, out);
        });
        out
    }
}

fn each_mut<const N: usize>(values: &[f32], out: &mut [u8], write: impl Fn(f32) -> [u8; N]) {
    for (value, bytes) in values.iter().zip(out.as_chunks_mut::<N>().0) {
        *bytes = write(*value);
    }
}

fn each<const N: usize>(bytes: &[u8], out: &mut [f32], read: impl Fn([u8; N]) -> f32) {
    for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *out = read(*bytes);
    }
}
