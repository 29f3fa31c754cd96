//! Attention over the paged KV cache.
//!
//! A row's scores, their maximum, their exponentials' sum and the weighted sum of values are taken in the order of positions (sums of exponentials by position modulo
//! 16), so that its result does not depend on which other rows share the loads.

#![allow(unsafe_code)]

use std::{cell::RefCell, marker::PhantomData, ops::Range};

use half::f16;

use super::{
    kv::{self, BLOCK, F16, GROUP, Kept, Q8_0, Side},
    math::{exp, tanh},
    norm, pool,
    pool::Shared,
    simd::{Kernel, LANES, Simd, prefetch},
    target,
};
use crate::{AttentionShape, KvType};

/// Which rows there are, and where their sequences' blocks lie.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// The position of each row.
    pub(crate) positions: &'a [i32],
    /// The sequence of each row.
    pub(crate) sequences: &'a [i32],
    /// `[sequences, table_len]`.
    pub(crate) tables: &'a [i32],
    pub(crate) table_len: usize,
}

impl Rows<'_> {
    pub(super) fn table(&self, row: usize) -> &[i32] {
        let sequence = self.sequences[row] as usize;
        &self.tables[sequence * self.table_len..(sequence + 1) * self.table_len]
    }
}

/// Writes the rows' keys and values into the cache, then attends: `q: [m, heads × head_dim]` to `out` of the same shape.
///
/// # Panics
/// When a table names a block outside the cache, before anything is written.
pub(crate) fn attention(
    ty: KvType,
    q: &[f32],
    (k, v): (&[f32], &[f32]),
    (keys, values): (&mut [f16], &mut [f16]),
    rows: Rows<'_>,
    shape: AttentionShape,
    out: &mut [f32],
) {
    let (wide, narrow, m) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim, rows.positions.len());
    assert!(q.len() == m * wide && out.len() == q.len(), "queries of {m} rows and {wide} columns");
    assert!(k.len() == m * narrow && v.len() == k.len(), "keys and values of {m} rows and {narrow} columns");
    // The kernel reads the cache through pointers: every block that it will read is checked here.
    let blocks = keys.len().min(values.len()) / (BLOCK * ty.words(narrow));
    for row in 0..m {
        let seen = &rows.table(row)[first(rows, row, shape) / BLOCK..=rows.positions[row] as usize / BLOCK];
        assert!(seen.iter().all(|&b| (b as usize) < blocks), "row {row} names a block outside the cache of {blocks}");
    }
    kv::write(ty, (k, v), (keys, values), rows, shape);
    match ty {
        KvType::F16 => attend::<F16>(q, keys, values, rows, shape, out),
        KvType::Q8_0 => attend::<Q8_0>(q, keys, values, rows, shape, out),
    }
}

/// Attends; `attention` has checked the arguments.
fn attend<K: Kept>(q: &[f32], keys: &[f16], values: &[f16], rows: Rows<'_>, shape: AttentionShape, out: &mut [f32]) {
    let width = shape.heads * shape.head_dim;
    let all = Attend::<K> { q, keys, values, rows, shape, out: Shared(out.as_mut_ptr()), kept: PhantomData };
    let tasks = tasks(rows, shape);
    let work: usize = rows.positions.iter().enumerate().map(|(row, &p)| p as usize + 1 - first(rows, row, shape)).sum();
    if work * width < 1 << 15 {
        tasks.iter().for_each(|&task| all.whole(task));
    } else if tasks.len() < 2 * pool::threads() && pool::threads() > 1 {
        all.spread(&tasks);
    } else {
        pool::run(tasks.len(), &|i| all.whole(tasks[i]));
    }
}

/// The first position that a row sees.
fn first(rows: Rows<'_>, row: usize, shape: AttentionShape) -> usize {
    (rows.positions[row] as usize + 1).saturating_sub(shape.window.unwrap_or(usize::MAX))
}

/// Queries that share loads: those of one kv head, over some rows of one sequence.
#[derive(Clone, Copy)]
struct Queries {
    kv_head: usize,
    row: usize,
    /// Counted over rows, then over the heads of the group.
    from: usize,
    to: usize,
}

