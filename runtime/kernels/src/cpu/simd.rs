//! What a CPU target provides: vectors of 16 lanes, so wide because a tile has 16 rows and a KV block 16 positions.

#![allow(unsafe_code)]

/// Lanes of a vector.
pub(super) const LANES: usize = 16;

/// The vector operations of one target.
///
/// # Safety
/// Every method may be called only where the CPU has the target's features, and only inlined into a function compiled for them: kernels are `inline(always)` up to
/// the target's entry point. Pointers are to at least as many elements as the vector has lanes; no alignment is needed.
pub(super) trait Simd: Copy {
    /// 16 f32.
    type F: Copy;
    /// 16 i32.
    type I: Copy;
    /// 64 bytes: four for each row of a tile.
    type B: Copy;

    /// How many rows of activations a quantized kernel takes at once at most: what fits into the registers.
    const ROWS: usize;

    /// What [`Simd::dot_byte`] takes its codes to be offset by: 128 when it reads them as unsigned, 0 when it takes the offset off itself.
    const BYTE_OFFSET: i32;

    unsafe fn splat(x: f32) -> Self::F;
    unsafe fn load(p: *const f32) -> Self::F;
    unsafe fn store(p: *mut f32, v: Self::F);
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    /// 16 f16 in memory.
    unsafe fn load_f16(p: *const u8) -> Self::F;
    /// 16 bf16 in memory.
    unsafe fn load_bf16(p: *const u8) -> Self::F;
    /// 16 unsigned bytes in memory.
    unsafe fn load_u8(p: *const u8) -> Self::F;
    /// 16 signed bytes in memory.
    unsafe fn load_i8(p: *const u8) -> Self::F;

    unsafe fn splat_i(x: i32) -> Self::I;
    unsafe fn to_f(v: Self::I) -> Self::F;

    unsafe fn bytes(p: *const u8) -> Self::B;
    /// The low four bits of each byte.
    unsafe fn low(v: Self::B) -> Self::B;
    /// The high four bits of each byte.
    unsafe fn high(v: Self::B) -> Self::B;
    /// Adds 16 to the bytes whose bit is set in the 64 bits at `p`.
    unsafe fn fifth(v: Self::B, p: *const u8) -> Self::B;
    /// Adds 16 times the two bits `2 j .. 2 j + 2` of each byte of `high`, for `j` below 4.
    unsafe fn sixth(v: Self::B, high: Self::B, j: usize) -> Self::B;
    /// Adds to lane `r` the dot product of bytes `4 r .. 4 r + 4` of `codes`, each below 128, with the four signed bytes at `x`.
    unsafe fn dot(sum: Self::I, codes: Self::B, x: *const i8) -> Self::I;
    /// The same for codes of all eight bits, stored with an offset of 128.
    unsafe fn dot_byte(sum: Self::I, codes: Self::B, x: *const i8) -> Self::I;
}

/// Asks for the memory of `N` elements, line by line, where the target can. The address may be any.
#[inline(always)]
pub(super) fn prefetch<const N: usize, T>(p: *const T) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..N * size_of::<T>()).step_by(super::tile::LINE) {
        // SAFETY: a prefetch of any address is harmless, and SSE is part of x86-64.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch(p.cast::<i8>().wrapping_add(at), _MM_HINT_T0);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// A kernel with its arguments, to be run on a target.
pub(super) trait Kernel {
    /// Runs it with the vectors of `S`. Implementations are `inline(always)`.
    ///
    /// # Safety
    /// As for the methods of [`Simd`], and what the kernel itself asks for.
    unsafe fn run<S: Simd>(self);
}
