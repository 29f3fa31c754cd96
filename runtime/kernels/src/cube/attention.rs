//! Attention over the paged KV cache: one kernel writes the new keys and values in place, a second attends, and where contexts are spread over cubes a third brings
//! their parts together.
//!
//! The cache holds halves, two neighbouring elements of a head a word. A context is taken in splits at fixed positions ("flash-decoding": Dao et al., 2023), each with a
//! softmax of its own, which are merged in order: by one cube after the other, or from memory when few rows would leave a GPU idle. The result is the same to the bit.

use burn::tensor::{DType, Shape};
use burn_cubecl::{ops::numeric::empty_device_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

use super::{contiguous, format::half_value, grid};
use crate::{KvCache, ops::AttentionShape};

/// Units of a cube.
const UNITS: u32 = 64;
/// Positions of a split.
const SPLIT: u32 = 128;
/// Floats of queries, and of keys, that a cube holds.
const HELD: u32 = 2048;
/// Query heads of a cube at most.
const MOST_HEADS: u32 = 8;
/// Contexts are spread while they give fewer cubes than this without, and while their parts are at most this many floats.
const ENOUGH_CUBES: usize = 512;
const MOST_PARTS: usize = 1 << 24;
/// Below every score, and far enough from the end of f32 that differences of two such numbers are finite.
const LOWEST: f32 = -1e30;

/// The tensors that say which row is where.
pub(super) struct Places {
    pub(super) positions: CubeTensor,
    pub(super) sequences: CubeTensor,
    pub(super) tables: CubeTensor,
}

/// The constants of one attention layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Geometry {
    heads: u32,
    kv_heads: u32,
    head_dim: u32,
    /// Query heads that a cube computes together: some or all that share a key-value head.
    taken: u32,
    /// Positions that a cube scores at a time, within a block.
    chunk: u32,
    capped: bool,
    /// Whether each split has a cube of its own.
    spread: bool,
}

impl Geometry {
    fn of(shape: AttentionShape) -> Self {
        assert!(shape.head_dim.is_multiple_of(2), "heads of {} elements: a GPU's cache needs an even number", shape.head_dim);
        let head_dim = shape.head_dim as u32;
        let group = (shape.heads / shape.kv_heads) as u32;
        let fits = (HELD / head_dim).clamp(1, MOST_HEADS);
        let taken = (1..=fits.min(group)).rev().find(|taken| group.is_multiple_of(*taken)).unwrap_or(1);
        // A power of two, and so a divisor of a block.
        let chunk = (HELD / head_dim.next_power_of_two()).clamp(1, BLOCK_LEN);
        let (heads, kv_heads) = (shape.heads as u32, shape.kv_heads as u32);
        Self { heads, kv_heads, head_dim, taken, chunk, capped: shape.cap.is_some(), spread: false }
    }

    /// Words of a row of the cache.
    fn width(self) -> u32 {
        self.kv_heads * self.head_dim / 2
    }

    /// Words of a head that a unit owns.
    fn owned(self) -> u32 {
        (self.head_dim / 2).div_ceil(UNITS)
    }

    /// Numbers of a part: the highest score, the sum of weights, the weighted sum of values.
    fn part(self) -> u32 {
        self.head_dim + 2
    }
}

