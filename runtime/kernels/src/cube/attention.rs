//! Attention over the paged KV cache: one kernel writes the new keys and values in place, a second attends.

use burn::tensor::{DType, Shape};
use burn_cubecl::{ops::numeric::empty_device_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

use super::{contiguous, grid};
use crate::{KvCache, ops::AttentionShape};

/// Units of a cube, and positions that it scores at a time.
const UNITS: u32 = 64;
/// Below every score, and far enough from the end of f32 that differences of two such numbers are finite.
const LOWEST: f32 = -1e30;

/// The tensors that say which row is where.
pub(super) struct Places {
    pub(super) positions: CubeTensor,
    pub(super) sequences: CubeTensor,
    pub(super) tables: CubeTensor,
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
    let out = empty_device_dtype(q.client.clone(), q.device.clone(), Shape::from([m, shape.heads * shape.head_dim]), DType::F32);
    if m == 0 {
        return (out, keys, values);
    }
    let client = out.client.clone();
    let table_len = tables.meta.shape()[1] as u32;
    let width = shape.kv_heads * shape.head_dim;
    let (wide, deep) = grid((m * width).div_ceil(UNITS as usize));
    // SAFETY: the kernel leaves units past the last element idle. The engine gives each row a sequence of `tables` whose blocks lie in the cache and reach the row's
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
            (m * width) as u32,
            width as u32,
            table_len,
        );
    }
    let geometry = Geometry {
        group: (shape.heads / shape.kv_heads) as u32,
        kv_heads: shape.kv_heads as u32,
        head_dim: shape.head_dim as u32,
        heads: shape.heads as u32,
        capped: shape.cap.is_some(),
    };
    // SAFETY: as above; rows and heads are exactly the cubes of the grid.
    #[allow(unsafe_code)]
    unsafe {
        attend_kernel::launch_unchecked(
            &client,
            CubeCount::Static(shape.heads as u32, m as u32, 1),
            CubeDim::new_1d(UNITS),
            q.into_buffer_arg(),
            keys.clone().into_buffer_arg(),
            values.clone().into_buffer_arg(),
            positions.into_buffer_arg(),
            sequences.into_buffer_arg(),
            tables.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            table_len,
            shape.window.map_or(u32::MAX, |window| u32::try_from(window).unwrap_or(u32::MAX)),
            shape.cap.map_or(shape.scale, |cap| shape.scale / cap),
            shape.cap.unwrap_or_default(),
            geometry,
        );
    }
    (out, keys, values)
}

/// The constants of one attention layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Geometry {
    heads: u32,
    kv_heads: u32,
    head_dim: u32,
    /// Query heads that share a key-value head.
    group: u32,
    capped: bool,
}

const BLOCK_LEN: u32 = KvCache::BLOCK_LEN as u32;

/// The row of the cache that holds `position` of the sequence whose table begins at `table`.
#[cube]
fn cache_row(tables: &[i32], table: u32, position: u32) -> u32 {
    u32::cast_from(tables[(table + position / BLOCK_LEN) as usize]) * BLOCK_LEN + position % BLOCK_LEN
}

/// A unit writes one element of k and of v.
#[cube(launch_unchecked)]
fn write_kernel(
    k: &[f32],
    v: &[f32],
    keys: &mut [f32],
    values: &mut [f32],
    positions: &[i32],
    sequences: &[i32],
    tables: &[i32],
    elements: u32,
    width: u32,
    table_len: u32,
) {
    let element = (CUBE_POS_Z * CUBE_COUNT_X + CUBE_POS_X) * UNITS + UNIT_POS_X;
    if element < elements {
        let row = (element / width) as usize;
        let table = u32::cast_from(sequences[row]) * table_len;
        let target = cache_row(tables, table, u32::cast_from(positions[row])) * width + element % width;
        keys[target as usize] = k[element as usize];
        values[target as usize] = v[element as usize];
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

/// A cube computes one head of one row, with an online softmax (Milakov and Gimelshein, 2018) over `UNITS` positions at a time: each unit scores one position, then
/// owns some elements of the output. Where the chunks of positions begin depends on the row's position alone.
#[cube(launch_unchecked)]
fn attend_kernel(
    q: &[f32],
    keys: &[f32],
    values: &[f32],
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
    let width = comptime!(geometry.kv_heads * geometry.head_dim);
    let owned = comptime!(geometry.head_dim.div_ceil(UNITS));
    let unit = UNIT_POS_X;
    let (head, row) = (CUBE_POS_X, CUBE_POS_Y);
    let kv_start = (head / comptime!(geometry.group)) * head_dim;
    let q_start = (row * comptime!(geometry.heads) + head) * head_dim;
    let table = u32::cast_from(sequences[row as usize]) * table_len;
    let end = u32::cast_from(positions[row as usize]) + 1u32;
    let begin = end - min(end, window);

    let mut query = Shared::<[f32]>::new_slice(comptime!(geometry.head_dim as usize));
    let mut scores = Shared::<[f32]>::new_slice(comptime!(UNITS as usize));
    let mut weights = Shared::<[f32]>::new_slice(comptime!(UNITS as usize));
    let mut places = Shared::<[u32]>::new_slice(comptime!(UNITS as usize));
    let mut sums = Array::<f32>::new(comptime!(owned as usize));
    #[unroll]
    for index in 0..owned {
        sums[index as usize] = 0.0f32;
    }
    let mut element = unit;
    while element < head_dim {
        query[element as usize] = q[(q_start + element) as usize];
        element += UNITS;
    }
    sync_cube();

    let mut highest = LOWEST.runtime();
    let mut total = 0.0f32;
    let mut chunk = begin;
    while chunk < end {
        let position = chunk + unit;
        let mut score = LOWEST.runtime();
        if position < end {
            let place = cache_row(tables, table, position) * width + kv_start;
            let mut dot = 0.0f32;
            for element in 0..head_dim {
                dot = fma(query[element as usize], keys[(place + element) as usize], dot);
            }
            score = dot * scale;
            if comptime!(geometry.capped) {
                score = cap * tanh(score);
            }
            places[unit as usize] = place;
        }
        scores[unit as usize] = score;
        sync_cube();
        let here = min(UNITS, end - chunk);
        let mut top = highest;
        for other in 0..here {
            top = max(top, scores[other as usize]);
        }
        weights[unit as usize] = (score - top).exp();
        sync_cube();
        let correction = (highest - top).exp();
        total *= correction;
        #[unroll]
        for index in 0..owned {
            sums[index as usize] *= correction;
        }
        for other in 0..here {
            let weight = weights[other as usize];
            let place = places[other as usize] + unit;
            total += weight;
            #[unroll]
            for index in 0..owned {
                if unit + index * UNITS < head_dim {
                    sums[index as usize] = fma(weight, values[(place + index * UNITS) as usize], sums[index as usize]);
                }
            }
        }
        highest = top;
        chunk += UNITS;
        // The next chunk's scores must not overwrite these before every unit has read them.
        sync_cube();
    }
    #[unroll]
    for index in 0..owned {
        if unit + index * UNITS < head_dim {
            out[(q_start + unit + index * UNITS) as usize] = sums[index as usize] / total;
        }
    }
}
