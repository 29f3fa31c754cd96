//! How the CPU holds a weight: tiles of 16 rows, interleaved so that one vector has the same columns of all rows, with scales and codes in the order in which a
//! kernel reads them: one stream of memory a tile.
//!
//! A tile of a quantized type is a sequence of super-blocks of 32 columns (256 for k-quants):
//!
//! ```text
//! d: 16 × f16 | m: 16 × f16, types with minimums    the factors of the super-block, one a row, as in the file
//! then for each 32 columns:
//!   scales: 16 bytes a group, k-quants               the small integer scales under d, one a row
//!   minimums: 16 bytes a group, k-quants with minimums
//!   high bits: 8 × 64 bits, types of five bits       number j has the fifth bits of columns 4j..4j+4
//!     or 2 vectors of 64 bytes, types of six bits    vector i has bits five and six of columns 16i+4j..16i+4j+4 shifted up by 2j
//!   codes: 8 vectors of 64 bytes, or 4 of nibbles    vector j has columns 4j..4j+4 of each row; of nibbles, those and 4j+16.. in the high ones
//! ```
//!
//! Nothing is rounded again: a tile dequantizes to the same bits as the block of the file. A float tile has 16 numbers for each column. Rows are padded to whole
//! tiles with zeros.

#![allow(unsafe_code)]

use half::{bf16, f16};

use super::{
    pool,
    simd::{Kernel, Simd},
    target,
};
use crate::{WeightType, weight::Block};

/// Rows of a tile.
pub(crate) const ROWS: usize = 16;

/// Tiles begin at a cache line, which allocations need not.
pub(crate) const LINE: usize = 64;

/// How codes are stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    /// Four bits.
    Nibble,
    /// Nibbles and one bit more.
    Five,
    /// Nibbles and two bits more.
    Six,
    /// Eight bits.
    Byte,
}

/// The layout of a quantized type's tile.
#[derive(Clone, Copy)]
pub(super) struct Format {
    /// Columns under one `d`.
    pub(super) super_len: usize,
    /// Columns under one scale: 16 or 32.
    pub(super) group: usize,
    /// Whether groups have integer scales (and minimums) under `d` (and `m`).
    pub(super) sub: bool,
    /// Whether those are signed.
    pub(super) signed: bool,
    pub(super) mins: bool,
    pub(super) payload: Payload,
    /// What is added to a code to make it unsigned.
    pub(super) offset: i32,
}

impl Format {
    /// `None` for float types.
    pub(super) const fn of(ty: WeightType) -> Option<Self> {
        use Payload::{Byte, Five, Nibble, Six};
        use WeightType::*;
        const fn legacy(mins: bool, payload: Payload, offset: i32) -> Option<Format> {
            Some(Format { super_len: 32, group: 32, sub: false, signed: false, mins, payload, offset })
        }
        const fn k(group: usize, signed: bool, payload: Payload, offset: i32) -> Option<Format> {
            Some(Format { super_len: 256, group, sub: true, signed, mins: !signed, payload, offset })
        }
        match ty {
            F32 | F16 | BF16 => None,
            Q4_0 => legacy(false, Nibble, 8),
            Q4_1 => legacy(true, Nibble, 0),
            Q5_0 => legacy(false, Five, 16),
            Q5_1 => legacy(true, Five, 0),
            Q8_0 => legacy(false, Byte, 128),
            Q2K => k(16, false, Nibble, 0),
            Q3K => k(16, true, Nibble, 4),
            Q4K => k(32, false, Nibble, 0),
            Q5K => k(32, false, Five, 0),
            Q6K => k(16, true, Six, 32),
        }
    }

    pub(super) const fn groups(self) -> usize {
        32 / self.group
    }

    /// Bytes of `d` and `m`.
    pub(super) const fn head_bytes(self) -> usize {
        if self.mins { 64 } else { 32 }
    }

    /// Bytes of the group scales and minimums of 32 columns.
    pub(super) const fn sub_bytes(self) -> usize {
        match (self.sub, self.mins) {
            (false, _) => 0,
            (true, false) => 16 * self.groups(),
            (true, true) => 32 * self.groups(),
        }
    }

    pub(super) const fn bit_bytes(self) -> usize {
        match self.payload {
            Payload::Five => 64,
            Payload::Six => 128,
            Payload::Nibble | Payload::Byte => 0,
        }
    }

    pub(super) const fn code_bytes(self) -> usize {
        if matches!(self.payload, Payload::Byte) { 512 } else { 256 }
    }

    /// Bytes of 32 columns.
    pub(super) const fn chunk_bytes(self) -> usize {
        self.sub_bytes() + self.bit_bytes() + self.code_bytes()
    }

    pub(super) const fn super_bytes(self) -> usize {
        self.head_bytes() + self.super_len / 32 * self.chunk_bytes()
    }