/// All queries, cut into tasks.
fn tasks(rows: Rows<'_>, shape: AttentionShape) -> Vec<Queries> {
    const ROWS: usize = 8;
    let (m, group) = (rows.positions.len(), shape.heads / shape.kv_heads);
    let mut runs = Vec::new();
    let mut row = 0;
    while row < m {
        let most = m.min(row + ROWS);
        let end = (row + 1..most).find(|&r| rows.sequences[r] != rows.sequences[row]).unwrap_or(most);
        runs.push((row, (end - row) * group));
        row = end;
    }
    // The last rows of a prompt see the most: the longest tasks go first.
    let heads = |&(row, to): &(usize, usize)| (0..shape.kv_heads).map(move |kv_head| Queries { kv_head, row, from: 0, to });
    runs.iter().rev().flat_map(heads).collect()
}

/// Queries that are computed together.
const TOGETHER: usize = 4;

thread_local! {
    /// Scores of the queries under way on this thread.
    static SCORES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    /// Their weights times the scales of the values at hand.
    static SCALED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

struct Attend<'a, K> {
    q: &'a [f32],
    keys: &'a [f16],
    values: &'a [f16],
    rows: Rows<'a>,
    shape: AttentionShape,
    out: Shared<f32>,
    kept: PhantomData<K>,
}

impl<K: Kept> Attend<'_, K> {
    /// The positions of the blocks that some queries of a task see, whole blocks.
    fn seen(&self, task: Queries) -> Range<usize> {
        let group = self.shape.heads / self.shape.kv_heads;
        // Rows come in the order of their positions: the first query sees from the lowest position, the last one up to the highest.
        let (low, high) = (task.row + task.from / group, task.row + (task.to - 1) / group);
        first(self.rows, low, self.shape) / BLOCK * BLOCK..(self.rows.positions[high] as usize + 1).next_multiple_of(BLOCK)
    }

    /// A task on this thread.
    fn whole(&self, task: Queries) {
        let mut scores = SCORES.take();
        for task in task.few() {
            let seen = self.seen(task);
            scores.resize(scores.len().max(scores_len(&seen)), 0.0);
            self.run(Part {
                task,
                positions: seen,
                weights: 0..task.count(),
                dims: 0..self.shape.head_dim,
                scores: Shared(scores.as_mut_ptr()),
            });
        }
        SCORES.replace(scores);
    }

    /// Few tasks on all threads: scores by positions, weights by queries, and what they weigh by elements. No sum is cut.
    fn spread(&self, tasks: &[Queries]) {
        let pieces = 2 * pool::threads();
        let (mut few, mut len) = (Vec::new(), 0);
        for task in tasks.iter().flat_map(|task| task.few()) {
            let seen = self.seen(task);
            few.push((task, seen.clone(), len));
            len += scores_len(&seen);
        }
        let mut scores = SCORES.take();
        scores.resize(scores.len().max(len), 0.0);
        let all = Shared(scores.as_mut_ptr());
        let part = |(task, _, at): &(Queries, Range<usize>, usize)| {
            // SAFETY: the vector was made long enough for all.
            Part { task: *task, positions: 0..0, weights: 0..0, dims: 0..0, scores: Shared(unsafe { all.at(*at) }) }
        };
        let mut parts = Vec::with_capacity(few.len() * pieces);
        for few in &few {
            let cuts = cuts(few.1.clone(), BLOCK, pieces);
            parts.extend(cuts.map(|positions| Part { positions, ..part(few) }));
        }
        pool::run(parts.len(), &|i| self.run(parts[i].clone()));
        parts.clear();
        for few in &few {
            parts.extend((0..few.0.count()).map(|i| Part { weights: i..i + 1, ..part(few) }));
        }
        pool::run(parts.len(), &|i| self.run(parts[i].clone()));
        parts.clear();
        for few in &few {
            let cuts = cuts(0..self.shape.head_dim, GROUP, pieces);
            parts.extend(cuts.map(|dims| Part { dims, ..part(few) }));
        }
        pool::run(parts.len(), &|i| self.run(parts[i].clone()));
        SCORES.replace(scores);
    }

    fn run(&self, part: Part) {
        // SAFETY: `attention` has checked the blocks; no two parts have the same scores, or the same elements of `out`, at the same time.
        unsafe { target::run(Run { attend: self, part }) }
    }
}

