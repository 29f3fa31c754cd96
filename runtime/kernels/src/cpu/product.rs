//! Products of activations with weights: one input and the several weights that read it are one job for all threads, with the activations quantized once.
//!
//! What a row of a result is, the kernels of `gemm.rs` and `float.rs` say; here it is only cut into pieces. No piece is a part of a sum.

#![allow(unsafe_code)]

use std::ops::Range;

use super::{
    float, gated, gemm,
    pool::{self, Shared},
    quantize::Activations,
    simd::Simd,
    tile::{self, Format, ROWS},
};
use crate::{Activation, WeightType};

/// Bytes of weights that a thread runs all rows over before it goes on: they stay in its second-level cache.
const CHUNK: usize = 256 << 10;

/// Bytes of weights that are worth a thread's asking for them.
const LEAST: usize = 8 << 10;

/// Products of fewer multiplications are not worth a second thread.
const SMALL: usize = 1 << 17;

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

/// A weight `[rows, columns]` in tiles, or a stack of such.
#[derive(Clone, Copy)]
pub(crate) struct Weight<'a> {
    pub(crate) ty: WeightType,
    pub(crate) tiles: &'a [u8],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// `x · Wᵀ` for `x: [m, columns]` and each weight: `[m, rows]` each.
pub(crate) fn products<const N: usize>(weights: [Weight<'_>; N], x: &[f32]) -> [Vec<f32>; N] {
    let places = rows(weights[0], x);
    let span = [Span { tile: 0, places: &places }];
    let inputs = Inputs::new(&weights, x);
    let mut outs = weights.map(|weight| Vec::with_capacity(places.len() * weight.rows));
    let mut at = 0;
    let jobs = weights.map(|weight| {
        at += 1;
        Job::new(weight, inputs.of(weight.ty), &span, Shared(outs[at - 1].as_mut_ptr()), false)
    });
    run(&jobs);
    for (out, weight) in outs.iter_mut().zip(weights) {
        // SAFETY: `run` has written every row's columns.
        unsafe { out.set_len(places.len() * weight.rows) };
    }
    outs
}

/// Adds `x · Wᵀ` to `out: [m, rows]`.
pub(crate) fn add_product(weight: Weight<'_>, x: &[f32], out: &mut [f32]) {
    let places = rows(weight, x);
    assert_eq!(out.len(), places.len() * weight.rows, "what a product of {} rows is added to", places.len());
    let inputs = Inputs::new(&[weight], x);
    run(&[Job::new(weight, inputs.of(weight.ty), &[Span { tile: 0, places: &places }], Shared(out.as_mut_ptr()), true)]);
}

/// The rows of each of `spans` times its weight of the stack: a row of results for each place, `[places, rows]`. The places' `to` are each number below their count
/// once.
pub(crate) fn spans(weight: Weight<'_>, x: &[f32], spans: &[Span<'_>]) -> Vec<f32> {
    let len = spans.iter().map(|span| span.places.len()).sum::<usize>() * weight.rows;
    let inputs = Inputs::new(&[weight], x);
    let mut out = Vec::with_capacity(len);
    run(&[Job::new(weight, inputs.of(weight.ty), spans, Shared(out.as_mut_ptr()), false)]);
    // SAFETY: each row of results is a place's, as `Job::new` has seen, and `run` has written every place's columns.
    unsafe { out.set_len(len) };
    out
}

/// `activation(x · gateᵀ) × (x · upᵀ)` for two weights of the same shape: `[m, rows]`.
pub(crate) fn gated_product([gate, up]: [Weight<'_>; 2], x: &[f32], activation: Activation) -> Vec<f32> {
    let places = rows(gate, x);
    let (m, n) = (places.len(), gate.rows);
    assert_eq!([n, gate.columns], [up.rows, up.columns], "the shapes of gate and up");
    let span = [Span { tile: 0, places: &places }];
    let inputs = Inputs::new(&[gate, up], x);
    let (mut out, mut factors) = (Vec::with_capacity(m * n), Vec::with_capacity(m * n));
    let (out_shared, factors_shared) = (Shared(out.as_mut_ptr()), Shared(factors.as_mut_ptr()));
    let gate = Job::new(gate, inputs.of(gate.ty), &span, out_shared, false);
    let up = Job::new(up, inputs.of(up.ty), &span, factors_shared, false);
    cut(n.div_ceil(ROWS), gate.tile_len + up.tile_len, m * n * gate.columns * 2, &|tiles| {
        let (from, to) = (tiles.start * ROWS, n.min(tiles.end * ROWS));
        // SAFETY: the tiles are the weights'; no other call has them, nor the results' columns `from .. to`, which are written here before they are read.
        unsafe {
            (gate.kernel)(&gate, span[0], tiles.clone());
            (up.kernel)(&up, span[0], tiles);
            for row in 0..m {
                let up = std::slice::from_raw_parts(factors_shared.at(row * n + from), to - from);
                gated::some(std::slice::from_raw_parts_mut(out_shared.at(row * n + from), to - from), up, activation);
            }
        }
    });
    // SAFETY: every row's columns have been written.
    unsafe { out.set_len(m * n) };
    out
}

/// Each row of activations to the row of results of its number.
fn rows(weight: Weight<'_>, x: &[f32]) -> Vec<Place> {
    (0..x.len() / weight.columns).map(|row| Place { from: row, to: row }).collect()
}

/// The activations as a weight's kernel reads them.
#[derive(Clone, Copy)]
pub(super) enum Input<'a> {
    Floats(&'a [f32]),
    Quantized(&'a Activations),
}

/// The activations in each form that some weights ask for.
struct Inputs<'a> {
    x: &'a [f32],
    quantized: Vec<Activations>,
}

impl<'a> Inputs<'a> {
    fn new(weights: &[Weight<'_>], x: &'a [f32]) -> Self {
        let columns = weights[0].columns;
        assert!(weights.iter().all(|weight| weight.columns == columns), "weights with one input of {columns} columns");
        let mut quantized: Vec<Activations> = Vec::new();
        for format in weights.iter().filter_map(|weight| Format::of(weight.ty)) {
            if !quantized.iter().any(|activations| activations.fit(format)) {
                quantized.push(Activations::new(x, columns, format));
            }
        }
        Self { x, quantized }
    }

    fn of(&self, ty: WeightType) -> Input<'_> {
        match Format::of(ty) {
            None => Input::Floats(self.x),
            Some(format) => Input::Quantized(self.quantized.iter().find(|it| it.fit(format)).expect("made for each weight's format")),
        }
    }
}

/// Multiplies a span's rows with a range of its weight's tiles, and stores what comes out.
///
/// # Safety
/// The tiles are within the weight, the places within the job's input and its results; nobody else reads or writes these tiles' columns of the results meanwhile.
pub(super) type TileKernel = unsafe fn(&Job<'_>, Span<'_>, Range<usize>);

/// A weight with its input and where its results go.
pub(super) struct Job<'a> {
    tiles: &'a [u8],
    tile_len: usize,
    rows: usize,
    pub(super) columns: usize,
    pub(super) input: Input<'a>,
    spans: &'a [Span<'a>],
    out: Shared<f32>,
    /// Results are added to what is there.
    adds: bool,
    kernel: TileKernel,
}

