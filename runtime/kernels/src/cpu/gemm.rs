//! The product of activations with a quantized weight: integers within a group of columns, f32 between groups.
//!
//! For each row of the weight, groups are added in the order of columns: `sum += integer · (scale · activation scale)`, then `sum -= minimum · activation sum`. A
//! row of activations goes through exactly these steps whether it comes alone or with others.

#![allow(unsafe_code)]

use super::{
    float,
    pool::{self, Shared},
    quantize::Activations,
    simd::{Kernel, Simd},
    target,
    tile::{self, Format, Payload, ROWS},
};
use crate::WeightType;

/// Bytes of weights that a thread runs all rows over before it goes on: they stay in its second-level cache.
const CHUNK: usize = 256 << 10;

/// A row of activations, and the row of results that its product is.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// The rows that go through one weight.
#[derive(Clone, Copy)]
pub(crate) struct Span<'a> {
    /// Tiles before the weight's first: weights of one shape may be stacked.
    pub(crate) tile: usize,
    pub(crate) places: &'a [Place],
}

/// `x · Wᵀ` for `x: [m, columns]` and the tiles of `W: [rows, columns]`: `[m, rows]`.
pub(crate) fn product(ty: WeightType, tiles: &[u8], rows: usize, columns: usize, x: &[f32]) -> Vec<f32> {
    let places: Vec<Place> = (0..x.len() / columns).map(|row| Place { from: row, to: row }).collect();
    products(ty, tiles, rows, columns, x, &[Span { tile: 0, places: &places }])
}

/// The rows of each of `spans` times its weight `W: [rows, columns]`: a row of results for each place, `[places, rows]`. The places' `to` are each number below their
/// count once.
pub(crate) fn products(ty: WeightType, tiles: &[u8], rows: usize, columns: usize, x: &[f32], spans: &[Span<'_>]) -> Vec<f32> {
    match ty {
        WeightType::F32 | WeightType::F16 | WeightType::BF16 => float::float(ty, tiles, rows, columns, x, spans),
        WeightType::Q4_0 => typed::<Q4_0>(tiles, rows, columns, x, spans),
        WeightType::Q4_1 => typed::<Q4_1>(tiles, rows, columns, x, spans),
        WeightType::Q5_0 => typed::<Q5_0>(tiles, rows, columns, x, spans),
        WeightType::Q5_1 => typed::<Q5_1>(tiles, rows, columns, x, spans),
        WeightType::Q8_0 => typed::<Q8_0>(tiles, rows, columns, x, spans),
        WeightType::Q2K => typed::<Q2K>(tiles, rows, columns, x, spans),
        WeightType::Q3K => typed::<Q3K>(tiles, rows, columns, x, spans),
        WeightType::Q4K => typed::<Q4K>(tiles, rows, columns, x, spans),
        WeightType::Q5K => typed::<Q5K>(tiles, rows, columns, x, spans),
        WeightType::Q6K => typed::<Q6K>(tiles, rows, columns, x, spans),
    }
}

/// A quantized type known to the compiler, so that a kernel is made for it.
trait Quantized {
    const TYPE: WeightType;
    const FORMAT: Format = match Format::of(Self::TYPE) {
        Some(format) => format,
        None => panic!("not a quantized type"),
    };
    /// Codes need all eight bits.
    const FULL: bool = Self::FORMAT.offset == 128;
}

macro_rules! types {
    ($($name:ident)*) => { $(
        struct $name;
        impl Quantized for $name {
            const TYPE: WeightType = WeightType::$name;
        }
    )* };
}
types!(Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2K Q3K Q4K Q5K Q6K);

fn typed<Q: Quantized>(tiles: &[u8], rows: usize, columns: usize, x: &[f32], spans: &[Span<'_>]) -> Vec<f32> {
    let tile_len = tile::tile_bytes(Q::TYPE, columns);
    let activations = Activations::new(x, columns, Q::FORMAT);
    let kernel = |span: Span<'_>, tile: usize, tile_end: usize, out: Shared<f32>| {
        // SAFETY: the tiles are within `tiles` and the places within the activations by the assertions in `drive`; each call writes its own columns of `out`.
        unsafe {
            target::run(Tiles::<Q> {
                tiles: &tiles[span.tile * tile_len..],
                tile_len,
                tile,
                tile_end,
                activations: &activations,
                places: span.places,
                out,
                rows,
                quantized: std::marker::PhantomData,
            })
        }
    };
    drive(tiles, tile_len, (rows, columns), x.len() / columns, spans, &kernel)
}

/// A span, the range of its tiles from and to, and where the results go.
pub(super) type TileKernel<'a> = dyn Fn(Span<'_>, usize, usize, Shared<f32>) + Sync + 'a;

