//! How the CPU holds the KV cache: in blocks of 16 positions, each of two parts.
//!
//! ```text
//! codes: a number for each position and element    keys turned, [kv head][element][position]; values row by row, [position][kv head][element]
//! scales: f16, with Q8_0 alone                     [kv head][32 elements][position], of keys and values alike
//! ```
//!
//! Of turned keys a vector has the same element of all 16 positions, so that scores need no sums across lanes; scales lie as what they multiply. A position's elements
//! are rounded once, when they are written, and alone: what a cache holds does not depend on which steps wrote it.

#![allow(unsafe_code)]

use half::f16;

use super::{
    attend::Rows,
    math::{from_f16, round_to_i32, to_f16},
    simd::{LANES, Simd},
};
use crate::{AttentionShape, KvCache, KvType};

pub(super) const BLOCK: usize = KvCache::BLOCK_LEN;
const _: () = assert!(BLOCK == LANES, "the kernels take a block of positions as one vector");

/// Elements under one scale.
pub(super) const GROUP: usize = KvType::GROUP;

/// A type of the cache known to the compiler, so that a kernel is made for it.
pub(super) trait Kept: Sync {
    type Code: Copy;
    /// How many codes' memory a block takes for each of its columns.
    const STRIDE: usize;
    /// Whether codes have scales.
    const SCALED: bool;

    /// 16 codes in memory.
    ///
    /// # Safety
    /// As for the methods of [`Simd`].
    unsafe fn load<S: Simd>(p: *const Self::Code) -> S::F;

    fn value(code: Self::Code) -> f32;
}

/// [`KvType::F16`].
pub(super) struct F16;

impl Kept for F16 {
    type Code = f16;
    const STRIDE: usize = BLOCK;
    const SCALED: bool = false;

    #[inline(always)]
    unsafe fn load<S: Simd>(p: *const f16) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { S::load_f16(p.cast()) }
    }

    #[inline(always)]
    fn value(code: f16) -> f32 {
        from_f16(code)
    }
}

/// [`KvType::Q8_0`].
pub(super) struct Q8_0;

impl Kept for Q8_0 {
    type Code = i8;
    const STRIDE: usize = BLOCK + BLOCK * size_of::<f16>() / GROUP;
    const SCALED: bool = true;

    #[inline(always)]
    unsafe fn load<S: Simd>(p: *const i8) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { S::load_i8(p.cast()) }
    }

    #[inline(always)]
    fn value(code: i8) -> f32 {
        f32::from(code)
    }
}

/// A cache's keys, or its values.
pub(super) struct Side<K: Kept> {
    codes: *const K::Code,
    /// Columns.
    pub(super) width: usize,
}

impl<K: Kept> Side<K> {
    /// Over the words of a cache with `width` columns.
    #[inline(always)]
    pub(super) fn new(words: &[f16], width: usize) -> Self {
        Self { codes: words.as_ptr().cast(), width }
    }

    /// A block's codes.
    ///
    /// # Safety
    /// The block is in the cache.
    #[inline(always)]
    pub(super) unsafe fn codes(&self, block: usize) -> *const K::Code {
        // SAFETY: the caller's promise.
        unsafe { self.codes.add(block * K::STRIDE * self.width) }
    }

    /// A block's 16 scales (f16) of the elements from `column` on.
    ///
    /// # Safety
    /// The block is in the cache, and its codes have scales.
    #[inline(always)]
    pub(super) unsafe fn scales(&self, block: usize, column: usize) -> *const u8 {
        // SAFETY: the caller's promise.
        unsafe { self.codes(block).add(BLOCK * self.width).cast::<f16>().add(column / GROUP * BLOCK).cast() }
    }
}

/// Writes each row's keys and values into its block.
pub(super) fn write(ty: KvType, (k, v): (&[f32], &[f32]), (keys, values): (&mut [f16], &mut [f16]), rows: Rows<'_>, shape: AttentionShape) {
    let width = shape.kv_heads * shape.head_dim;
    let words = BLOCK * ty.words(width);
    for (row, (k, v)) in k.chunks_exact(width).zip(v.chunks_exact(width)).enumerate() {
        let position = rows.positions[row] as usize;
        let block = rows.table(row)[position / BLOCK] as usize;
        let position = position % BLOCK;
        let (keys, values) = (&mut keys[block * words..(block + 1) * words], &mut values[block * words..(block + 1) * words]);
        match ty {
            KvType::F16 => {
                for (key, &k) in keys[position..].iter_mut().step_by(BLOCK).zip(k) {
                    *key = to_f16(k);
                }
                for (value, &v) in values[position * width..].iter_mut().zip(v) {
                    *value = to_f16(v);
                }
            }
            KvType::Q8_0 => {
                quantize(k, keys, position, |column| column * BLOCK + position);
                quantize(v, values, position, |column| position * width + column);
            }
        }
    }
}

/// Writes a position's elements: codes to their places, and their scales.
fn quantize(x: &[f32], block: &mut [f16], position: usize, place: impl Fn(usize) -> usize) {
    let (codes, scales) = block.split_at_mut(x.len() * BLOCK / size_of::<f16>());
    // SAFETY: two i8 for each f16, which are any bytes.
    let codes = unsafe { std::slice::from_raw_parts_mut(codes.as_mut_ptr().cast::<i8>(), size_of_val(codes)) };
    for (group, x) in x.as_chunks::<GROUP>().0.iter().enumerate() {
        let scale = scale(x);
        let step = from_f16(scale);
        let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
        for (i, &x) in x.iter().enumerate() {
            // A scale that f16 rounds down, or holds with few digits, leaves more than 127 of its steps.
            codes[place(group * GROUP + i)] = round_to_i32((x * inverse).clamp(-127.0, 127.0)) as i8;
        }
        scales[group * BLOCK + position] = scale;
    }
}

/// What 127 steps of reach the largest magnitude; NaN when anything is NaN, so that it shows in what is computed from it.
fn scale(x: &[f32; GROUP]) -> f16 {
    let most = x.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    if x.iter().any(|x| x.is_nan()) { f16::NAN } else { to_f16(most / 127.0) }
}
