//! The product of activations with a weight of floating-point numbers, all in f32.
//!
//! Column `c` is added to partial sum `c mod 4`, and those as `(0 + 1) + (2 + 3)` at the end, for every number of rows.

#![allow(unsafe_code)]

use super::{
    gemm::{Place, Span, drive, store},
    pool::Shared,
    simd::{Kernel, Simd},
    target,
    tile::{self, ROWS},
};
use crate::WeightType;

/// See [`super::gemm::products`]; for weights of type F32, F16 or BF16.
pub(super) fn float(ty: WeightType, tiles: &[u8], rows: usize, columns: usize, x: &[f32], spans: &[Span<'_>]) -> Vec<f32> {
    let tile_len = tile::tile_bytes(ty, columns);
    let kernel = |span: Span<'_>, tile: usize, tile_end: usize, out: Shared<f32>| {
        let it = Tiles { tiles: &tiles[span.tile * tile_len..], tile_len, tile, tile_end, x, columns, places: span.places, out, rows };
        // SAFETY: the tiles are within `tiles` and the places within `x` by the assertions in `drive`; each call writes its own columns of `out`.
        unsafe {
            match ty {
                WeightType::F32 => target::run(Typed::<0>(it)),
                WeightType::F16 => target::run(Typed::<1>(it)),
                _ => target::run(Typed::<2>(it)),
            }
        }
    };
    drive(tiles, tile_len, (rows, columns), x.len() / columns, spans, &kernel)
}

struct Tiles<'a> {
    tiles: &'a [u8],
    tile_len: usize,
    tile: usize,
    tile_end: usize,
    x: &'a [f32],
    columns: usize,
    places: &'a [Place],
    out: Shared<f32>,
    rows: usize,
}

/// 0: f32, 1: f16, 2: bf16.
struct Typed<'a, const T: u8>(Tiles<'a>);

impl<const T: u8> Kernel for Typed<'_, T> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let m = self.0.places.len();
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
            let x: [*const f32; M] = std::array::from_fn(|m| it.x.as_ptr().add(it.places[row + m].from * it.columns));
            for tile in it.tile..it.tile_end {
                let p = it.tiles.as_ptr().add(tile * it.tile_len);
                let mut sums = [[S::splat(0.0); 4]; M];
                let whole = it.columns / 4 * 4;
                for c in (0..whole).step_by(4) {
                    for i in 0..4 {
                        let w = Self::load::<S>(p.add((c + i) * ROWS * Self::SIZE));
                        for m in 0..M {
                            sums[m][i] = S::add(sums[m][i], S::mul(w, S::splat(*x[m].add(c + i))));
                        }
                    }
                }
                for c in whole..it.columns {
                    let w = Self::load::<S>(p.add(c * ROWS * Self::SIZE));
                    for m in 0..M {
                        sums[m][c - whole] = S::add(sums[m][c - whole], S::mul(w, S::splat(*x[m].add(c))));
                    }
                }
                for (m, s) in sums.iter().enumerate() {
                    store::<S>(it.out, it.rows, it.places[row + m].to, tile, S::add(S::add(s[0], s[1]), S::add(s[2], s[3])));
                }
            }
        }
    }
}