/// Cuts the tiles of each span's weight into tasks and gives `kernel` the span and the range of tiles of each. `m` is the number of rows of activations.
pub(super) fn drive(
    tiles: &[u8],
    tile_len: usize,
    (rows, columns): (usize, usize),
    m: usize,
    spans: &[Span<'_>],
    kernel: &TileKernel<'_>,
) -> Vec<f32> {
    let count = rows.div_ceil(ROWS);
    let places = spans.iter().map(|span| span.places.len()).sum::<usize>();
    let mut written = vec![false; places];
    for span in spans {
        let need = (span.tile + count) * tile_len;
        assert!(
            tiles.len() >= need,
            "{} bytes of {rows}x{columns} weights are less than the {need} up to tile {}",
            tiles.len(),
            span.tile + count
        );
        for place in span.places {
            assert!(
                place.from < m && !std::mem::replace(&mut written[place.to], true),
                "row {} of {m} to row {} of {places}",
                place.from,
                place.to
            );
        }
    }
    let mut out: Vec<f32> = Vec::with_capacity(places * rows);
    let shared = Shared(out.as_mut_ptr());
    let threads = pool::threads();
    let all_in_cache = (CHUNK / tile_len.max(1)).max(1);
    if threads == 1 || rows * columns * places < 1 << 17 {
        for span in spans {
            for tile in (0..count).step_by(all_in_cache) {
                kernel(*span, tile, count.min(tile + all_in_cache), shared);
            }
        }
    } else {
        let per_task = all_in_cache.clamp(1, (count * spans.len()).div_ceil(threads * 4));
        let tasks = count.div_ceil(per_task);
        pool::run(spans.len() * tasks, &|task| {
            let tile = task % tasks * per_task;
            kernel(spans[task / tasks], tile, count.min(tile + per_task), shared);
        });
    }
    // SAFETY: each row of results is a place's, as the assertions above have seen, and the kernel wrote every place's columns of every tile.
    unsafe { out.set_len(places * rows) };
    out
}

/// Writes 16 results of row `m` from column `16 tile`, or as many as the weight has rows.
#[inline(always)]
pub(super) unsafe fn store<S: Simd>(out: Shared<f32>, rows: usize, m: usize, tile: usize, v: S::F) {
    // SAFETY: the caller's: `out` has a row `m` of `rows` columns, and this tile's are its own.
    unsafe {
        let p = out.at(m * rows + tile * ROWS);
        if (tile + 1) * ROWS <= rows {
            S::store(p, v);
        } else {
            let mut last = [0.0; ROWS];
            S::store(last.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(last.as_ptr(), p, rows - tile * ROWS);
        }
    }
}

/// All rows of activations times a range of tiles.
struct Tiles<'a, Q> {
    tiles: &'a [u8],
    tile_len: usize,
    tile: usize,
    tile_end: usize,
    activations: &'a Activations,
    places: &'a [Place],
    out: Shared<f32>,
    rows: usize,
    quantized: std::marker::PhantomData<Q>,
}

impl<Q: Quantized> Kernel for Tiles<'_, Q> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let m = self.places.len();
        let mut row = 0;
        while row < m {
            // SAFETY: the places are within the activations; the tiles and columns of the output are the maker's promise.
            unsafe {
                row += match (m - row).min(S::ROWS) {
                    8.. => self.rows::<S, 8>(row),
                    4.. => self.rows::<S, 4>(row),
                    2.. => self.rows::<S, 2>(row),
                    _ => self.rows::<S, 1>(row),
                };
            }
        }
    }
}

