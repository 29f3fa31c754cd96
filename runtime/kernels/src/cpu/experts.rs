//! A mixture of experts: the choice for each row, the product of the rows with their experts' weights, and the mixture of the results.

use super::{
    math::exp,
    pool,
    product::{self, Place, Span, Weight},
    tile::ROWS,
};
use crate::experts::ExpertRange;

/// Below this many elements a job is not worth other threads.
const SMALL: usize = 1 << 14;

/// See [`crate::ops::KernelOps::experts`]. The rows are sorted by expert, so that each expert's tiles are read once for all of its rows.
pub(crate) fn products(weight: Weight<'_>, experts: ExpertRange, x: &[f32], ids: &[i32]) -> Vec<f32> {
    let Weight { rows, columns, .. } = weight;
    if ids.is_empty() {
        return Vec::new();
    }
    // The CPU has a stack in one part.
    if let Some(id) = ids.iter().find(|&&id| id < 0 || id as usize >= experts.count) {
        panic!("expert {id} of {}", experts.count);
    }
    let each = ids.len() / (x.len() / columns);
    let mut sorted: Vec<usize> = (0..ids.len()).collect();
    sorted.sort_by_key(|&at| ids[at]);
    let places: Vec<Place> = sorted.iter().map(|&at| Place { from: at / each, to: at }).collect();
    let spans: Vec<Span<'_>> = places
        .chunk_by(|a, b| ids[a.to] == ids[b.to])
        .map(|places| Span { tile: ids[places[0].to] as usize * rows.div_ceil(ROWS), places })
        .collect();
    product::spans(weight, x, &spans)
}

/// See [`crate::Routes::new`].
pub(crate) fn route(logits: &[f32], experts: usize, used: usize) -> (Vec<i32>, Vec<f32>) {
    let rows = logits.len() / experts;
    let (mut ids, mut weights) = (Vec::with_capacity(rows * used), Vec::with_capacity(rows * used));
    let mut order: Vec<usize> = Vec::with_capacity(experts);
    for logits in logits.chunks_exact(experts) {
        order.clear();
        order.extend(0..experts);
        // Stable: the lower number comes first among equals.
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        let chosen = &order[..used];
        let begin = weights.len();
        weights.extend(chosen.iter().map(|&expert| exp(logits[expert] - logits[chosen[0]])));
        let total: f32 = weights[begin..].iter().sum();
        weights[begin..].iter_mut().for_each(|weight| *weight /= total);
        ids.extend(chosen.iter().map(|&expert| expert as i32));
    }
    (ids, weights)
}

/// See [`crate::Routes::mix`].
pub(crate) fn mix(x: &[f32], weights: &[f32], used: usize, columns: usize, out: &mut [f32]) {
    let row = |row: usize, out: &mut [f32]| {
        for at in row * used..(row + 1) * used {
            for (out, x) in out.iter_mut().zip(&x[at * columns..(at + 1) * columns]) {
                *out += weights[at] * x;
            }
        }
    };
    if x.len() < SMALL {
        out.chunks_exact_mut(columns).enumerate().for_each(|(at, out)| row(at, out));
    } else {
        pool::for_each_slice(out, columns, row);
    }
}
