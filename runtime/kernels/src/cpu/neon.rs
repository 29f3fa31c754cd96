//! AArch64 with NEON, with or without the dot-product instructions: a vector of 16 lanes is four registers.

#![allow(unsafe_code)]

use std::{
    arch::{aarch64::*, asm},
    array::from_fn,
};

use super::simd::{Kernel, Simd};

/// See the module. `DOT`: four byte products and their sum are one instruction.
#[derive(Clone, Copy)]
pub(super) struct Neon<const DOT: bool>;

/// Runs a kernel compiled for this target.
///
/// # Safety
/// The CPU has the features below; the kernel's own demands hold.
#[target_feature(enable = "neon")]
pub(super) unsafe fn run<K: Kernel>(kernel: K) {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Neon<false>>() }
}

/// Runs a kernel compiled for this target with its dot products.
///
/// # Safety
/// The CPU has the features below; the kernel's own demands hold.
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn run_dot<K: Kernel>(kernel: K) {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Neon<true>>() }
}

type F = [float32x4_t; 4];
type I = [int32x4_t; 4];
type B = [uint8x16_t; 4];

// SAFETY (of every block below): the trait's contract gives the features and the elements behind pointers; loads and stores need no alignment.
impl<const DOT: bool> Simd for Neon<DOT> {
    type F = F;
    type I = I;
    type B = B;

    const ROWS: usize = 4;
    const BYTE_OFFSET: i32 = 0;

    #[inline(always)]
    unsafe fn splat(x: f32) -> F {
        unsafe { [vdupq_n_f32(x); 4] }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> F {
        from_fn(|i| unsafe { vld1q_f32(p.add(4 * i)) })
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: F) {
        for (i, v) in v.into_iter().enumerate() {
            unsafe { vst1q_f32(p.add(4 * i), v) }
        }
    }
    #[inline(always)]
    unsafe fn add(a: F, b: F) -> F {
        from_fn(|i| unsafe { vaddq_f32(a[i], b[i]) })
    }
    #[inline(always)]
    unsafe fn sub(a: F, b: F) -> F {
        from_fn(|i| unsafe { vsubq_f32(a[i], b[i]) })
    }
    #[inline(always)]
    unsafe fn mul(a: F, b: F) -> F {
        from_fn(|i| unsafe { vmulq_f32(a[i], b[i]) })
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u8) -> F {
        from_fn(|i| unsafe { vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p.add(8 * i)))) })
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u8) -> F {
        from_fn(|i| unsafe { vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p.add(8 * i))), 16)) })
    }
    #[inline(always)]
    unsafe fn load_u8(p: *const u8) -> F {
        unsafe {
            let v = vld1q_u8(p);
            let (low, high) = (vmovl_u8(vget_low_u8(v)), vmovl_high_u8(v));
            let parts = [vmovl_u16(vget_low_u16(low)), vmovl_high_u16(low), vmovl_u16(vget_low_u16(high)), vmovl_high_u16(high)];
            from_fn(|i| vcvtq_f32_u32(parts[i]))
        }
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const u8) -> F {
        unsafe {
            let v = vld1q_s8(p.cast());
            let (low, high) = (vmovl_s8(vget_low_s8(v)), vmovl_high_s8(v));
            Self::to_f([vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low), vmovl_s16(vget_low_s16(high)), vmovl_high_s16(high)])
        }
    }
    #[inline(always)]
    unsafe fn splat_i(x: i32) -> I {
        unsafe { [vdupq_n_s32(x); 4] }
    }
    #[inline(always)]
    unsafe fn to_f(v: I) -> F {
        from_fn(|i| unsafe { vcvtq_f32_s32(v[i]) })
    }
    #[inline(always)]
    unsafe fn bytes(p: *const u8) -> B {
        from_fn(|i| unsafe { vld1q_u8(p.add(16 * i)) })
    }
    #[inline(always)]
    unsafe fn low(v: B) -> B {
        from_fn(|i| unsafe { vandq_u8(v[i], vdupq_n_u8(15)) })
    }
    #[inline(always)]
    unsafe fn high(v: B) -> B {
        from_fn(|i| unsafe { vshrq_n_u8(v[i], 4) })
    }
    #[inline(always)]
    unsafe fn fifth(v: B, p: *const u8) -> B {
        from_fn(|i| unsafe {
            let bits = vcombine_u8(vdup_n_u8(*p.add(2 * i)), vdup_n_u8(*p.add(2 * i + 1)));
            let bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040_2010_0804_0201));
            // All ones in each byte whose bit is set.
            vorrq_u8(v[i], vandq_u8(vtstq_u8(bits, bit), vdupq_n_u8(16)))
        })
    }
    #[inline(always)]
    unsafe fn sixth(v: B, high: B, j: usize) -> B {
        from_fn(|i| unsafe {
            let shifted = match j {
                0 => vshlq_n_u8(high[i], 4),
                1 => vshlq_n_u8(high[i], 2),
                2 => high[i],
                _ => vshrq_n_u8(high[i], 2),
            };
            vorrq_u8(v[i], vandq_u8(shifted, vdupq_n_u8(0x30)))
        })
    }
    #[inline(always)]
    unsafe fn dot(sum: I, codes: B, x: *const i8) -> I {
        let x = unsafe { vreinterpretq_s8_s32(vdupq_n_s32(x.cast::<i32>().read_unaligned())) };
        from_fn(|i| unsafe {
            let codes = vreinterpretq_s8_u8(codes[i]);
            if DOT { dot(sum[i], codes, x) } else { dot_by_pairs(sum[i], codes, x) }
        })
    }
    #[inline(always)]
    unsafe fn dot_byte(sum: I, codes: B, x: *const i8) -> I {
        unsafe { <Self as Simd>::dot(sum, from_fn(|i| veorq_u8(codes[i], vdupq_n_u8(128))), x) }
    }
}

/// `vdotq_s32`, which the standard library does not offer yet.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn dot(mut sum: int32x4_t, codes: int8x16_t, x: int8x16_t) -> int32x4_t {
    // SAFETY: computes with these registers alone, by an instruction of the features above.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {codes:v}.16b, {x:v}.16b",
            sum = inout(vreg) sum,
            codes = in(vreg) codes,
            x = in(vreg) x,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

#[inline(always)]
unsafe fn dot_by_pairs(sum: int32x4_t, codes: int8x16_t, x: int8x16_t) -> int32x4_t {
    // SAFETY: the features are the caller's promise.
    unsafe {
        // Activations are at least −127: the products of two codes stay within i16.
        let low = vmull_s8(vget_low_s8(codes), vget_low_s8(x));
        vpadalq_s16(sum, vpaddq_s16(low, vmull_high_s8(codes, x)))
    }
}