impl<Q: Quantized> Tiles<'_, Q> {
    /// `M` places from number `row` times every tile. Returns `M`.
    #[inline(always)]
    unsafe fn rows<S: Simd, const M: usize>(&self, row: usize) -> usize {
        if M > S::ROWS {
            unreachable!("more rows than the target takes");
        }
        for tile in self.tile..self.tile_end {
            // SAFETY: the tile is within `tiles`.
            unsafe {
                let sums = self.one::<S, M>(self.tiles.as_ptr().add(tile * self.tile_len), row);
                for (m, &sum) in sums.iter().enumerate() {
                    store::<S>(self.out, self.rows, self.places[row + m].to, tile, sum);
                }
            }
        }
        M
    }

    /// `M` rows times one tile.
    #[inline(always)]
    unsafe fn one<S: Simd, const M: usize>(&self, mut p: *const u8, row: usize) -> [S::F; M] {
        let format = Q::FORMAT;
        let groups = format.groups();
        let a = self.activations;
        // SAFETY: `p` walks over the whole tile, as `Format` lays it out, and the activations' vectors have the lengths that `Activations` states.
        unsafe {
            let mut sums = [S::splat(0.0); M];
            let from: [usize; M] = std::array::from_fn(|m| self.places[row + m].from);
            let codes: [*const i8; M] = from.map(|from| a.codes.as_ptr().add(from * a.columns));
            let scales: [*const f32; M] = from.map(|from| a.scales.as_ptr().add(from * a.columns / 32));
            let starts: [*const i32; M] = from.map(|from| a.starts.as_ptr().add(from * a.columns / a.group));
            let xsums: [*const f32; M] = from.map(|from| a.sums.as_ptr().wrapping_add(from * a.columns / a.group));
            let mut chunk = 0;
            for _ in 0..a.columns / format.super_len {
                let d = S::load_f16(p);
                let min = if format.mins { S::load_f16(p.add(32)) } else { d };
                p = p.add(format.head_bytes());
                for _ in 0..format.super_len / 32 {
                    prefetch(p);
                    let payload = p.add(format.sub_bytes());
                    // The integer dot products of the one or two groups.
                    let mut low = [S::splat_i(0); M];
                    let mut high = [S::splat_i(0); M];
                    for m in 0..M {
                        if format.offset != 0 && (!Q::FULL || S::BYTE_OFFSET != 0) {
                            low[m] = S::splat_i(*starts[m].add(chunk * groups));
                            if groups == 2 {
                                high[m] = S::splat_i(*starts[m].add(chunk * groups + 1));
                            }
                        }
                    }
                    if matches!(format.payload, Payload::Byte) {
                        for j in 0..8 {
                            let v = S::bytes(payload.add(64 * j));
                            for m in 0..M {
                                let x = codes[m].add(chunk * 32 + 4 * j);
                                let sum = if groups == 2 && j >= 4 { &mut high[m] } else { &mut low[m] };
                                *sum = if Q::FULL { S::dot_byte(*sum, v, x) } else { S::dot(*sum, v, x) };
                            }
                        }
                    } else {
                        let (five, six) = (matches!(format.payload, Payload::Five), matches!(format.payload, Payload::Six));
                        for j in 0..4 {
                            let v = S::bytes(payload.add(format.bit_bytes() + 64 * j));
                            let (mut v0, mut v1) = (S::low(v), S::high(v));
                            if five {
                                (v0, v1) = (S::fifth(v0, payload.add(8 * j)), S::fifth(v1, payload.add(8 * j + 32)));
                            }
                            if six {
                                (v0, v1) = (S::sixth(v0, S::bytes(payload), j), S::sixth(v1, S::bytes(payload.add(64)), j));
                            }
                            for m in 0..M {
                                let x = codes[m].add(chunk * 32 + 4 * j);
                                low[m] = S::dot(low[m], v0, x);
                                let sum = if groups == 2 { &mut high[m] } else { &mut low[m] };
                                *sum = S::dot(*sum, v1, x.add(16));
                            }
                        }
                    }
                    for g in 0..groups {
                        let scale = if !format.sub {
                            d
                        } else if format.signed {
                            S::mul(d, S::load_i8(p.add(16 * g)))
                        } else {
                            S::mul(d, S::load_u8(p.add(16 * g)))
                        };
                        for m in 0..M {
                            let integer = S::to_f(if g == 0 { low[m] } else { high[m] });
                            sums[m] = S::add(sums[m], S::mul(integer, S::mul(scale, S::splat(*scales[m].add(chunk)))));
                        }
                        if format.mins {
                            let min = if format.sub { S::mul(min, S::load_u8(p.add(16 * (groups + g)))) } else { min };
                            for m in 0..M {
                                sums[m] = S::sub(sums[m], S::mul(min, S::splat(*xsums[m].add(chunk * groups + g))));
                            }
                        }
                    }
                    chunk += 1;
                    p = p.add(format.chunk_bytes());
                }
            }
            sums
        }
    }
}

/// Asks for memory some lines ahead: the hardware's prefetcher stops at page ends, of which a stream of tiles has many.
#[inline(always)]
fn prefetch(p: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is harmless, and SSE is part of x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch(p.wrapping_add(4096).cast(), _MM_HINT_T0);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}