impl<'a> Job<'a> {
    /// `out` has a row of results for each place.
    fn new(weight: Weight<'a>, input: Input<'a>, spans: &'a [Span<'a>], out: Shared<f32>, adds: bool) -> Self {
        let Weight { ty, tiles, rows, columns } = weight;
        let (tile_len, count) = (tile::tile_bytes(ty, columns), rows.div_ceil(ROWS));
        let m = match input {
            Input::Floats(x) => x.len() / columns,
            Input::Quantized(activations) => activations.codes.len() / columns,
        };
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
        let kernel = if Format::of(ty).is_some() { gemm::kernel(ty) } else { float::kernel(ty) };
        Self { tiles, tile_len, rows, columns, input, spans, out, adds, kernel }
    }

    fn places(&self) -> usize {
        self.spans.iter().map(|span| span.places.len()).sum()
    }

    /// A tile of a span's weight.
    ///
    /// # Safety
    /// The span is the job's, and its weight has this tile.
    #[inline(always)]
    pub(super) unsafe fn tile(&self, span: Span<'_>, tile: usize) -> *const u8 {
        // SAFETY: the caller's promise.
        unsafe { self.tiles.as_ptr().add((span.tile + tile) * self.tile_len) }
    }

    /// Writes 16 results of row `m` from column `16 tile`, or as many as the weight has rows.
    ///
    /// # Safety
    /// The results have a row `m`, and this tile's columns of it are the caller's.
    #[inline(always)]
    pub(super) unsafe fn store<S: Simd>(&self, m: usize, tile: usize, v: S::F) {
        // SAFETY: the caller's promise.
        unsafe {
            let p = self.out.at(m * self.rows + tile * ROWS);
            if (tile + 1) * ROWS <= self.rows {
                S::store(p, if self.adds { S::add(S::load(p), v) } else { v });
                return;
            }
            let mut last = [0.0; ROWS];
            S::store(last.as_mut_ptr(), v);
            for (i, last) in last.iter().enumerate().take(self.rows - tile * ROWS) {
                let p = p.add(i);
                p.write(if self.adds { p.read() + last } else { *last });
            }
        }
    }
}

/// Runs some jobs as one.
fn run(jobs: &[Job<'_>]) {
    let count = |job: &Job<'_>| job.rows.div_ceil(ROWS);
    let tiles = jobs.iter().map(|job| job.spans.len() * count(job)).sum();
    let tile_len = jobs.iter().map(|job| job.tile_len).max().unwrap_or(0);
    let work = jobs.iter().map(|job| job.rows * job.columns * job.places()).sum();
    // The tiles of all spans of all jobs are counted through.
    cut(tiles, tile_len, work, &|tiles| {
        let mut start = 0;
        for (job, span) in jobs.iter().flat_map(|job| job.spans.iter().map(move |span| (job, *span))) {
            let end = start + count(job);
            let (from, to) = (tiles.start.max(start), tiles.end.min(end));
            if from < to {
                // SAFETY: the tiles are the span's, and no other call has them; `Job::new` has looked at the places.
                unsafe { (job.kernel)(job, span, from - start..to - start) };
            }
            if tiles.end <= end {
                break;
            }
            start = end;
        }
    });
}

/// Calls `task` for ranges that make up `0..tiles`, on several threads where that many multiplications are worth it. Pieces become smaller towards the end, so that
/// threads end together without having asked for work often.
fn cut(tiles: usize, tile_len: usize, multiplications: usize, task: &(dyn Fn(Range<usize>) + Sync)) {
    let threads = pool::threads();
    let most = (CHUNK / tile_len.max(1)).max(1);
    if threads == 1 || multiplications < SMALL {
        (0..tiles).step_by(most).for_each(|start| task(start..tiles.min(start + most)));
        return;
    }
    let least = LEAST.div_ceil(tile_len.max(1)).min(most);
    let mut ends = Vec::with_capacity(64);
    let mut at = 0;
    while at < tiles {
        at += ((tiles - at) / (2 * threads)).clamp(least, most).min(tiles - at);
        ends.push(at);
    }
    pool::run(ends.len(), &|i| task(if i == 0 { 0 } else { ends[i - 1] }..ends[i]));
}