impl Queries {
    fn count(&self) -> usize {
        self.to - self.from
    }

    /// Those that are computed together.
    fn few(self) -> impl Iterator<Item = Self> {
        let few = move |from| Self { from, to: self.to.min(from + TOGETHER), ..self };
        (self.from..self.to).step_by(TOGETHER).map(few)
    }
}

/// Room for the scores of queries that are computed together, and behind them for the inverses of their sums.
fn scores_len(seen: &Range<usize>) -> usize {
    TOGETHER * seen.len() + LANES
}

/// Cuts `range` into at most so many pieces that begin at multiples of `unit` after its start.
fn cuts(range: Range<usize>, unit: usize, pieces: usize) -> impl Iterator<Item = Range<usize>> {
    let piece = range.len().div_ceil(unit).div_ceil(pieces).max(1) * unit;
    range.clone().step_by(piece).map(move |start| start..range.end.min(start + piece))
}

/// What is done for some queries that are computed together.
#[derive(Clone)]
struct Part {
    task: Queries,
    /// Whose scores.
    positions: Range<usize>,
    /// Which queries' scores become weights; all of them must be there.
    weights: Range<usize>,
    /// Which elements of the result; all weights must be there.
    dims: Range<usize>,
    scores: Shared<f32>,
}

struct Run<'a, K> {
    attend: &'a Attend<'a, K>,
    part: Part,
}

impl<K: Kept> Kernel for Run<'_, K> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the maker's promise.
        unsafe {
            match self.part.task.count() {
                4.. => self.queries::<S, 4>(),
                3 => self.queries::<S, 3>(),
                2 => self.queries::<S, 2>(),
                _ => self.queries::<S, 1>(),
            }
        }
    }
}

impl<K: Kept> Run<'_, K> {
    #[inline(always)]
    unsafe fn queries<S: Simd, const Q: usize>(self) {
        let Attend { rows, shape, .. } = *self.attend;
        let Part { task, positions, weights: weighed, dims, scores } = self.part;
        let (dim, group) = (shape.head_dim, shape.heads / shape.kv_heads);
        let row: [usize; Q] = std::array::from_fn(|i| task.row + (task.from + i) / group);
        // Where the query's elements are, in `q` and in `out`.
        let at: [usize; Q] = std::array::from_fn(|i| (row[i] * shape.heads + task.kv_head * group + (task.from + i) % group) * dim);
        let start: [usize; Q] = std::array::from_fn(|i| first(rows, row[i], shape));
        let end: [usize; Q] = std::array::from_fn(|i| rows.positions[row[i]] as usize + 1);
        let Range { start: low, end: high } = self.attend.seen(task);
        let len = high - low;
        let table = rows.table(task.row);
        let width = shape.kv_heads * dim;
        // A capped score is divided by the cap before the tanh.
        let scale = shape.cap.map_or(shape.scale, |cap| shape.scale / cap);

        // SAFETY: blocks up to `high` are in the table and in the cache (checked by `attention`, row by row); the queries' elements are within `q` and `out`, and there
        // is room for all scores, of which others write only those that this part does not read.
        unsafe {
            let q: [*const f32; Q] = std::array::from_fn(|i| self.attend.q.as_ptr().add(at[i]));
            let (keys, values) = (Side::<K>::new(self.attend.keys, width), Side::<K>::new(self.attend.values, width));
            let column = task.kv_head * dim;
            for t in positions.step_by(BLOCK) {
                let block = table[t / BLOCK] as usize;
                let k = keys.codes(block).add(column * BLOCK);
                let ahead = keys.codes(table[(t + AHEAD).min(high - 1) / BLOCK] as usize).add(column * BLOCK);
                let dots = if K::SCALED {
                    let mut sums = [S::splat(0.0); Q];
                    for d in (0..dim).step_by(GROUP) {
                        let dots = dots::<S, K, Q>(q.map(|q| q.add(d)), k.add(d * BLOCK), ahead.add(d * BLOCK), GROUP);
                        let scale = S::load_f16(keys.scales(block, column + d));
                        for i in 0..Q {
                            sums[i] = S::add(sums[i], S::mul(dots[i], scale));
                        }
                    }
                    sums
                } else {
                    dots::<S, K, Q>(q, k, ahead, dim)
                };
                for (i, &dot) in dots.iter().enumerate() {
                    S::store(scores.at(i * len + t - low), S::mul(dot, S::splat(scale)));
                }
            }
            let inverses = scores.at(TOGETHER * len);
            for i in weighed {
                let scores = std::slice::from_raw_parts_mut(scores.at(i * len + start[i] - low), end[i] - start[i]);
                if let Some(cap) = shape.cap {
                    scores.iter_mut().for_each(|score| *score = cap * tanh(*score));
                }
                *inverses.add(i) = softmax(scores, start[i] % BLOCK);
            }
            if dims.is_empty() {
                return;
            }
            let inverse: [f32; Q] = std::array::from_fn(|i| *inverses.add(i));
            let weights = scores.at(0).cast_const();
            let pointers =
                |weights: *const f32| -> [*const f32; Q] { std::array::from_fn(|i| weights.wrapping_add(i * len).wrapping_sub(low)) };
            let mut scaled = if K::SCALED { SCALED.take() } else { Vec::new() };
            scaled.resize(scaled.len().max(if K::SCALED { Q * len } else { 0 }), 0.0);
            let v = Values { side: values, table, column };
            let mut d = dims.start;
            while d < dims.end {
                let (out, left) = (at.map(|at| self.attend.out.at(at + d)), dims.end - d);
                if K::SCALED {
                    for t in (low..high).step_by(BLOCK) {
                        let scale = S::load_f16(v.side.scales(table[t / BLOCK] as usize, column + d));
                        for at in (0..Q).map(|i| i * len + t - low) {
                            S::store(scaled.as_mut_ptr().add(at), S::mul(S::load(weights.add(at)), scale));
                        }
                    }
                    v.sum::<S, Q, { GROUP / LANES }>(d, pointers(scaled.as_ptr()), start, end, inverse, out);
                    d += GROUP;
                } else if left >= 4 * LANES {
                    v.sum::<S, Q, 4>(d, pointers(weights), start, end, inverse, out);
                    d += 4 * LANES;
                } else if left >= 2 * LANES {
                    v.sum::<S, Q, 2>(d, pointers(weights), start, end, inverse, out);
                    d += 2 * LANES;
                } else if left >= LANES {
                    v.sum::<S, Q, 1>(d, pointers(weights), start, end, inverse, out);
                    d += LANES;
                } else {
                    v.sum_one::<Q>(d, pointers(weights), start, end, inverse, out);
                    d += 1;
                }
            }
            if K::SCALED {
                SCALED.replace(scaled);
            }
        }
    }
}