    /// Where in a chunk's codes column `c` (below 32) of row `r` is: the byte, and whether it is the high nibble.
    const fn place(self, r: usize, c: usize) -> (usize, bool) {
        match self.payload {
            Payload::Byte => (c / 4 * 64 + r * 4 + c % 4, false),
            _ => (c % 16 / 4 * 64 + r * 4 + c % 4, c >= 16),
        }
    }

    /// Where in a chunk's high bits those of column `c` of row `r` are: the byte, the shift, and their mask before it. `None` when there are none.
    const fn high_place(self, r: usize, c: usize) -> Option<(usize, usize, u8)> {
        let lane = r * 4 + c % 4;
        match self.payload {
            Payload::Five => Some((c / 4 * 8 + lane / 8, lane % 8, 1)),
            Payload::Six => Some((c / 16 * 64 + lane, c % 16 / 4 * 2, 3)),
            Payload::Nibble | Payload::Byte => None,
        }
    }
}

/// Bytes of a tile of `columns` columns.
pub(crate) fn tile_bytes(ty: WeightType, columns: usize) -> usize {
    match Format::of(ty) {
        Some(format) => columns / format.super_len * format.super_bytes(),
        None => columns * ROWS * ty.block_bytes(),
    }
}

/// Bytes of the tiles of a weight.
pub(crate) fn bytes_of(ty: WeightType, rows: usize, columns: usize) -> usize {
    rows.div_ceil(ROWS).saturating_mul(tile_bytes(ty, columns))
}

/// The tiles of `count` row-major weights, each of whole tiles, after `start` bytes that put the first at a cache line's start in the allocation made here.
pub(crate) fn pack(ty: WeightType, bytes: &[u8], count: usize, rows: usize, columns: usize) -> (Vec<u8>, usize) {
    let len = count * bytes_of(ty, rows, columns);
    let mut out = vec![0u8; len + LINE];
    let start = out.as_ptr().align_offset(LINE).min(LINE);
    pack_stack(ty, bytes, count, rows, columns, &mut out[start..start + len]);
    (out, start)
}

/// Writes the tiles of `count` row-major weights to `out`: all of its bytes, which are zeros before.
pub(crate) fn pack_stack(ty: WeightType, bytes: &[u8], count: usize, rows: usize, columns: usize, out: &mut [u8]) {
    let weights = bytes.chunks_exact(bytes.len() / count).zip(out.chunks_exact_mut(bytes_of(ty, rows, columns)));
    weights.for_each(|(bytes, out)| pack_into(ty, bytes, rows, columns, out));
}

/// Writes the tiles of a row-major weight to `out`: all of its bytes, which are zeros before.
fn pack_into(ty: WeightType, bytes: &[u8], rows: usize, columns: usize, out: &mut [u8]) {
    let row_bytes = bytes.len() / rows.max(1);
    let tile = |t: usize, out: &mut [u8]| {
        let bytes = &bytes[t * ROWS * row_bytes..rows.min((t + 1) * ROWS) * row_bytes];
        match Format::of(ty) {
            // SAFETY: the kernel asks for nothing.
            Some(_) => unsafe { target::run(PackQuantized { ty, bytes, row_bytes, out }) },
            None => pack_floats(ty.block_bytes(), bytes, row_bytes, out),
        }
    };
    pool::for_each_slice(out, tile_bytes(ty, columns), tile);
}

fn pack_floats(size: usize, bytes: &[u8], row_bytes: usize, out: &mut [u8]) {
    for (r, row) in bytes.chunks_exact(row_bytes).enumerate() {
        for (c, value) in row.chunks_exact(size).enumerate() {
            out[(c * ROWS + r) * size..][..size].copy_from_slice(value);
        }
    }
}

/// Writes a tile: rows of whole blocks into zeros.
struct PackQuantized<'a> {
    ty: WeightType,
    bytes: &'a [u8],
    row_bytes: usize,
    out: &'a mut [u8],
}

impl Kernel for PackQuantized<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        use WeightType::*;
        // A copy of the loops for each type, which knows its sizes.
        match self.ty {
            F32 | F16 | BF16 => unreachable!("{:?} is not quantized", self.ty),
            Q4_0 => self.pack(Q4_0),
            Q4_1 => self.pack(Q4_1),
            Q5_0 => self.pack(Q5_0),
            Q5_1 => self.pack(Q5_1),
            Q8_0 => self.pack(Q8_0),
            Q2K => self.pack(Q2K),
            Q3K => self.pack(Q3K),
            Q4K => self.pack(Q4K),
            Q5K => self.pack(Q5K),
            Q6K => self.pack(Q6K),
        }
    }
}

