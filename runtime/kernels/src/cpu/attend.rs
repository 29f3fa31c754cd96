//! Attention over the paged KV cache.
//!
//! The cache holds f16. A block of 16 positions keeps its values row by row, `[position][kv head][element]`, but its keys turned, `[kv head][element][position]`, so
//! that a vector has the same element of all 16 positions and scores need no sums across lanes.
//!
//! A row's scores, their maximum, their exponentials' sum and the weighted sum of values are taken in the order of positions (sums of exponentials by position modulo
//! 16), so that its result does not depend on which other rows share the loads.

#![allow(unsafe_code)]

use std::cell::RefCell;

use half::f16;

use super::{
    math::{exp, tanh, to_f16},
    norm, pool,
    pool::Shared,
    simd::{Kernel, LANES, Simd},
    target,
};
use crate::{AttentionShape, KvCache};

const BLOCK: usize = KvCache::BLOCK_LEN;
const _: () = assert!(BLOCK == LANES, "the kernels take a block of positions as one vector");

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
    fn table(&self, row: usize) -> &[i32] {
        let sequence = self.sequences[row] as usize;
        &self.tables[sequence * self.table_len..(sequence + 1) * self.table_len]
    }
}

/// Writes the rows' keys and values into the cache, then attends: `q: [m, heads × head_dim]` to `out` of the same shape.
///
/// # Panics
/// When a table names a block outside the cache, before anything is written.
pub(crate) fn attention(
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
    let blocks = keys.len().min(values.len()) / (BLOCK * narrow);
    for row in 0..m {
        let seen = &rows.table(row)[first(rows, row, shape) / BLOCK..=rows.positions[row] as usize / BLOCK];
        assert!(seen.iter().all(|&b| (b as usize) < blocks), "row {row} names a block outside the cache of {blocks}");
    }
    write(k, v, keys, values, rows, shape);
    attend(q, keys, values, rows, shape, out);
}

/// Writes each row's keys and values into its block.
fn write(k: &[f32], v: &[f32], keys: &mut [f16], values: &mut [f16], rows: Rows<'_>, shape: AttentionShape) {
    let width = shape.kv_heads * shape.head_dim;
    for (row, (k, v)) in k.chunks_exact(width).zip(v.chunks_exact(width)).enumerate() {
        let position = rows.positions[row] as usize;
        let block = rows.table(row)[position / BLOCK] as usize;
        let keys = &mut keys[block * BLOCK * width..(block + 1) * BLOCK * width];
        for (key, &k) in keys[position % BLOCK..].iter_mut().step_by(BLOCK).zip(k) {
            *key = to_f16(k);
        }
        let at = (block * BLOCK + position % BLOCK) * width;
        for (value, &v) in values[at..at + width].iter_mut().zip(v) {
            *value = to_f16(v);
        }
    }
}

/// Attends; `attention` has checked the arguments.
fn attend(q: &[f32], keys: &[f16], values: &[f16], rows: Rows<'_>, shape: AttentionShape, out: &mut [f32]) {
    let width = shape.heads * shape.head_dim;
    let tasks = tasks(rows, shape);
    let out = Shared(out.as_mut_ptr());
    let run = |i: usize| {
        // SAFETY: `attention` has checked the blocks; each task writes its own rows and heads of `out`.
        unsafe { target::run(Attend { q, keys, values, rows, shape, task: tasks[i], out }) };
    };
    let work: usize = rows.positions.iter().enumerate().map(|(row, &p)| p as usize + 1 - first(rows, row, shape)).sum();
    if work * width < 1 << 15 {
        (0..tasks.len()).for_each(run);
    } else {
        pool::run(tasks.len(), &run);
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
    // A few decoding rows of a model with few kv heads: pairs of queries, so that every thread has work.
    let piece = if runs.len() * shape.kv_heads < 2 * pool::threads() { 2 } else { usize::MAX };
    let mut tasks = Vec::new();
    // The last rows of a prompt see the most: the longest tasks go first.
    for &(row, count) in runs.iter().rev() {
        for kv_head in 0..shape.kv_heads {
            for from in (0..count).step_by(piece.min(count)) {
                tasks.push(Queries { kv_head, row, from, to: count.min(from.saturating_add(piece)) });
            }
        }
    }
    tasks
}

thread_local! {
    /// Scores of the queries under way on this thread.
    static SCORES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

struct Attend<'a> {
    q: &'a [f32],
    keys: &'a [f16],
    values: &'a [f16],
    rows: Rows<'a>,
    shape: AttentionShape,
    task: Queries,
    out: Shared<f32>,
}

impl Kernel for Attend<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let mut scores = SCORES.take();
        let Queries { from: mut query, to, .. } = self.task;
        while query < to {
            // SAFETY: the queries are of this task; the rest is the maker's promise.
            unsafe {
                query += match to - query {
                    4.. => self.queries::<S, 4>(query, &mut scores),
                    3 => self.queries::<S, 3>(query, &mut scores),
                    2 => self.queries::<S, 2>(query, &mut scores),
                    _ => self.queries::<S, 1>(query, &mut scores),
                };
            }
        }
        SCORES.replace(scores);
    }
}