/// Positions ahead that are asked for: blocks lie anywhere, and memory is far.
const AHEAD: usize = 2 * BLOCK;

/// The dot products of `Q` queries with 16 keys: element `d` into partial sum `d mod 4`. Asks for as many codes at `ahead`.
#[inline(always)]
unsafe fn dots<S: Simd, K: Kept, const Q: usize>(q: [*const f32; Q], k: *const K::Code, ahead: *const K::Code, dim: usize) -> [S::F; Q] {
    // SAFETY: `dim` elements are behind each query, `dim` times 16 behind `k`.
    unsafe {
        let mut sums = [[S::splat(0.0); 4]; Q];
        let whole = dim / 4 * 4;
        for d in (0..whole).step_by(4) {
            prefetch::<{ 4 * BLOCK }, _>(ahead.wrapping_add(d * BLOCK));
            for j in 0..4 {
                let k = K::load::<S>(k.add((d + j) * BLOCK));
                for i in 0..Q {
                    sums[i][j] = S::add(sums[i][j], S::mul(k, S::splat(*q[i].add(d + j))));
                }
            }
        }
        for d in whole..dim {
            let k = K::load::<S>(k.add(d * BLOCK));
            for i in 0..Q {
                sums[i][d - whole] = S::add(sums[i][d - whole], S::mul(k, S::splat(*q[i].add(d))));
            }
        }
        sums.map(|s| S::add(S::add(s[0], s[1]), S::add(s[2], s[3])))
    }
}

