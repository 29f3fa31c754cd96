//! x86-64 with AVX2 and F16C, with or without AVX-VNNI: a vector of 16 lanes is a pair of registers.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::simd::{Kernel, Simd};

/// See the module. `VNNI`: four byte products and their sum are one instruction.
#[derive(Clone, Copy)]
pub(super) struct Avx2<const VNNI: bool>;

/// Runs a kernel compiled for this target.
///
/// # Safety
/// The CPU has the features below; the kernel's own demands hold.
#[target_feature(enable = "avx2,f16c")]
pub(super) unsafe fn run<K: Kernel>(kernel: K) {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Avx2<false>>() }
}

/// Runs a kernel compiled for this target with AVX-VNNI.
///
/// # Safety
/// The CPU has the features below; the kernel's own demands hold.
#[target_feature(enable = "avx2,f16c,avxvnni")]
pub(super) unsafe fn run_vnni<K: Kernel>(kernel: K) {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Avx2<true>>() }
}

type F = (__m256, __m256);
type I = (__m256i, __m256i);

// SAFETY (of every block below): the trait's contract gives the features and the elements behind pointers; loads and stores are the unaligned ones.
impl<const VNNI: bool> Simd for Avx2<VNNI> {
    type F = F;
    type I = I;
    type B = I;

    const ROWS: usize = 2;
    const BYTE_OFFSET: i32 = if VNNI { 128 } else { 0 };

    #[inline(always)]
    unsafe fn splat(x: f32) -> F {
        unsafe { (_mm256_set1_ps(x), _mm256_set1_ps(x)) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> F {
        unsafe { (_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: F) {
        unsafe {
            _mm256_storeu_ps(p, v.0);
            _mm256_storeu_ps(p.add(8), v.1);
        }
    }
    #[inline(always)]
    unsafe fn add(a: F, b: F) -> F {
        unsafe { (_mm256_add_ps(a.0, b.0), _mm256_add_ps(a.1, b.1)) }
    }
    #[inline(always)]
    unsafe fn sub(a: F, b: F) -> F {
        unsafe { (_mm256_sub_ps(a.0, b.0), _mm256_sub_ps(a.1, b.1)) }
    }
    #[inline(always)]
    unsafe fn mul(a: F, b: F) -> F {
        unsafe { (_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1)) }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u8) -> F {
        unsafe { (_mm256_cvtph_ps(_mm_loadu_si128(p.cast())), _mm256_cvtph_ps(_mm_loadu_si128(p.add(16).cast()))) }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u8) -> F {
        unsafe {
            let widen = |p: *const u8| _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast())), 16));
            (widen(p), widen(p.add(16)))
        }
    }
    #[inline(always)]
    unsafe fn load_u8(p: *const u8) -> F {
        unsafe {
            let v = _mm_loadu_si128(p.cast());
            (_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(v)), _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(v, 8))))
        }
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const u8) -> F {
        unsafe {
            let v = _mm_loadu_si128(p.cast());
            (_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(v)), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(v, 8))))
        }
    }
    #[inline(always)]
    unsafe fn splat_i(x: i32) -> I {
        unsafe { (_mm256_set1_epi32(x), _mm256_set1_epi32(x)) }
    }
    #[inline(always)]
    unsafe fn to_f(v: I) -> F {
        unsafe { (_mm256_cvtepi32_ps(v.0), _mm256_cvtepi32_ps(v.1)) }
    }
    #[inline(always)]
    unsafe fn bytes(p: *const u8) -> I {
        unsafe { (_mm256_loadu_si256(p.cast()), _mm256_loadu_si256(p.add(32).cast())) }
    }
    #[inline(always)]
    unsafe fn low(v: I) -> I {
        unsafe {
            let mask = _mm256_set1_epi8(15);
            (_mm256_and_si256(v.0, mask), _mm256_and_si256(v.1, mask))
        }
    }
    #[inline(always)]
    unsafe fn high(v: I) -> I {
        unsafe { Self::low((_mm256_srli_epi16(v.0, 4), _mm256_srli_epi16(v.1, 4))) }
    }
    #[inline(always)]
    unsafe fn fifth(v: I, p: *const u8) -> I {
        unsafe { (_mm256_or_si256(v.0, sixteens(p)), _mm256_or_si256(v.1, sixteens(p.add(4)))) }
    }
    #[inline(always)]
    unsafe fn sixth(v: I, high: I, j: usize) -> I {
        unsafe { (_mm256_or_si256(v.0, pair(high.0, j)), _mm256_or_si256(v.1, pair(high.1, j))) }
    }
    #[inline(always)]
    unsafe fn dot(sum: I, codes: I, x: *const i8) -> I {
        unsafe {
            let x = _mm256_set1_epi32(x.cast::<i32>().read_unaligned());
            if VNNI {
                (_mm256_dpbusd_avx_epi32(sum.0, codes.0, x), _mm256_dpbusd_avx_epi32(sum.1, codes.1, x))
            } else {
                (dot(sum.0, codes.0, x), dot(sum.1, codes.1, x))
            }
        }
    }
    #[inline(always)]
    unsafe fn dot_byte(sum: I, codes: I, x: *const i8) -> I {
        unsafe {
            if VNNI {
                return <Self as Simd>::dot(sum, codes, x);
            }
            let x = _mm256_set1_epi32(x.cast::<i32>().read_unaligned());
            (dot_signed(sum.0, codes.0, x), dot_signed(sum.1, codes.1, x))
        }
    }
}

/// 16 in each byte whose bit is set.
#[inline(always)]
unsafe fn sixteens(p: *const u8) -> __m256i {
    // SAFETY: four bytes are there; the features are the caller's promise.
    unsafe {
        let bits = _mm256_set1_epi32(p.cast::<i32>().read_unaligned());
        // Byte `i` gets the byte of `bits` that holds bit `i`, then keeps that bit alone.
        let spread = _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
        let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
        let one = _mm256_and_si256(_mm256_shuffle_epi8(bits, spread), bit);
        _mm256_and_si256(_mm256_cmpeq_epi8(one, bit), _mm256_set1_epi8(16))
    }
}

/// Bits `2 j .. 2 j + 2` of each byte, as bits 4 and 5.
#[inline(always)]
unsafe fn pair(high: __m256i, j: usize) -> __m256i {
    // SAFETY: the features are the caller's promise.
    unsafe {
        let shifted = match j {
            0 => _mm256_slli_epi16(high, 4),
            1 => _mm256_slli_epi16(high, 2),
            2 => high,
            _ => _mm256_srli_epi16(high, 2),
        };
        _mm256_and_si256(shifted, _mm256_set1_epi8(0x30))
    }
}

#[inline(always)]
unsafe fn dot(sum: __m256i, codes: __m256i, x: __m256i) -> __m256i {
    // SAFETY: the features are the caller's promise.
    unsafe {
        // Codes below 128 times at most 127, twice, stay within i16.
        let pairs = _mm256_maddubs_epi16(codes, x);
        _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    }
}

#[inline(always)]
unsafe fn dot_signed(sum: __m256i, codes: __m256i, x: __m256i) -> __m256i {
    // SAFETY: the features are the caller's promise.
    unsafe {
        // `maddubs` would saturate on codes of eight bits: multiply their absolute values (at most 128) with the activations under their signs.
        let codes = _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
        dot(sum, _mm256_abs_epi8(codes), _mm256_sign_epi8(x, codes))
    }
}
