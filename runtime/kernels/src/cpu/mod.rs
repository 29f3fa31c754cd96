//! The CPU's kernels: plain functions over slices, without Burn. Each is written once over the 16-lane vectors of [`simd::Simd`], which `scalar.rs`, `avx2.rs`,
//! `avx512.rs`, `neon.rs` and `simd128.rs` implement; [`target`] picks one at run time. `../flex.rs` calls them for Burn's CPU backend.
//!
//! Every target rounds at the same places and adds in the same order, so that all of them give the same bits, and so do all numbers of threads and all splits of a
//! batch: a kernel may share loads among rows but never reorders one row's sums. This is why products and sums are not fused.

// Lanes, rows of activations and queries are counted, because each number is an index into several arrays.
#![allow(clippy::needless_range_loop)]

pub(crate) mod attend;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod experts;
mod float;
pub(crate) mod gated;
mod gemm;
mod kv;
pub(crate) mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
pub(crate) mod norm;
pub(crate) mod pool;
pub(crate) mod product;
mod quantize;
pub(crate) mod rope;
mod scalar;
mod simd;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128;
pub(crate) mod survey;
pub(crate) mod target;
pub(crate) mod tile;
