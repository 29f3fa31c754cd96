//! How a weight lies in the GPU's memory: 32-bit words of codes, and what its groups are scaled by, hardly more than in the file.
//!
//! A row begins at a vector of four words, which one unit reads at once. Quantized types keep 4 or 8 bits an element, biased to be unsigned; float types keep their own
//! bits, a row padded to whole vectors. A word never spans two groups. Scales are words as well:
//!
//! ```text
//! Q4_0, Q5_0, Q8_0    16 bits a group: the scale as f16, two groups a word
//! Q4_1, Q5_1          32 bits a group: scale and minimum as f16
//! k-quants            16 bits a group: the small integers of scale and minimum, two groups a word;
//!                     and in the third tensor, 32 bits for 256 elements: the f16 factors of both
//! ```
//!
//! So Q4_0 and Q8_0 take the bytes that they have in the file, Q4_1 as well, and Q4_K 148 in place of 144 for 256 elements. Types of 5 and 6 bits take 8 bits a code,
//! those of 2 and 3 bits 4.

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use cubecl::prelude::*;

use crate::weight::{Block, WeightType};

/// What the bits of a code mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// An integer, times its group's scale.
    Quantized,
    F32,
    F16,
    BF16,
}

/// What a group is scaled by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Scaling {
    /// Nothing: floats.
    None,
    /// An f16.
    Scale,
    /// An f16, and another one for the minimum.
    ScaleAndMin,
    /// A small integer, and another one for the minimum, times the factors of 256 elements.
    Small,
}

/// The layout of a packed weight; a compile-time constant of the kernels that read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Format {
    pub(super) kind: Kind,
    /// Bits of an element.
    pub(super) bits: u32,
    /// What was added to a quantized code to make it unsigned.
    pub(super) bias: u32,
    /// Words that share a scale.
    pub(super) group_words: u32,
    pub(super) scaling: Scaling,
    /// What was added to a small scale to make it unsigned.
    pub(super) scale_bias: u32,
    /// Whether groups have minimums.
    pub(super) mins: bool,
}

/// Words of a vector.
pub(super) const VECTOR: u32 = 4;

impl Format {
    pub(super) fn of(ty: WeightType) -> Self {
        let float = |kind, bits| Self { kind, bits, bias: 0, group_words: VECTOR, scaling: Scaling::None, scale_bias: 0, mins: false };
        let quantized = |bits: u32, bias| Self {
            kind: Kind::Quantized,
            bits,
            bias,
            group_words: ty.group() as u32 * bits / 32,
            scaling: match (ty.block_len() > 32, ty.has_mins()) {
                (true, _) => Scaling::Small,
                (false, true) => Scaling::ScaleAndMin,
                (false, false) => Scaling::Scale,
            },
            scale_bias: if matches!(ty, WeightType::Q3K | WeightType::Q6K) { 128 } else { 0 },
            mins: ty.has_mins(),
        };
        match ty {
            WeightType::F32 => float(Kind::F32, 32),
            WeightType::F16 => float(Kind::F16, 16),
            WeightType::BF16 => float(Kind::BF16, 16),
            WeightType::Q4_0 | WeightType::Q3K => quantized(4, 8),
            WeightType::Q4_1 | WeightType::Q2K | WeightType::Q4K => quantized(4, 0),
            WeightType::Q5_0 | WeightType::Q6K | WeightType::Q8_0 => quantized(8, 128),
            WeightType::Q5_1 | WeightType::Q5K => quantized(8, 0),
        }
    }

    /// Elements in a word.
    pub(super) fn word_len(self) -> u32 {
        32 / self.bits
    }

    /// Words of a row of `columns` elements, padding included.
    pub(super) fn row_words(self, columns: usize) -> usize {
        columns.div_ceil(self.word_len() as usize).next_multiple_of(VECTOR as usize)
    }

    /// Words under the factors of [`Scaling::Small`].
    pub(super) fn super_words(self) -> u32 {
        256 / self.word_len()
    }
}

/// The most rows of `columns` elements that one packed weight may have on `device`: a GPU's buffers are limited (128 MiB is common), so that a large embedding must
/// be packed in parts.
pub(crate) fn max_rows(ty: WeightType, columns: usize, device: &Device) -> usize {
    let DispatchDevice::Cube(cube) = device.as_dispatch() else { return usize::MAX };
    let limit = cube.client().properties().memory.max_page_size;
    usize::try_from(limit).unwrap_or(usize::MAX) / (4 * Format::of(ty).row_words(columns)).max(1)
}

