//! Rotary position embedding.

use std::sync::{Arc, Mutex, PoisonError};

use super::pool;
use crate::RopeStyle;

/// The cosine and sine of every row's position times every frequency, both times the magnitude.
type Angles = Vec<(f32, f32)>;

/// The angles made last. All layers of a step ask for the same ones, or for two kinds (local and global layers), queries and keys alike; sines in f64 are dear.
static RECENT: Mutex<Vec<(Key, Arc<Angles>)>> = Mutex::new(Vec::new());

#[derive(PartialEq)]
struct Key {
    positions: Vec<i32>,
    /// As bits, so that any value equals itself; the magnitude last.
    frequencies: Vec<u32>,
}

fn angles(positions: &[i32], (frequencies, magnitude): (&[f32], f32)) -> Arc<Angles> {
    const KEPT: usize = 4;
    let bits = || frequencies.iter().chain([&magnitude]).map(|f| f.to_bits());
    let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = recent.iter().position(|(key, _)| key.positions == positions && key.frequencies.iter().copied().eq(bits())) {
        let found = recent.remove(at);
        let angles = found.1.clone();
        recent.push(found);
        return angles;
    }
    let mut made: Angles = vec![(0.0, 0.0); positions.len() * frequencies.len()];
    let row = |row: usize, out: &mut [(f32, f32)]| {
        for (out, &frequency) in out.iter_mut().zip(frequencies) {
            let (sin, cos) = (f64::from(positions[row]) * f64::from(frequency)).sin_cos();
            *out = (cos as f32 * magnitude, sin as f32 * magnitude);
        }
    };
    pool::for_each_slice(&mut made, frequencies.len().max(1), row);
    let made = Arc::new(made);
    if recent.len() == KEPT {
        recent.remove(0);
    }
    let key = Key { positions: positions.to_vec(), frequencies: bits().collect() };
    recent.push((key, made.clone()));
    made
}

/// Turns the heads of `x: [positions.len(), heads × head_dim]` in place by angles of these frequencies, and stretches what it turns by the magnitude.
pub(crate) fn rope(x: &mut [f32], positions: &[i32], (frequencies, magnitude): (&[f32], f32), head_dim: usize, style: RopeStyle) {
    if positions.is_empty() || frequencies.is_empty() {
        return;
    }
    let (width, pairs) = (x.len() / positions.len(), frequencies.len());
    let angles = angles(positions, (frequencies, magnitude));
    let row = |row: usize, x: &mut [f32]| {
        let angles = &angles[row * pairs..(row + 1) * pairs];
        for head in x.chunks_exact_mut(head_dim) {
            match style {
                RopeStyle::Interleaved => {
                    for ([a, b], &(cos, sin)) in head.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
                        (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
                    }
                }
                RopeStyle::Half => {
                    let (first, second) = head.split_at_mut(pairs);
                    for ((a, b), &(cos, sin)) in first.iter_mut().zip(second).zip(angles) {
                        (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
                    }
                }
            }
        }
    };
    if x.len() < 1 << 16 {
        x.chunks_exact_mut(width).enumerate().for_each(|(i, x)| row(i, x));
    } else {
        pool::for_each_slice(x, width, row);
    }
}