/// See [`crate::attention`]. `keys` and `values` are written in place and handed back.
pub(super) fn attention(
    q: CubeTensor,
    k: CubeTensor,
    v: CubeTensor,
    keys: CubeTensor,
    values: CubeTensor,
    places: Places,
    shape: AttentionShape,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let (q, k, v) = (contiguous(q), contiguous(k), contiguous(v));
    let (positions, sequences, tables) = (contiguous(places.positions), contiguous(places.sequences), contiguous(places.tables));
    let m = q.meta.shape()[0];
    let empty = |shape: Shape| empty_device_dtype(q.client.clone(), q.device.clone(), shape, DType::F32);
    let out = empty(Shape::from([m, shape.heads * shape.head_dim]));
    if m == 0 {
        return (out, keys, values);
    }
    let client = out.client.clone();
    let mut geometry = Geometry::of(shape);
    let table_len = tables.meta.shape()[1];
    let words = m * geometry.width() as usize;
    let (wide, deep) = grid(words.div_ceil(UNITS as usize));
    // SAFETY: the kernel leaves units past the last word idle. The engine gives each row a sequence of `tables` whose blocks lie in the cache and reach the row's
    // position (see `Batch`), and no two rows the same place.
    #[allow(unsafe_code)]
    unsafe {
        write_kernel::launch_unchecked(
            &client,
            CubeCount::Static(wide, 1, deep),
            CubeDim::new_1d(UNITS),
            k.into_buffer_arg(),
            v.into_buffer_arg(),
            keys.clone().into_buffer_arg(),
            values.clone().into_buffer_arg(),
            positions.clone().into_buffer_arg(),
            sequences.clone().into_buffer_arg(),
            tables.clone().into_buffer_arg(),
            words as u32,
            geometry.width(),
            table_len as u32,
        );
    }
    // As many as the longest context has; a window may begin and end within one.
    let splits_of = |positions: usize| positions.div_ceil(SPLIT as usize);
    let splits = splits_of(table_len * KvCache::BLOCK_LEN).min(shape.window.map_or(usize::MAX, |window| splits_of(window) + 1));
    let cubes = shape.heads / geometry.taken as usize;
    let parts = m * shape.heads * splits * geometry.part() as usize;
    geometry.spread = splits > 1 && m * cubes < ENOUGH_CUBES && parts <= MOST_PARTS;
    let target = if geometry.spread { empty(Shape::from([parts])) } else { out.clone() };
    let window = shape.window.map_or(u32::MAX, |window| u32::try_from(window).unwrap_or(u32::MAX));
    // SAFETY: as above; rows, and the sets of heads of a cube, are exactly the cubes of the grid, and each split of a row has its part.
    #[allow(unsafe_code)]
    unsafe {
        attend_kernel::launch_unchecked(
            &client,
            CubeCount::Static(cubes as u32, m as u32, if geometry.spread { splits as u32 } else { 1 }),
            CubeDim::new_1d(UNITS),
            q.clone().into_buffer_arg(),
            keys.clone().into_buffer_arg(),
            values.clone().into_buffer_arg(),
            positions.clone().into_buffer_arg(),
            sequences.into_buffer_arg(),
            tables.into_buffer_arg(),
            target.clone().into_buffer_arg(),
            table_len as u32,
            window,
            shape.cap.map_or(shape.scale, |cap| shape.scale / cap),
            shape.cap.unwrap_or_default(),
            geometry,
        );
        if geometry.spread {
            merge_kernel::launch_unchecked(
                &client,
                CubeCount::Static(shape.heads as u32, m as u32, 1),
                CubeDim::new_1d(UNITS),
                target.into_buffer_arg(),
                positions.into_buffer_arg(),
                out.clone().into_buffer_arg(),
                splits as u32,
                window,
                geometry,
            );
        }
    }
    (out, keys, values)
}

const BLOCK_LEN: u32 = KvCache::BLOCK_LEN as u32;

/// The row of the cache that holds `position` of the sequence whose table begins at `table`.
#[cube]
fn cache_row(tables: &[i32], table: u32, position: u32) -> u32 {
    u32::cast_from(tables[(table + position / BLOCK_LEN) as usize]) * BLOCK_LEN + position % BLOCK_LEN
}

/// The nearest half's bits, ties to even; what is beyond a half's range becomes its largest, so that a cache never holds an infinity.
#[cube]
fn half_of(x: f32) -> u32 {
    let magnitude = min(x.abs(), 65504.0f32);
    let bits = u32::reinterpret(magnitude);
    let normal = ((bits + 0xfffu32 + ((bits >> 13u32) & 1u32)) >> 13u32) - 0x1c000u32;
    // Added to a half, a subnormal is rounded to the last place of the half's mantissa.
    let subnormal = u32::reinterpret(magnitude + 0.5f32) - 0x3f00_0000u32;
    select(magnitude < 6.103_515_6e-5f32, subnormal, normal) | ((u32::reinterpret(x) >> 16u32) & 0x8000u32)
}