/// Repacks GGML's row-major blocks of `[rows, columns]` for `device`: codes, scales, and the factors of small scales. Tensors that the type has no use for hold one
/// element.
///
/// `bytes` holds exactly `rows × columns` elements in whole blocks, which the caller has checked, with `rows` at most [`max_rows`].
pub(crate) fn pack(ty: WeightType, bytes: &[u8], rows: usize, columns: usize, device: &Device) -> [Tensor<1, Int>; 3] {
    let format = Format::of(ty);
    let mut codes = Vec::with_capacity(rows * format.row_words(columns));
    let (mut scales, mut factors) = (Scales::default(), Vec::new());
    if format.kind == Kind::Quantized {
        let mut block = Block::new();
        let groups = ty.block_len() / ty.group();
        for bytes in bytes.chunks_exact(ty.block_bytes()) {
            block.read(ty, bytes);
            codes.extend(block.codes[..ty.block_len()].chunks_exact(format.word_len() as usize).map(|codes| word_of(format, codes)));
            let [d, min] = [block.d, block.dmin].map(|factor| u32::from(factor.to_bits()));
            match format.scaling {
                Scaling::None => {}
                Scaling::Scale => scales.push(d),
                Scaling::ScaleAndMin => [d, min].into_iter().for_each(|half| scales.push(half)),
                Scaling::Small => {
                    for (&scale, &min) in block.sub_scales.iter().zip(&block.sub_mins).take(groups) {
                        scales.push(u32::from(scale.wrapping_add(format.scale_bias as u8)) | u32::from(min) << 8);
                    }
                    factors.push(d | min << 16);
                }
            }
        }
    } else {
        for row in bytes.chunks_exact((bytes.len() / rows.max(1)).max(1)) {
            codes.extend(row.chunks(4).map(|bytes| {
                let mut word = [0; 4];
                word[..bytes.len()].copy_from_slice(bytes);
                u32::from_le_bytes(word)
            }));
            codes.resize(codes.len().next_multiple_of(VECTOR as usize), 0);
        }
    }
    [codes, scales.words, factors].map(|words| tensor(words, device))
}

/// Halves of words.
#[derive(Default)]
struct Scales {
    words: Vec<u32>,
    /// Whether the last word has room.
    open: bool,
}

impl Scales {
    fn push(&mut self, half: u32) {
        match self.words.last_mut() {
            Some(word) if self.open => *word |= half << 16,
            _ => self.words.push(half),
        }
        self.open = !self.open;
    }
}

/// The biased codes of one word, the first in the lowest bits.
fn word_of(format: Format, codes: &[i8]) -> u32 {
    codes.iter().rev().fold(0, |word, &code| word << format.bits | (i32::from(code) + format.bias as i32) as u32)
}

fn tensor(mut words: Vec<u32>, device: &Device) -> Tensor<1, Int> {
    if words.is_empty() {
        words.push(0);
    }
    let shape = [words.len()];
    Tensor::from_data(TensorData::new(words, shape), (device, DType::U32))
}

/// Element `index` of a word: the value itself for floats, the code without its bias for quantized types.
///
/// A code is not converted but put into the mantissa of a float whose exponent makes the code's lowest bit a one, and what stands above it is taken off: two cheap
/// instructions, and exact.
#[cube]
pub(super) fn element(word: u32, #[comptime] index: u32, #[comptime] format: Format) -> f32 {
    let bits = comptime!(format.bits);
    if comptime!(format.kind == Kind::F32) {
        f32::reinterpret(word)
    } else if comptime!(format.kind == Kind::BF16) {
        f32::reinterpret(((word >> comptime!(index * bits)) & 0xffffu32) << 16u32)
    } else if comptime!(format.kind == Kind::F16) {
        half_value((word >> comptime!(index * bits)) & 0xffffu32)
    } else {
        // The mantissa has room for the codes of the lower half alone.
        let down = comptime!(if (index + 1) * bits > 20 { 16u32 } else { 0u32 });
        let place = comptime!(index * bits - down);
        let mask = comptime!(((1u32 << bits) - 1) << place);
        let exponent = comptime!((150 - place) << 23);
        let above = comptime!(((1u32 << (23 - place)) + format.bias) as f32);
        f32::reinterpret(((word >> down) & mask) | exponent) - above
    }
}

/// The scale of the group of word `word`.
#[cube]
pub(super) fn scale_of(scales: &[u32], factors: &[u32], word: u32, #[comptime] format: Format) -> f32 {
    let group = word / comptime!(format.group_words);
    if comptime!(format.scaling == Scaling::ScaleAndMin) {
        half_value(scales[group as usize] & 0xffffu32)
    } else {
        let bits = (scales[(group / 2u32) as usize] >> (16u32 * (group % 2u32))) & 0xffffu32;
        if comptime!(format.scaling == Scaling::Small) {
            let factor = half_value(factors[(word / comptime!(format.super_words())) as usize] & 0xffffu32);
            factor * (f32::cast_from(bits & 0xffu32) - comptime!(format.scale_bias as f32))
        } else {
            half_value(bits)
        }
    }
}

/// The minimum of the group of word `word`, of a format that has minimums.
#[cube]
pub(super) fn min_of(scales: &[u32], factors: &[u32], word: u32, #[comptime] format: Format) -> f32 {
    let group = word / comptime!(format.group_words);
    if comptime!(format.scaling == Scaling::ScaleAndMin) {
        half_value(scales[group as usize] >> 16u32)
    } else {
        let bits = (scales[(group / 2u32) as usize] >> (16u32 * (group % 2u32) + 8u32)) & 0xffu32;
        half_value(factors[(word / comptime!(format.super_words())) as usize] >> 16u32) * f32::cast_from(bits)
    }
}

/// The value of an IEEE half, from its bits: many GPUs have no half type to convert it with. Infinity and NaN become large numbers.
#[cube]
pub(super) fn half_value(bits: u32) -> f32 {
    let magnitude = bits & 0x7fffu32;
    // A subnormal is its mantissa times 2^-24; a normal one needs its exponent moved from bias 15 to bias 127.
    let value = select(
        magnitude < 0x400u32,
        f32::cast_from(magnitude) * 5.960_464_5e-8_f32,
        f32::reinterpret((magnitude << 13u32) + 0x3800_0000u32),
    );
    select(bits > 0x7fffu32, -value, value)
}
