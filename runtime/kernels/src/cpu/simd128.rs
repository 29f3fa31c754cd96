//! WebAssembly with SIMD128 (not relaxed SIMD): a vector of 16 lanes is four registers; codes are widened to i16 when they are loaded.

#![allow(unsafe_code)]

use std::{arch::wasm32::*, array::from_fn};

use super::simd::Simd;

/// See the module.
#[derive(Clone, Copy)]
pub(super) struct Simd128;

type F = [v128; 4];

// SAFETY (of every block below): the trait's contract gives the elements behind pointers; loads and stores need no alignment. The features are the module's.
impl Simd for Simd128 {
    type F = F;
    /// Each lane in two parts, whose sum it is: what `i32x4_dot_i16x8` makes of four products.
    type I = [v128; 8];
    /// A byte in 16 bits.
    type B = [v128; 8];

    const ROWS: usize = 2;
    const BYTE_OFFSET: i32 = 128;

    #[inline(always)]
    unsafe fn splat(x: f32) -> F {
        [f32x4_splat(x); 4]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> F {
        from_fn(|i| unsafe { v128_load(p.add(4 * i).cast()) })
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: F) {
        for (i, v) in v.into_iter().enumerate() {
            unsafe { v128_store(p.add(4 * i).cast(), v) }
        }
    }
    #[inline(always)]
    unsafe fn add(a: F, b: F) -> F {
        from_fn(|i| f32x4_add(a[i], b[i]))
    }
    #[inline(always)]
    unsafe fn sub(a: F, b: F) -> F {
        from_fn(|i| f32x4_sub(a[i], b[i]))
    }
    #[inline(always)]
    unsafe fn mul(a: F, b: F) -> F {
        from_fn(|i| f32x4_mul(a[i], b[i]))
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u8) -> F {
        // As `math::from_f16`.
        from_fn(|i| {
            let h = unsafe { u32x4_load_extend_u16x4(p.add(8 * i).cast()) };
            let sign = u32x4_shl(v128_and(h, u32x4_splat(0x8000)), 16);
            let magnitude = u32x4_shl(v128_and(h, u32x4_splat(0x7fff)), 13);
            let value = f32x4_mul(magnitude, u32x4_splat((127 + 112) << 23));
            let exponent = u32x4_splat(0x7c00);
            let special = v128_and(u32x4_eq(v128_and(h, exponent), exponent), u32x4_splat(0xff << 23));
            v128_or(sign, v128_or(value, special))
        })
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u8) -> F {
        from_fn(|i| unsafe { u32x4_shl(u32x4_load_extend_u16x4(p.add(8 * i).cast()), 16) })
    }
    #[inline(always)]
    unsafe fn load_u8(p: *const u8) -> F {
        from_fn(|i| unsafe { f32x4_convert_u32x4(u32x4_extend_low_u16x8(u16x8_extend_low_u8x16(v128_load32_zero(p.add(4 * i).cast())))) })
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const u8) -> F {
        from_fn(|i| unsafe { f32x4_convert_i32x4(i32x4_extend_low_i16x8(i16x8_extend_low_i8x16(v128_load32_zero(p.add(4 * i).cast())))) })
    }
    #[inline(always)]
    unsafe fn splat_i(x: i32) -> [v128; 8] {
        [i32x4(x, 0, x, 0); 8]
    }
    #[inline(always)]
    unsafe fn to_f(v: [v128; 8]) -> F {
        from_fn(|i| {
            let (a, b) = (v[2 * i], v[2 * i + 1]);
            f32x4_convert_i32x4(i32x4_add(i32x4_shuffle::<0, 2, 4, 6>(a, b), i32x4_shuffle::<1, 3, 5, 7>(a, b)))
        })
    }
    #[inline(always)]
    unsafe fn bytes(p: *const u8) -> [v128; 8] {
        from_fn(|i| unsafe { u16x8_load_extend_u8x8(p.add(8 * i)) })
    }
    #[inline(always)]
    unsafe fn low(v: [v128; 8]) -> [v128; 8] {
        v.map(|v| v128_and(v, u16x8_splat(15)))
    }
    #[inline(always)]
    unsafe fn high(v: [v128; 8]) -> [v128; 8] {
        v.map(|v| u16x8_shr(v, 4))
    }
    #[inline(always)]
    unsafe fn fifth(v: [v128; 8], p: *const u8) -> [v128; 8] {
        let bit = u16x8(1, 2, 4, 8, 16, 32, 64, 128);
        from_fn(|i| {
            let bits = u16x8_splat(u16::from(unsafe { *p.add(i) }));
            // All ones in each lane whose bit is set.
            let set = u16x8_eq(v128_and(bits, bit), bit);
            v128_or(v[i], v128_and(set, u16x8_splat(16)))
        })
    }
    #[inline(always)]
    unsafe fn sixth(v: [v128; 8], high: [v128; 8], j: usize) -> [v128; 8] {
        from_fn(|i| {
            let shifted = match j {
                0 => u16x8_shl(high[i], 4),
                1 => u16x8_shl(high[i], 2),
                2 => high[i],
                _ => u16x8_shr(high[i], 2),
            };
            v128_or(v[i], v128_and(shifted, u16x8_splat(0x30)))
        })
    }
    #[inline(always)]
    unsafe fn dot(sum: [v128; 8], codes: [v128; 8], x: *const i8) -> [v128; 8] {
        let x = i16x8_extend_low_i8x16(unsafe { v128_load32_splat(x.cast()) });
        from_fn(|i| i32x4_add(sum[i], i32x4_dot_i16x8(codes[i], x)))
    }
    #[inline(always)]
    unsafe fn dot_byte(sum: [v128; 8], codes: [v128; 8], x: *const i8) -> [v128; 8] {
        unsafe { Self::dot(sum, codes, x) }
    }
}