/// A unit writes one word of keys and of values.
#[cube(launch_unchecked)]
fn write_kernel(
    k: &[f32],
    v: &[f32],
    keys: &mut [u32],
    values: &mut [u32],
    positions: &[i32],
    sequences: &[i32],
    tables: &[i32],
    words: u32,
    width: u32,
    table_len: u32,
) {
    let word = (CUBE_POS_Z * CUBE_COUNT_X + CUBE_POS_X) * UNITS + UNIT_POS_X;
    if word < words {
        let row = (word / width) as usize;
        let table = u32::cast_from(sequences[row]) * table_len;
        let target = (cache_row(tables, table, u32::cast_from(positions[row])) * width + word % width) as usize;
        let (low, high) = ((2u32 * word) as usize, (2u32 * word + 1u32) as usize);
        keys[target] = half_of(k[low]) | (half_of(k[high]) << 16u32);
        values[target] = half_of(v[low]) | (half_of(v[high]) << 16u32);
    }
}

/// tanh as the CPU's kernels compute it (`cpu/math.rs`); a shader's own overflows on some drivers.
#[cube]
fn tanh(x: f32) -> f32 {
    let z = x * x;
    let polynomial = ((-5.704_988_7e-3f32 * z + 2.063_909e-2f32) * z - 5.373_971_6e-2f32) * z + 1.333_144_2e-1f32;
    let near = (polynomial * z - 3.333_328e-1f32) * z * x + x;
    // Beyond 10, tanh is 1 in f32.
    let magnitude = x.abs();
    let far = 1.0f32 - 2.0f32 / ((2.0f32 * min(magnitude, 10.0f32)).exp() + 1.0f32);
    select(magnitude < 0.625f32, near, select(x < 0.0f32, -far, far))
}

