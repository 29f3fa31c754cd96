//! The reference target: arrays and loops, which compilers turn into whatever vectors they know of (SSE2, SIMD128, NEON).

#![allow(unsafe_code)]

use half::f16;

use super::simd::{LANES, Simd};

/// See the module.
#[derive(Clone, Copy)]
pub(super) struct Scalar;

type F = [f32; LANES];

#[inline(always)]
fn map(a: F, b: F, f: impl Fn(f32, f32) -> f32) -> F {
    std::array::from_fn(|i| f(a[i], b[i]))
}

#[inline(always)]
unsafe fn read<T: Copy, const N: usize>(p: *const T) -> [T; N] {
    // SAFETY: the trait's contract: `N` elements are there.
    unsafe { p.cast::<[T; N]>().read_unaligned() }
}

impl Simd for Scalar {
    type F = F;
    type I = [i32; LANES];
    type B = [u8; 64];

    const ROWS: usize = 1;
    const BYTE_OFFSET: i32 = 128;

    #[inline(always)]
    unsafe fn splat(x: f32) -> F {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> F {
        // SAFETY: see `read`; likewise below.
        unsafe { read(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: F) {
        // SAFETY: the trait's contract: 16 elements are there.
        unsafe { p.cast::<F>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn add(a: F, b: F) -> F {
        map(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(a: F, b: F) -> F {
        map(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(a: F, b: F) -> F {
        map(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u8) -> F {
        let v: [u16; LANES] = unsafe { read(p.cast()) };
        v.map(|v| super::math::from_f16(f16::from_bits(u16::from_le(v))))
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u8) -> F {
        let v: [u16; LANES] = unsafe { read(p.cast()) };
        v.map(|v| f32::from_bits(u32::from(u16::from_le(v)) << 16))
    }
    #[inline(always)]
    unsafe fn load_u8(p: *const u8) -> F {
        let v: [u8; LANES] = unsafe { read(p) };
        v.map(f32::from)
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const u8) -> F {
        let v: [i8; LANES] = unsafe { read(p.cast()) };
        v.map(f32::from)
    }
    #[inline(always)]
    unsafe fn splat_i(x: i32) -> [i32; LANES] {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn to_f(v: [i32; LANES]) -> F {
        v.map(|v| v as f32)
    }
    #[inline(always)]
    unsafe fn bytes(p: *const u8) -> [u8; 64] {
        unsafe { read(p) }
    }
    #[inline(always)]
    unsafe fn low(v: [u8; 64]) -> [u8; 64] {
        v.map(|v| v & 15)
    }
    #[inline(always)]
    unsafe fn high(v: [u8; 64]) -> [u8; 64] {
        v.map(|v| v >> 4)
    }
    #[inline(always)]
    unsafe fn fifth(v: [u8; 64], p: *const u8) -> [u8; 64] {
        let bits = u64::from_le_bytes(unsafe { read(p) });
        std::array::from_fn(|i| v[i] | (((bits >> i) & 1) << 4) as u8)
    }
    #[inline(always)]
    unsafe fn sixth(v: [u8; 64], high: [u8; 64], j: usize) -> [u8; 64] {
        std::array::from_fn(|i| v[i] | ((high[i] >> (2 * j)) & 3) << 4)
    }
    #[inline(always)]
    unsafe fn dot(sum: [i32; LANES], codes: [u8; 64], x: *const i8) -> [i32; LANES] {
        let x: [i8; 4] = unsafe { read(x) };
        std::array::from_fn(|r| {
            let mut sum = sum[r];
            for i in 0..4 {
                sum += i32::from(codes[4 * r + i]) * i32::from(x[i]);
            }
            sum
        })
    }
    #[inline(always)]
    unsafe fn dot_byte(sum: [i32; LANES], codes: [u8; 64], x: *const i8) -> [i32; LANES] {
        unsafe { Self::dot(sum, codes, x) }
    }
}
