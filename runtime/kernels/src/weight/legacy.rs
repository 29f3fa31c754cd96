//! The first quantized types of GGML: blocks of 32 elements with one f16 scale, and for `_1` types one f16 minimum.

use half::f16;

use super::Block;

#[inline(always)]
pub(super) fn half(bytes: &[u8], at: usize) -> f16 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Elements 0..16 are the low nibbles, 16..32 the high ones.
#[inline(always)]
fn nibbles(packed: &[u8], codes: &mut [i8], offset: i8) {
    for (i, &byte) in packed[..16].iter().enumerate() {
        codes[i] = (byte & 15) as i8 - offset;
        codes[i + 16] = (byte >> 4) as i8 - offset;
    }
}

/// The fifth bit of element `i` is bit `i` of `high`.
#[inline(always)]
fn nibbles_and_bits(packed: &[u8], high: &[u8], codes: &mut [i8], offset: i8) {
    let high = u32::from_le_bytes([high[0], high[1], high[2], high[3]]);
    nibbles(packed, codes, 0);
    for (i, code) in codes[..32].iter_mut().enumerate() {
        *code = (*code | (((high >> i) & 1) << 4) as i8) - offset;
    }
}

#[inline(always)]
pub(super) fn q4_0(bytes: &[u8], block: &mut Block) {
    block.d = half(bytes, 0);
    nibbles(&bytes[2..], &mut block.codes, 8);
}

#[inline(always)]
pub(super) fn q4_1(bytes: &[u8], block: &mut Block) {
    block.d = half(bytes, 0);
    block.dmin = -half(bytes, 2);
    nibbles(&bytes[4..], &mut block.codes, 0);
}

#[inline(always)]
pub(super) fn q5_0(bytes: &[u8], block: &mut Block) {
    block.d = half(bytes, 0);
    nibbles_and_bits(&bytes[6..], &bytes[2..6], &mut block.codes, 16);
}

#[inline(always)]
pub(super) fn q5_1(bytes: &[u8], block: &mut Block) {
    block.d = half(bytes, 0);
    block.dmin = -half(bytes, 2);
    nibbles_and_bits(&bytes[8..], &bytes[4..8], &mut block.codes, 0);
}

#[inline(always)]
pub(super) fn q8_0(bytes: &[u8], block: &mut Block) {
    block.d = half(bytes, 0);
    for (code, &byte) in block.codes.iter_mut().zip(&bytes[2..34]) {
        *code = byte as i8;
    }
}
