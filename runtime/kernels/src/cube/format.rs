//! How a weight lies in the GPU's memory: 32-bit words of codes, with a scale and perhaps a minimum for each group.
//!
//! A row begins at a word. Quantized types keep 4 or 8 bits an element, biased to be unsigned; float types keep their own bits. A word never spans two groups.

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use cubecl::prelude::*;

use crate::weight::{WeightType, unpack};

/// What the bits of a code mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// An integer, times its group's scale.
    Quantized,
    F32,
    F16,
    BF16,
}

/// The layout of a packed weight; a compile-time constant of the kernels that read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Format {
    pub(super) kind: Kind,
    /// Bits of an element.
    pub(super) bits: u32,
    /// What was added to a quantized code to make it unsigned.
    pub(super) bias: i32,
    /// Words that share a scale.
    pub(super) group_words: u32,
    /// Whether groups have minimums.
    pub(super) mins: bool,
}

impl Format {
    pub(super) fn of(ty: WeightType) -> Self {
        let float = |kind, bits| Self { kind, bits, bias: 0, group_words: 1, mins: false };
        let quantized =
            |bits: u32, bias| Self { kind: Kind::Quantized, bits, bias, group_words: ty.group() as u32 * bits / 32, mins: ty.has_mins() };
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

    /// Words of a row of `columns` elements.
    pub(super) fn row_words(self, columns: usize) -> usize {
        columns.div_ceil(self.word_len() as usize)
    }

    /// Groups of a row of `columns` elements; none for floats.
    pub(super) fn row_groups(self, columns: usize) -> usize {
        match self.kind {
            Kind::Quantized => self.row_words(columns) / self.group_words as usize,
            _ => 0,
        }
    }
}

/// The most rows of `columns` elements that one packed weight may have on `device`: a GPU's buffers are limited (128 MiB is common), so that a large embedding must
/// be packed in parts.
pub(crate) fn max_rows(ty: WeightType, columns: usize, device: &Device) -> usize {
    let DispatchDevice::Cube(cube) = device.as_dispatch() else { return usize::MAX };
    let limit = cube.client().properties().memory.max_page_size;
    let format = Format::of(ty);
    let row_bytes = 4 * format.row_words(columns).max(format.row_groups(columns)).max(1);
    usize::try_from(limit).unwrap_or(usize::MAX) / row_bytes
}

/// Rows taken apart at a time, so that loading a large weight needs little beside the weight itself.
const CHUNK_ELEMENTS: usize = 1 << 20;

/// Repacks GGML's row-major blocks of `[rows, columns]` for `device`: codes, scales and minimums. Tensors that the type has no use for hold one element.
///
/// `bytes` holds exactly `rows × columns` elements in whole blocks, which the caller has checked, with `rows` at most [`max_rows`].
pub(crate) fn pack(ty: WeightType, bytes: &[u8], rows: usize, columns: usize, device: &Device) -> (Tensor<1, Int>, Tensor<1>, Tensor<1>) {
    let format = Format::of(ty);
    let row_words = format.row_words(columns);
    let mut codes = Vec::with_capacity(rows * row_words);
    let mut scales = Vec::with_capacity(rows * format.row_groups(columns));
    let mut mins = Vec::with_capacity(if format.mins { scales.capacity() } else { 0 });
    let row_bytes = bytes.len() / rows.max(1);
    let chunk = (CHUNK_ELEMENTS / columns.max(1)).max(1) * row_bytes;
    for bytes in bytes.chunks(chunk.max(1)) {
        if format.kind == Kind::Quantized {
            let part = unpack(ty, bytes);
            codes.extend(part.codes.chunks_exact(format.word_len() as usize).map(|codes| word_of(format, codes)));
            scales.extend(part.scales);
            mins.extend(part.mins);
        } else {
            codes.extend(bytes.chunks(row_bytes.max(1)).flat_map(|row| row.chunks(4)).map(|bytes| {
                let mut word = [0; 4];
                word[..bytes.len()].copy_from_slice(bytes);
                u32::from_le_bytes(word)
            }));
        }
    }
    (words(codes, device), floats(scales, device), floats(mins, device))
}

/// The biased codes of one word, the first in the lowest bits.
fn word_of(format: Format, codes: &[i8]) -> u32 {
    codes.iter().rev().fold(0, |word, &code| word << format.bits | (i32::from(code) + format.bias) as u32)
}

fn words(mut values: Vec<u32>, device: &Device) -> Tensor<1, Int> {
    if values.is_empty() {
        values.push(0);
    }
    let shape = [values.len()];
    Tensor::from_data(TensorData::new(values, shape), (device, DType::U32))
}

fn floats(mut values: Vec<f32>, device: &Device) -> Tensor<1> {
    if values.is_empty() {
        values.push(0.0);
    }
    let shape = [values.len()];
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
}

/// Element `index` of a word: the value itself for floats, the code without its bias for quantized types.
#[cube]
pub(super) fn element(word: u32, #[comptime] index: u32, #[comptime] format: Format) -> f32 {
    let bits = comptime!(format.bits);
    let shift = comptime!(index * format.bits);
    if comptime!(format.kind == Kind::F32) {
        f32::reinterpret(word)
    } else if comptime!(format.kind == Kind::BF16) {
        f32::reinterpret(((word >> shift) & 0xffffu32) << 16u32)
    } else if comptime!(format.kind == Kind::F16) {
        half_value((word >> shift) & 0xffffu32)
    } else {
        let mask = comptime!((1u32 << bits) - 1);
        f32::cast_from(i32::cast_from((word >> shift) & mask) - comptime!(format.bias))
    }
}

/// The value of an IEEE half, from its bits: many GPUs have no half type to convert it with. Infinity and NaN become large numbers.
#[cube]
fn half_value(bits: u32) -> f32 {
    let magnitude = bits & 0x7fffu32;
    // A subnormal is its mantissa times 2^-24; a normal one needs its exponent moved from bias 15 to bias 127.
    let value = select(
        magnitude < 0x400u32,
        f32::cast_from(magnitude) * 5.960_464_5e-8_f32,
        f32::reinterpret((magnitude << 13u32) + 0x3800_0000u32),
    );
    select(bits > 0x7fffu32, -value, value)
}
