//! The product of activations with a quantized weight: integers within a group of columns, f32 between groups.
//!
//! For each row of the weight, groups are added in the order of columns: `sum += integer · (scale · activation scale)`, then `sum -= minimum · activation sum`. A
//! row of activations goes through exactly these steps whether it comes alone or with others.

#![allow(unsafe_code)]

use std::{marker::PhantomData, ops::Range};

use super::{
    product::{Input, Job, Span, TileKernel},
    quantize::Activations,
    simd::{Kernel, Simd, prefetch},
    target,
    tile::{Format, Payload},
};
use crate::WeightType;

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

/// The kernel of a quantized type.
pub(super) fn kernel(ty: WeightType) -> TileKernel {
    match ty {
        WeightType::F32 | WeightType::F16 | WeightType::BF16 => unreachable!("{ty:?} is not quantized"),
        WeightType::Q4_0 => tiles::<Q4_0>,
        WeightType::Q4_1 => tiles::<Q4_1>,
        WeightType::Q5_0 => tiles::<Q5_0>,
        WeightType::Q5_1 => tiles::<Q5_1>,
        WeightType::Q8_0 => tiles::<Q8_0>,
        WeightType::Q2K => tiles::<Q2K>,
        WeightType::Q3K => tiles::<Q3K>,
        WeightType::Q4K => tiles::<Q4K>,
        WeightType::Q5K => tiles::<Q5K>,
        WeightType::Q6K => tiles::<Q6K>,
    }
}

/// See [`TileKernel`].
unsafe fn tiles<Q: Quantized>(job: &Job<'_>, span: Span<'_>, tiles: Range<usize>) {
    let Input::Quantized(activations) = job.input else { unreachable!("a quantized weight has quantized activations") };
    // SAFETY: the caller's promises.
    unsafe { target::run(Tiles::<Q> { job, activations, span, tiles, quantized: PhantomData }) }
}

/// All rows of activations times a range of tiles.
struct Tiles<'a, Q> {
    job: &'a Job<'a>,
    activations: &'a Activations,
    span: Span<'a>,
    tiles: Range<usize>,
    quantized: PhantomData<Q>,
}

impl<Q: Quantized> Kernel for Tiles<'_, Q> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let m = self.span.places.len();
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
        for tile in self.tiles.clone() {
            // SAFETY: the tile is within the weight's.
            unsafe {
                let sums = self.one::<S, M>(self.job.tile(self.span, tile), row);
                for (m, &sum) in sums.iter().enumerate() {
                    self.job.store::<S>(self.span.places[row + m].to, tile, sum);
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
            let from: [usize; M] = std::array::from_fn(|m| self.span.places[row + m].from);
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
                    prefetch::<1, _>(p.wrapping_add(AHEAD));
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

/// Bytes ahead that are asked for: the hardware's prefetcher stops at page ends, of which a stream of tiles has many.
const AHEAD: usize = 4096;