/// A cube computes some heads of one row, over one split of its context or over all of them in order. Within a split it goes on with an online softmax (Milakov and
/// Gimelshein, 2018), `chunk` positions at a time: keys are brought into the cube's memory, each unit scores a position for a head, then owns some elements of the
/// output. Splits and chunks begin at fixed positions.
#[cube(launch_unchecked)]
fn attend_kernel(
    q: &[f32],
    keys: &[u32],
    values: &[u32],
    positions: &[i32],
    sequences: &[i32],
    tables: &[i32],
    out: &mut [f32],
    table_len: u32,
    window: u32,
    scale: f32,
    cap: f32,
    #[comptime] geometry: Geometry,
) {
    let head_dim = comptime!(geometry.head_dim);
    let words = comptime!(geometry.head_dim / 2);
    let width = comptime!(geometry.width());
    let owned = comptime!(geometry.owned());
    let taken = comptime!(geometry.taken);
    let chunk = comptime!(geometry.chunk);
    // From one position's keys to the next one's: an odd number, so that units read different banks of the cube's memory.
    let stride = comptime!(geometry.head_dim + 1);
    let unit = UNIT_POS_X;
    let row = CUBE_POS_Y;
    let head = CUBE_POS_X * taken;
    let kv_start = head / comptime!(geometry.heads / geometry.kv_heads) * words;
    let table = u32::cast_from(sequences[row as usize]) * table_len;
    let end = u32::cast_from(positions[row as usize]) + 1u32;
    let begin = end - min(end, window);

    let mut query = Shared::<[f32]>::new_slice(comptime!((geometry.taken * geometry.head_dim) as usize));
    let mut held = Shared::<[f32]>::new_slice(comptime!((geometry.chunk * (geometry.head_dim + 1)) as usize));
    let mut scores = Shared::<[f32]>::new_slice(comptime!((geometry.taken * geometry.chunk) as usize));
    let mut weights = Shared::<[f32]>::new_slice(comptime!((geometry.taken * geometry.chunk) as usize));
    // Of this split, by head: the highest score, the sum of weights, and of each owned word the two elements.
    let mut highest = Array::<f32>::new(comptime!(geometry.taken as usize));
    let mut total = Array::<f32>::new(comptime!(geometry.taken as usize));
    let mut sums = Array::<f32>::new(comptime!((geometry.taken * geometry.owned() * 2) as usize));
    // Of this chunk: what the split's sums so far are to be multiplied by, and the chunk's; and the sums of even and odd elements.
    let mut corrections = Array::<f32>::new(comptime!(geometry.taken as usize));
    let mut shares = Array::<f32>::new(comptime!(geometry.taken as usize));
    let mut even = Array::<f32>::new(comptime!(geometry.taken as usize));
    let mut odd = Array::<f32>::new(comptime!(geometry.taken as usize));
    // As of this split, of the splits before it.
    let mut all_highest = Array::<f32>::new(comptime!(geometry.taken as usize));
    let mut all_total = Array::<f32>::new(comptime!(geometry.taken as usize));
    let mut all_sums = Array::<f32>::new(comptime!((geometry.taken * geometry.owned() * 2) as usize));
    #[unroll]
    for index in 0..taken {
        all_highest[index as usize] = LOWEST.runtime();
        all_total[index as usize] = 0.0f32;
    }
    #[unroll]
    for index in 0..comptime!(geometry.taken * geometry.owned() * 2) {
        all_sums[index as usize] = 0.0f32;
    }
    let mut element = unit;
    while element < comptime!(geometry.taken * geometry.head_dim) {
        query[element as usize] = q[((row * comptime!(geometry.heads) + head) * head_dim + element) as usize];
        element += UNITS;
    }
    sync_cube();

    let mut split = begin / SPLIT;
    let mut last = (end - 1u32) / SPLIT + 1u32;
    if comptime!(geometry.spread) {
        split += CUBE_POS_Z;
        last = min(last, split + 1u32);
    }
    while split < last {
        #[unroll]
        for index in 0..taken {
            highest[index as usize] = LOWEST.runtime();
            total[index as usize] = 0.0f32;
        }
        #[unroll]
        for index in 0..comptime!(geometry.taken * geometry.owned() * 2) {
            sums[index as usize] = 0.0f32;
        }
        let from = max(begin, split * SPLIT);
        let to = min(end, (split + 1u32) * SPLIT);
        let mut start = from - from % chunk;
        while start < to {
            // The chunk's positions that are seen, all in one block.
            let first = max(from, start) - start;
            let here = min(to - start, chunk);
            let place = cache_row(tables, table, start) * width + kv_start;
            let mut index = unit;
            while index < here * words {
                let (position, word) = (index / words, index % words);
                let pair = keys[(place + position * width + word) as usize];
                let target = position * stride + 2u32 * word;
                held[target as usize] = half_value(pair & 0xffffu32);
                held[(target + 1u32) as usize] = half_value(pair >> 16u32);
                index += UNITS;
            }
            sync_cube();
            let mut index = unit;
            while index < comptime!(geometry.taken * geometry.chunk) {
                let (of, position) = (index / chunk, index % chunk);
                let mut score = LOWEST.runtime();
                if position >= first && position < here {
                    // Two sums, so that one need not wait for the other.
                    let mut first_sum = 0.0f32;
                    let mut second_sum = 0.0f32;
                    for word in 0..words {
                        let at = (of * head_dim + 2u32 * word) as usize;
                        let key = (position * stride + 2u32 * word) as usize;
                        first_sum = fma(query[at], held[key], first_sum);
                        second_sum = fma(query[at + 1], held[key + 1], second_sum);
                    }
                    score = (first_sum + second_sum) * scale;
                    if comptime!(geometry.capped) {
                        score = cap * tanh(score);
                    }
                }
                scores[index as usize] = score;
                index += UNITS;
            }
            sync_cube();
            let mut index = unit;
            while index < comptime!(geometry.taken * geometry.chunk) {
                let of = index / chunk;
                let mut top = LOWEST.runtime();
                for position in 0..chunk {
                    top = max(top, scores[(of * chunk + position) as usize]);
                }
                // Weights beside the chunk's own highest score; what that is beside the split's is the same for all.
                weights[index as usize] = (scores[index as usize] - top).exp();
                index += UNITS;
            }
            sync_cube();
            #[unroll]
            for of in 0..taken {
                let mut top = LOWEST.runtime();
                for position in 0..chunk {
                    top = max(top, scores[(of * chunk + position) as usize]);
                }
                let above = max(top, highest[of as usize]);
                corrections[of as usize] = (highest[of as usize] - above).exp();
                shares[of as usize] = (top - above).exp();
                highest[of as usize] = above;
                let mut sum = 0.0f32;
                for position in first..here {
                    sum += weights[(of * chunk + position) as usize];
                }
                total[of as usize] = fma(sum, shares[of as usize], total[of as usize] * corrections[of as usize]);
            }
            #[unroll]
            for part in 0..owned {
                let word = unit + part * UNITS;
                if word < words {
                    #[unroll]
                    for of in 0..taken {
                        even[of as usize] = 0.0f32;
                        odd[of as usize] = 0.0f32;
                    }
                    for position in first..here {
                        let pair = values[(place + position * width + word) as usize];
                        let low = half_value(pair & 0xffffu32);
                        let high = half_value(pair >> 16u32);
                        #[unroll]
                        for of in 0..taken {
                            let weight = weights[(of * chunk + position) as usize];
                            even[of as usize] = fma(weight, low, even[of as usize]);
                            odd[of as usize] = fma(weight, high, odd[of as usize]);
                        }
                    }
                    #[unroll]
                    for of in 0..taken {
                        let at = comptime!(((of * owned + part) * 2) as usize);
                        sums[at] = fma(even[of as usize], shares[of as usize], sums[at] * corrections[of as usize]);
                        sums[at + 1] = fma(odd[of as usize], shares[of as usize], sums[at + 1] * corrections[of as usize]);
                    }
                }
            }
            start += chunk;
            // The next chunk must not overwrite this one before every unit has read it.
            sync_cube();
        }
        #[unroll]
        for of in 0..taken {
            if comptime!(geometry.spread) {
                let part = ((row * comptime!(geometry.heads) + head + of) * CUBE_COUNT_Z + CUBE_POS_Z) * comptime!(geometry.part());
                if unit == 0u32 {
                    out[part as usize] = highest[of as usize];
                    out[(part + 1u32) as usize] = total[of as usize];
                }
                #[unroll]
                for index in 0..owned {
                    let word = unit + index * UNITS;
                    if word < words {
                        let at = comptime!(((of * owned + index) * 2) as usize);
                        out[(part + 2u32 + 2u32 * word) as usize] = sums[at];
                        out[(part + 3u32 + 2u32 * word) as usize] = sums[at + 1];
                    }
                }
            } else {
                let above = max(highest[of as usize], all_highest[of as usize]);
                let correction = (all_highest[of as usize] - above).exp();
                let share = (highest[of as usize] - above).exp();
                all_total[of as usize] = fma(total[of as usize], share, all_total[of as usize] * correction);
                #[unroll]
                for index in 0..comptime!(geometry.owned() * 2) {
                    let at = comptime!((of * geometry.owned() * 2 + index) as usize);
                    all_sums[at] = fma(sums[at], share, all_sums[at] * correction);
                }
                all_highest[of as usize] = above;
            }
        }
        split += 1u32;
    }
    if comptime!(!geometry.spread) {
        #[unroll]
        for of in 0..taken {
            let target = (row * comptime!(geometry.heads) + head + of) * head_dim;
            #[unroll]
            for index in 0..owned {
                let word = unit + index * UNITS;
                if word < words {
                    let at = comptime!(((of * owned + index) * 2) as usize);
                    out[(target + 2u32 * word) as usize] = all_sums[at] / all_total[of as usize];
                    out[(target + 2u32 * word + 1u32) as usize] = all_sums[at + 1] / all_total[of as usize];
                }
            }
        }
    }
}