impl PackQuantized<'_> {
    #[inline(always)]
    fn pack(self, ty: WeightType) {
        let Some(format) = Format::of(ty) else { return };
        let Self { bytes, row_bytes, out, .. } = self;
        let mut block = Block::new();
        for (r, row) in bytes.chunks_exact(row_bytes).enumerate() {
            for (bytes, out) in row.chunks_exact(ty.block_bytes()).zip(out.chunks_exact_mut(format.super_bytes())) {
                block.read(ty, bytes);
                out[2 * r..2 * r + 2].copy_from_slice(&block.d.to_le_bytes());
                if format.mins {
                    out[32 + 2 * r..34 + 2 * r].copy_from_slice(&block.dmin.to_le_bytes());
                }
                for (i, out) in out[format.head_bytes()..].chunks_exact_mut(format.chunk_bytes()).enumerate() {
                    if format.sub {
                        for g in 0..format.groups() {
                            out[16 * g + r] = block.sub_scales[i * format.groups() + g];
                            if format.mins {
                                out[16 * (format.groups() + g) + r] = block.sub_mins[i * format.groups() + g];
                            }
                        }
                    }
                    let (bits, codes) = out[format.sub_bytes()..].split_at_mut(format.bit_bytes());
                    let four = fours(&block.codes[32 * i..32 * i + 32], format.offset);
                    match format.payload {
                        Payload::Byte => {
                            for (out, four) in codes.as_chunks_mut::<64>().0.iter_mut().zip(four) {
                                out[4 * r..4 * r + 4].copy_from_slice(&four.to_le_bytes());
                            }
                        }
                        _ => {
                            for (j, out) in codes.as_chunks_mut::<64>().0.iter_mut().enumerate() {
                                let nibbles = (four[j] & 0x0f0f_0f0f) | (four[j + 4] & 0x0f0f_0f0f) << 4;
                                out[4 * r..4 * r + 4].copy_from_slice(&nibbles.to_le_bytes());
                            }
                        }
                    }
                    match format.payload {
                        Payload::Five => {
                            for (out, four) in bits.as_chunks_mut::<8>().0.iter_mut().zip(four) {
                                // The product brings bit 4 of each byte into the highest four.
                                let bits = ((four >> 4 & 0x0101_0101).wrapping_mul(0x0102_0408) >> 24) as u8;
                                out[r / 2] |= bits << (r % 2 * 4);
                            }
                        }
                        Payload::Six => {
                            for (out, four) in bits.as_chunks_mut::<64>().0.iter_mut().zip(four.as_chunks::<4>().0) {
                                let two = |j: usize| (four[j] >> 4 & 0x0303_0303) << (2 * j);
                                out[4 * r..4 * r + 4].copy_from_slice(&(two(0) | two(1) | two(2) | two(3)).to_le_bytes());
                            }
                        }
                        Payload::Nibble | Payload::Byte => {}
                    }
                }
            }
        }
    }
}

/// The codes of 32 columns with their offset, four columns in a number.
#[inline(always)]
fn fours(codes: &[i8], offset: i32) -> [u32; 8] {
    let mut bytes = [0; 32];
    for (byte, &code) in bytes.iter_mut().zip(codes) {
        *byte = code.wrapping_add(offset as i8) as u8;
    }
    std::array::from_fn(|j| u32::from_le_bytes([bytes[4 * j], bytes[4 * j + 1], bytes[4 * j + 2], bytes[4 * j + 3]]))
}

/// Row `r` of a tile as f32: the same bits as dequantizing the file's blocks.
pub(crate) fn row(ty: WeightType, tile: &[u8], r: usize, out: &mut [f32]) {
    let half = |bytes: &[u8], at: usize| f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32();
    let Some(format) = Format::of(ty) else {
        for (c, out) in out.iter_mut().enumerate() {
            let bytes = &tile[(c * ROWS + r) * ty.block_bytes()..][..ty.block_bytes()];
            *out = match ty {
                WeightType::F32 => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
                WeightType::F16 => half(bytes, 0),
                _ => bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
            };
        }
        return;
    };
    for (tile, out) in tile.chunks_exact(format.super_bytes()).zip(out.chunks_exact_mut(format.super_len)) {
        let (d, m) = (half(tile, 2 * r), if format.mins { half(tile, 32 + 2 * r) } else { 0.0 });
        for (tile, out) in tile[format.head_bytes()..].chunks_exact(format.chunk_bytes()).zip(out.chunks_exact_mut(32)) {
            let (bits, codes) = tile[format.sub_bytes()..].split_at(format.bit_bytes());
            for (c, out) in out.iter_mut().enumerate() {
                let g = c / format.group;
                let (mut scale, mut min) = (d, m);
                if format.sub {
                    let byte = tile[16 * g + r];
                    scale *= if format.signed { f32::from(byte as i8) } else { f32::from(byte) };
                    if format.mins {
                        min *= f32::from(tile[16 * (format.groups() + g) + r]);
                    }
                }
                let (at, high) = format.place(r, c);
                let mut code = match format.payload {
                    Payload::Byte => codes[at],
                    _ => (codes[at] >> if high { 4 } else { 0 }) & 15,
                };
                if let Some((at, shift, mask)) = format.high_place(r, c) {
                    code |= ((bits[at] >> shift) & mask) << 4;
                }
                *out = scale * (i32::from(code) - format.offset) as f32 - min;
            }
        }
    }
}
