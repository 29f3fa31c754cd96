//! x86-64 with AVX-512 and VNNI: a vector of 16 lanes is a register, four byte products and their sum are one instruction.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::simd::{Kernel, Simd};

/// See the module.
#[derive(Clone, Copy)]
pub(super) struct Avx512;

/// Runs a kernel compiled for this target.
///
/// # Safety
/// The CPU has the features below; the kernel's own demands hold.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) unsafe fn run<K: Kernel>(kernel: K) {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Avx512>() }
}

// SAFETY (of every block below): the trait's contract gives the features and the elements behind pointers; loads and stores are the unaligned ones.
impl Simd for Avx512 {
    type F = __m512;
    type I = __m512i;
    type B = __m512i;

    const ROWS: usize = 8;
    const BYTE_OFFSET: i32 = 128;

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m512) {
        unsafe { _mm512_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u8) -> __m512 {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())) }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u8) -> __m512 {
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast())), 16)) }
    }
    #[inline(always)]
    unsafe fn load_u8(p: *const u8) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(p.cast()))) }
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const u8) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p.cast()))) }
    }
    #[inline(always)]
    unsafe fn splat_i(x: i32) -> __m512i {
        unsafe { _mm512_set1_epi32(x) }
    }
    #[inline(always)]
    unsafe fn to_f(v: __m512i) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(v) }
    }
    #[inline(always)]
    unsafe fn bytes(p: *const u8) -> __m512i {
        unsafe { _mm512_loadu_si512(p.cast()) }
    }
    #[inline(always)]
    unsafe fn low(v: __m512i) -> __m512i {
        unsafe { _mm512_and_si512(v, _mm512_set1_epi8(15)) }
    }
    #[inline(always)]
    unsafe fn high(v: __m512i) -> __m512i {
        unsafe { _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15)) }
    }
    #[inline(always)]
    unsafe fn fifth(v: __m512i, p: *const u8) -> __m512i {
        unsafe { _mm512_mask_add_epi8(v, p.cast::<u64>().read_unaligned(), v, _mm512_set1_epi8(16)) }
    }
    #[inline(always)]
    unsafe fn sixth(v: __m512i, high: __m512i, j: usize) -> __m512i {
        unsafe {
            let shifted = match j {
                0 => _mm512_slli_epi16(high, 4),
                1 => _mm512_slli_epi16(high, 2),
                2 => high,
                _ => _mm512_srli_epi16(high, 2),
            };
            _mm512_or_si512(v, _mm512_and_si512(shifted, _mm512_set1_epi8(0x30)))
        }
    }
    #[inline(always)]
    unsafe fn dot(sum: __m512i, codes: __m512i, x: *const i8) -> __m512i {
        unsafe { _mm512_dpbusd_epi32(sum, codes, _mm512_set1_epi32(x.cast::<i32>().read_unaligned())) }
    }
    #[inline(always)]
    unsafe fn dot_byte(sum: __m512i, codes: __m512i, x: *const i8) -> __m512i {
        unsafe { Self::dot(sum, codes, x) }
    }
}
