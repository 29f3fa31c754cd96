//! GGML's k-quants: super-blocks of 256 elements, whose groups of 16 or 32 have small integer scales (and minimums) under one or two f16 factors.

use super::{Block, legacy::half};

#[inline(always)]
pub(super) fn q2_k(bytes: &[u8], block: &mut Block) {
    let (scales, quants) = (&bytes[..16], &bytes[16..80]);
    (block.d, block.dmin) = (half(bytes, 80), half(bytes, 82));
    for (g, &scale) in scales.iter().enumerate() {
        (block.sub_scales[g], block.sub_mins[g]) = (scale & 15, scale >> 4);
    }
    two_bits(quants, &mut block.codes);
}

/// 128 elements are in 32 bytes: element `32 j + l` in bits `2 j` of byte `l`.
#[inline(always)]
fn two_bits(quants: &[u8], codes: &mut [i8]) {
    for (i, code) in codes.iter_mut().enumerate() {
        let (part, j, l) = (i / 128, i / 32 % 4, i % 32);
        *code = ((quants[part * 32 + l] >> (2 * j)) & 3) as i8;
    }
}

#[inline(always)]
pub(super) fn q3_k(bytes: &[u8], block: &mut Block) {
    let (high, quants, packed) = (&bytes[..32], &bytes[32..96], &bytes[96..108]);
    block.d = half(bytes, 108);
    for g in 0..16 {
        // 6-bit scales: the low four bits in the first 8 bytes, the high two in the last 4.
        let low = (packed[g % 8] >> (4 * (g / 8))) & 15;
        let top = (packed[8 + g % 4] >> (2 * (g / 4))) & 3;
        block.sub_scales[g] = (low | top << 4).wrapping_sub(32);
    }
    two_bits(quants, &mut block.codes);
    for (i, code) in block.codes.iter_mut().enumerate() {
        if (high[i % 32] >> (i / 32)) & 1 == 0 {
            *code -= 4;
        }
    }
}

/// The 6-bit scales and minimums of 8 groups in 12 bytes.
#[inline(always)]
fn six_bits(packed: &[u8], block: &mut Block) {
    for g in 0..8 {
        (block.sub_scales[g], block.sub_mins[g]) = if g < 4 {
            (packed[g] & 63, packed[g + 4] & 63)
        } else {
            ((packed[g + 4] & 15) | (packed[g - 4] >> 6) << 4, (packed[g + 4] >> 4) | (packed[g] >> 6) << 4)
        };
    }
}

/// 64 elements are in 32 bytes: the first 32 in the low nibbles.
#[inline(always)]
fn nibbles(quants: &[u8], codes: &mut [i8]) {
    for (i, code) in codes.iter_mut().enumerate() {
        *code = ((quants[i / 64 * 32 + i % 32] >> (4 * (i / 32 % 2))) & 15) as i8;
    }
}

#[inline(always)]
pub(super) fn q4_k(bytes: &[u8], block: &mut Block) {
    (block.d, block.dmin) = (half(bytes, 0), half(bytes, 2));
    six_bits(&bytes[4..16], block);
    nibbles(&bytes[16..144], &mut block.codes);
}

#[inline(always)]
pub(super) fn q5_k(bytes: &[u8], block: &mut Block) {
    (block.d, block.dmin) = (half(bytes, 0), half(bytes, 2));
    six_bits(&bytes[4..16], block);
    nibbles(&bytes[48..176], &mut block.codes);
    let high = &bytes[16..48];
    for (i, code) in block.codes.iter_mut().enumerate() {
        *code |= (((high[i % 32] >> (i / 32)) & 1) << 4) as i8;
    }
}

#[inline(always)]
pub(super) fn q6_k(bytes: &[u8], block: &mut Block) {
    let (low, high, scales) = (&bytes[..128], &bytes[128..192], &bytes[192..208]);
    block.d = half(bytes, 208);
    block.sub_scales.copy_from_slice(scales);
    for (i, code) in block.codes.iter_mut().enumerate() {
        // 128 elements are in 64 bytes of nibbles and 32 of bit pairs, in four runs of 32.
        let (part, run, l) = (i / 128, i / 32 % 4, i % 32);
        let nibble = (low[part * 64 + run % 2 * 32 + l] >> (4 * (run / 2))) & 15;
        let pair = (high[part * 32 + l] >> (2 * run)) & 3;
        *code = (nibble | pair << 4) as i8 - 32;
    }
}
