//! The product of activations with a weight of floating-point numbers, all in f32.
//!
//! Column `c` is added to partial sum `c mod 4`, and those as `(0 + 1) + (2 + 3)` at the end, for every number of rows.

#![allow(unsafe_code)]

use std::ops::Range;

use super::{
    product::{Input, Job, Span, TileKernel},
    simd::{Kernel, Simd},
    target,
    tile::ROWS,
};
use crate::WeightType;

/// The kernel of a type of floating-point numbers.
pub(super) fn kernel(ty: WeightType) -> TileKernel {
    match ty {
        WeightType::F32 => tiles::<0>,
        WeightType::F16 => tiles::<1>,
        WeightType::BF16 => tiles::<2>,
        _ => unreachable!("{ty:?} is quantized"),
    }
}

/// See [`TileKernel`].
unsafe fn tiles<const T: u8>(job: &Job<'_>, span: Span<'_>, tiles: Range<usize>) {
    let Input::Floats(x) = job.input else { unreachable!("a weight of floats has activations of floats") };
    // SAFETY: the caller's promises.
    unsafe { target::run(Typed::<T>(Tiles { job, x, span, tiles })) }
}

struct Tiles<'a> {
    job: &'a Job<'a>,
    x: &'a [f32],
    span: Span<'a>,
    tiles: Range<usize>,
}

/// 0: f32, 1: f16, 2: bf16.
struct Typed<'a, const T: u8>(Tiles<'a>);

impl<const T: u8> Kernel for Typed<'_, T> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let m = self.0.span.places.len();
        let mut row = 0;
        while row < m {
            // SAFETY: the places are within `x`; the tiles and columns of the output are the maker's promise.
            unsafe {
                if S::ROWS >= 4 && m - row >= 4 {
                    self.rows::<S, 4>(row);
                    row += 4;
                } else {
                    self.rows::<S, 1>(row);
                    row += 1;
                }
            }
        }
    }
}

impl<const T: u8> Typed<'_, T> {
    const SIZE: usize = if T == 0 { 4 } else { 2 };

    #[inline(always)]
    unsafe fn load<S: Simd>(p: *const u8) -> S::F {
        // SAFETY: the caller's: 16 elements of the type are there.
        unsafe {
            match T {
                0 => S::load(p.cast()),
                1 => S::load_f16(p),
                _ => S::load_bf16(p),
            }
        }
    }

    #[inline(always)]
    unsafe fn rows<S: Simd, const M: usize>(&self, row: usize) {
        let it = &self.0;
        // SAFETY: the tiles are within `tiles`, each of `columns` times 16 elements, and the rows within `x`.
        unsafe {
            let x: [*const f32; M] = std::array::from_fn(|m| it.x.as_ptr().add(it.span.places[row + m].from * it.job.columns));
            for tile in it.tiles.clone() {
                let p = it.job.tile(it.span, tile);
                let mut sums = [[S::splat(0.0); 4]; M];
                let whole = it.job.columns / 4 * 4;
                for c in (0..whole).step_by(4) {
                    for i in 0..4 {
                        let w = Self::load::<S>(p.add((c + i) * ROWS * Self::SIZE));
                        for m in 0..M {
                            sums[m][i] = S::add(sums[m][i], S::mul(w, S::splat(*x[m].add(c + i))));
                        }
                    }
                }
                for c in whole..it.job.columns {
                    let w = Self::load::<S>(p.add(c * ROWS * Self::SIZE));
                    for m in 0..M {
                        sums[m][c - whole] = S::add(sums[m][c - whole], S::mul(w, S::splat(*x[m].add(c))));
                    }
                }
                for (m, s) in sums.iter().enumerate() {
                    it.job.store::<S>(it.span.places[row + m].to, tile, S::add(S::add(s[0], s[1]), S::add(s[2], s[3])));
                }
            }
        }
    }
}