/// A cube merges the splits of one head of one row, as [`attend_kernel`] does it without this.
#[cube(launch_unchecked)]
fn merge_kernel(parts: &[f32], positions: &[i32], out: &mut [f32], splits: u32, window: u32, #[comptime] geometry: Geometry) {
    let head_dim = comptime!(geometry.head_dim);
    let head_of_row = CUBE_POS_Y * comptime!(geometry.heads) + CUBE_POS_X;
    let end = u32::cast_from(positions[CUBE_POS_Y as usize]) + 1u32;
    let begin = end - min(end, window);
    let count = (end - 1u32) / SPLIT + 1u32 - begin / SPLIT;
    let mut element = UNIT_POS_X;
    while element < head_dim {
        let mut highest = LOWEST.runtime();
        let mut total = 0.0f32;
        let mut sum = 0.0f32;
        for split in 0..count {
            let part = (head_of_row * splits + split) * comptime!(geometry.part());
            let above = max(parts[part as usize], highest);
            let correction = (highest - above).exp();
            let share = (parts[part as usize] - above).exp();
            total = fma(parts[(part + 1u32) as usize], share, total * correction);
            sum = fma(parts[(part + 2u32 + element) as usize], share, sum * correction);
            highest = above;
        }
        out[(head_of_row * head_dim + element) as usize] = sum / total;
        element += UNITS;
    }
}