/// Turns scores into exponentials under their maximum; returns the inverse of their sum. `lane` is the first score's position modulo 16, so that partial sums do not
/// depend on where a window begins.
#[inline(always)]
fn softmax(scores: &mut [f32], lane: usize) -> f32 {
    let mut most = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = scores.as_chunks::<LANES>();
    for scores in whole {
        for i in 0..LANES {
            most[i] = most[i].max(scores[i]);
        }
    }
    let most = most.iter().chain(rest).fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    for score in scores.iter_mut() {
        *score = exp(*score - most);
    }
    let mut sums = [0.0f32; LANES];
    let (head, scores) = scores.split_at((LANES - lane).min(scores.len()));
    for (sum, &score) in sums[lane..].iter_mut().zip(head) {
        *sum += score;
    }
    let (whole, rest) = scores.as_chunks::<LANES>();
    for scores in whole {
        for i in 0..LANES {
            sums[i] += scores[i];
        }
    }
    for (sum, &score) in sums.iter_mut().zip(rest) {
        *sum += score;
    }
    1.0 / norm::sum(sums)
}

/// The values of one kv head of a sequence.
struct Values<'a, K: Kept> {
    side: Side<K>,
    table: &'a [i32],
    /// The head's first.
    column: usize,
}

impl<K: Kept> Values<'_, K> {
    #[inline(always)]
    unsafe fn at(&self, t: usize) -> *const K::Code {
        // SAFETY: the caller's: the sequence has position `t`, and its block is in the cache.
        unsafe { self.side.codes(*self.table.get_unchecked(t / BLOCK) as usize).add(t % BLOCK * self.side.width + self.column) }
    }

    /// `Σ weight · value` over each query's positions, in their order, for `16 D` elements from `d`.
    #[inline(always)]
    unsafe fn sum<S: Simd, const Q: usize, const D: usize>(
        &self,
        d: usize,
        weights: [*const f32; Q],
        start: [usize; Q],
        end: [usize; Q],
        inverse: [f32; Q],
        out: [*mut f32; Q],
    ) {
        // SAFETY: each query's positions are `start .. end`, for which there are weights and values.
        unsafe {
            let mut sums = [[S::splat(0.0); D]; Q];
            // Queries of later rows begin and end later: what all of them see is done together, the rest for each alone. Adding zeros for the unseen positions would
            // not do: an unwritten value may be anything.
            let (from, to) = (start[Q - 1], end[0]);
            for i in 0..Q {
                for t in start[i]..from.min(end[i]) {
                    self.add::<S, D>(t, d, *weights[i].wrapping_add(t), &mut sums[i]);
                }
            }
            for t in from..to {
                if t + AHEAD < to {
                    prefetch::<64, _>(self.at(t + AHEAD).add(d));
                }
                let v = self.at(t).add(d);
                for j in 0..D {
                    let v = K::load::<S>(v.add(j * LANES));
                    for i in 0..Q {
                        sums[i][j] = S::add(sums[i][j], S::mul(v, S::splat(*weights[i].wrapping_add(t))));
                    }
                }
            }
            for i in 0..Q {
                for t in to.max(from).max(start[i])..end[i] {
                    self.add::<S, D>(t, d, *weights[i].wrapping_add(t), &mut sums[i]);
                }
                for j in 0..D {
                    S::store(out[i].add(j * LANES), S::mul(sums[i][j], S::splat(inverse[i])));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn add<S: Simd, const D: usize>(&self, t: usize, d: usize, weight: f32, sums: &mut [S::F; D]) {
        // SAFETY: as for `sum`.
        unsafe {
            let v = self.at(t).add(d);
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum = S::add(*sum, S::mul(K::load::<S>(v.add(j * LANES)), S::splat(weight)));
            }
        }
    }

    /// The same for one element: what is left of a head that is not a multiple of 16 long.
    #[inline(always)]
    unsafe fn sum_one<const Q: usize>(
        &self,
        d: usize,
        weights: [*const f32; Q],
        start: [usize; Q],
        end: [usize; Q],
        inverse: [f32; Q],
        out: [*mut f32; Q],
    ) {
        for i in 0..Q {
            let mut sum = 0.0;
            for t in start[i]..end[i] {
                // SAFETY: as for `sum`.
                sum += unsafe { K::value(*self.at(t).add(d)) * *weights[i].wrapping_add(t) };
            }
            // SAFETY: as for `sum`.
            unsafe { *out[i] = sum * inverse[i] };
        }
    }
}
