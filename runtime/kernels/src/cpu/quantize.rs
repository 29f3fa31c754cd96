//! Activations for the quantized kernels: eight bits each, with one f32 scale for every 32 columns.

#![allow(unsafe_code)]

use super::{
    math, pool,
    simd::{Kernel, Simd},
    target,
    tile::Format,
};

/// Rows of activations, quantized for one weight format.
pub(super) struct Activations {
    /// `[rows, columns]`, in −127..=127.
    pub(super) codes: Vec<i8>,
    /// `[rows, columns / 32]`.
    pub(super) scales: Vec<f32>,
    /// `[rows, columns / group]`: what a group's integer dot product starts from, so that the codes' offset drops out.
    pub(super) starts: Vec<i32>,
    /// `[rows, columns / group]`: the group's quantized sum, which multiplies its minimum. Empty for types without minimums.
    pub(super) sums: Vec<f32>,
    pub(super) columns: usize,
    pub(super) group: usize,
    offset: i32,
}

impl Activations {
    /// Whether they are what [`Self::new`] makes for `format`.
    pub(super) fn fit(&self, format: Format) -> bool {
        (self.group, self.offset, self.sums.is_empty()) == (format.group, format.offset, !format.mins || self.codes.is_empty())
    }

    /// Quantizes `x: [rows, columns]`.
    pub(super) fn new(x: &[f32], columns: usize, format: Format) -> Self {
        let (rows, groups) = (x.len() / columns, columns / format.group);
        let mut it = Self {
            codes: vec![0; x.len()],
            scales: vec![0.0; x.len() / 32],
            starts: vec![0; rows * groups],
            sums: vec![0.0; if format.mins { rows * groups } else { 0 }],
            columns,
            group: format.group,
            offset: format.offset,
        };
        let codes = pool::Shared(it.codes.as_mut_ptr());
        let scales = pool::Shared(it.scales.as_mut_ptr());
        let starts = pool::Shared(it.starts.as_mut_ptr());
        let sums = pool::Shared(it.sums.as_mut_ptr());
        let row = |row: usize| {
            // SAFETY: rows are disjoint parts of the four vectors, whose lengths are as computed above; the kernel asks for nothing else.
            unsafe {
                target::run(Quantize {
                    x: &x[row * columns..(row + 1) * columns],
                    codes: std::slice::from_raw_parts_mut(codes.at(row * columns), columns),
                    scales: std::slice::from_raw_parts_mut(scales.at(row * columns / 32), columns / 32),
                    starts: std::slice::from_raw_parts_mut(starts.at(row * groups), groups),
                    sums: std::slice::from_raw_parts_mut(
                        sums.at(if format.mins { row * groups } else { 0 }),
                        if format.mins { groups } else { 0 },
                    ),
                    group: format.group,
                    offset: format.offset,
                });
            }
        };
        if rows > 1 && x.len() >= 1 << 12 {
            pool::run(rows, &row)
        } else {
            (0..rows).for_each(row)
        }
        it
    }
}

struct Quantize<'a> {
    x: &'a [f32],
    codes: &'a mut [i8],
    scales: &'a mut [f32],
    starts: &'a mut [i32],
    sums: &'a mut [f32],
    group: usize,
    offset: i32,
}

impl Kernel for Quantize<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let groups = 32 / self.group;
        let blocks = self.x.as_chunks::<32>().0.iter().zip(self.codes.as_chunks_mut::<32>().0).zip(self.scales);
        for (b, ((x, codes), scale)) in blocks.enumerate() {
            // Lane by lane first, so that the compiler keeps vectors.
            let mut lanes = [0.0f32; 16];
            for i in 0..16 {
                lanes[i] = x[i].abs().max(x[i + 16].abs());
            }
            // Halves onto halves: one after another would be fifteen steps that wait for each other.
            for half in [8, 4, 2, 1] {
                for i in 0..half {
                    lanes[i] = lanes[i].max(lanes[i + half]);
                }
            }
            let max = lanes[0].max(0.0);
            *scale = max / 127.0;
            let inverse = if max > 0.0 { 127.0 / max } else { 0.0 };
            let mut integers = [0i32; 32];
            for i in 0..32 {
                integers[i] = math::round_to_i32(x[i] * inverse);
            }
            for i in 0..32 {
                codes[i] = integers[i] as i8;
            }
            let (mut low, mut high) = (0, 0);
            for i in 0..16 {
                low += integers[i];
                high += integers[i + 16];
            }
            let sums = if groups == 1 { [low + high, 0] } else { [low, high] };
            for g in 0..groups {
                self.starts[b * groups + g] = -self.offset * sums[g];
                if !self.sums.is_empty() {
                    self.sums[b * groups + g] = *scale * sums[g] as f32;
                }
            }
        }
    }
}