impl Attend<'_> {
    /// Queries `query .. query + Q` of the task, counted over rows, then over the heads of the group. Returns `Q`.
    #[inline(always)]
    unsafe fn queries<S: Simd, const Q: usize>(&self, query: usize, scores: &mut Vec<f32>) -> usize {
        let shape = self.shape;
        let (dim, group) = (shape.head_dim, shape.heads / shape.kv_heads);
        let row: [usize; Q] = std::array::from_fn(|i| self.task.row + (query + i) / group);
        // Where the query's elements are, in `q` and in `out`.
        let at: [usize; Q] = std::array::from_fn(|i| (row[i] * shape.heads + self.task.kv_head * group + (query + i) % group) * dim);
        let start: [usize; Q] = std::array::from_fn(|i| first(self.rows, row[i], shape));
        let end: [usize; Q] = std::array::from_fn(|i| self.rows.positions[row[i]] as usize + 1);
        // Rows come in the order of their positions: the first query sees from the lowest position, the last one up to the highest.
        let (low, high) = (start[0] / BLOCK * BLOCK, end[Q - 1].next_multiple_of(BLOCK));
        let len = high - low;
        scores.resize(scores.len().max(Q * len), 0.0);
        let table = self.rows.table(self.task.row);
        let width = shape.kv_heads * dim;
        // A capped score is divided by the cap before the tanh.
        let scale = shape.cap.map_or(shape.scale, |cap| shape.scale / cap);

        // SAFETY: blocks up to `high` are in the table and in the cache (checked by `attention`, row by row); the queries' elements are within `q` and `out`.
        unsafe {
            let q: [*const f32; Q] = std::array::from_fn(|i| self.q.as_ptr().add(at[i]));
            for t in (low..high).step_by(BLOCK) {
                let block = table[t / BLOCK] as usize;
                let k = self.keys.as_ptr().add((block * width + self.task.kv_head * dim) * BLOCK);
                let dots = dots::<S, Q>(q, k, dim);
                for (i, &dot) in dots.iter().enumerate() {
                    S::store(scores.as_mut_ptr().add(i * len + t - low), S::mul(dot, S::splat(scale)));
                }
            }
            let inverse: [f32; Q] = std::array::from_fn(|i| {
                let scores = &mut scores[i * len + start[i] - low..i * len + end[i] - low];
                if let Some(cap) = shape.cap {
                    scores.iter_mut().for_each(|score| *score = cap * tanh(*score));
                }
                softmax(scores, start[i] % BLOCK)
            });
            let weights: [*const f32; Q] = std::array::from_fn(|i| scores.as_ptr().add(i * len).wrapping_sub(low));
            let v = Values { values: self.values.as_ptr().add(self.task.kv_head * dim), table, width };
            let mut d = 0;
            while d < dim {
                let out = at.map(|at| self.out.at(at + d));
                if dim - d >= 4 * LANES {
                    v.sum::<S, Q, 4>(d, weights, start, end, inverse, out);
                    d += 4 * LANES;
                } else if dim - d >= LANES {
                    v.sum::<S, Q, 1>(d, weights, start, end, inverse, out);
                    d += LANES;
                } else {
                    v.sum_one::<Q>(d, weights, start, end, inverse, out);
                    d += 1;
                }
            }
        }
        Q
    }
}

/// The dot products of `Q` queries with 16 keys: element `d` into partial sum `d mod 4`.
#[inline(always)]
unsafe fn dots<S: Simd, const Q: usize>(q: [*const f32; Q], k: *const f16, dim: usize) -> [S::F; Q] {
    // SAFETY: `dim` elements are behind each query, `dim` times 16 behind `k`.
    unsafe {
        let mut sums = [[S::splat(0.0); 4]; Q];
        let whole = dim / 4 * 4;
        for d in (0..whole).step_by(4) {
            for j in 0..4 {
                let k = S::load_f16(k.add((d + j) * BLOCK).cast());
                for i in 0..Q {
                    sums[i][j] = S::add(sums[i][j], S::mul(k, S::splat(*q[i].add(d + j))));
                }
            }
        }
        for d in whole..dim {
            let k = S::load_f16(k.add(d * BLOCK).cast());
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
struct Values<'a> {
    values: *const f16,
    table: &'a [i32],
    width: usize,
}

impl Values<'_> {
    #[inline(always)]
    unsafe fn at(&self, t: usize) -> *const f16 {
        // SAFETY: the caller's: the sequence has position `t`, and its block is in the cache.
        unsafe { self.values.add((*self.table.get_unchecked(t / BLOCK) as usize * BLOCK + t % BLOCK) * self.width) }
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
                let v = self.at(t).add(d);
                for j in 0..D {
                    let v = S::load_f16(v.add(j * LANES).cast());
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
                *sum = S::add(*sum, S::mul(S::load_f16(v.add(j * LANES).cast()), S::splat(weight)));
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
                sum += unsafe { super::math::from_f16(*self.at(t).add(d)) * *weights[i].wrapping_add(t) };
            }
            // SAFETY: as for `sum`.
            unsafe { *out[i] = sum * inverse[i] };
        }
    }
}
