//! The quantized matrix product and the embedding lookup, which dequantize what they read.

use burn::tensor::{DType, Shape};
use burn_cubecl::{ops::numeric::empty_device_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

use super::{
    contiguous,
    format::{Format, Kind, element},
    grid,
};
use crate::linear::PackedShape;

/// Units that share an output feature. They read neighbouring words.
const LANES: u32 = 16;
/// Output features that a unit computes side by side, so that each element of `x` is read once for all of them.
const SIDE: u32 = 4;
/// Units along the output features, and features of a cube.
const TALL: u32 = 4;
const FEATURES: u32 = TALL * SIDE;
/// Rows of `x` that one pass over the weights serves, for few rows and for many.
const FEW: u32 = 1;
const MANY: u32 = 8;

/// `[m, columns] → [m, rows]`; see [`crate::Linear::forward`].
pub(super) fn linear(x: CubeTensor, codes: CubeTensor, scales: CubeTensor, mins: CubeTensor, shape: PackedShape) -> CubeTensor {
    let x = contiguous(x);
    let m = x.meta.shape()[0];
    let out = empty_device_dtype(x.client.clone(), x.device.clone(), Shape::from([m, shape.rows]), DType::F32);
    if m == 0 || shape.rows == 0 {
        return out;
    }
    let format = Format::of(shape.ty);
    let tile = if m == 1 { FEW } else { MANY };
    let (wide, deep) = grid(shape.rows.div_ceil(FEATURES as usize));
    let tiles = u32::try_from(m).expect("rows of a step fit u32").div_ceil(tile);
    // SAFETY: the kernel leaves units of features at or past `rows` and of rows at or past `m` idle; codes, scales and minimums have the lengths that `pack`
    // gives a weight of this shape.
    #[allow(unsafe_code)]
    unsafe {
        linear_kernel::launch_unchecked(
            &out.client.clone(),
            CubeCount::Static(wide, tiles, deep),
            CubeDim::new_2d(LANES, TALL),
            x.into_buffer_arg(),
            codes.into_buffer_arg(),
            scales.into_buffer_arg(),
            mins.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            m as u32,
            shape.rows as u32,
            shape.columns as u32,
            format,
            tile,
        );
    }
    out
}

/// A cube computes `FEATURES` outputs of `tile` rows. Each lane takes every `LANES`-th word of its features' weights; the lanes' sums meet in shared memory and are
/// added in order. Every product is an explicit `fma`, so that compilers have no freedom to round the variants of this kernel differently.
#[cube(launch_unchecked)]
fn linear_kernel(
    x: &[f32],
    codes: &[u32],
    scales: &[f32],
    mins: &[f32],
    out: &mut [f32],
    m: u32,
    rows: u32,
    columns: u32,
    #[comptime] format: Format,
    #[comptime] tile: u32,
) {
    let word_len = comptime!(format.word_len());
    let quantized = comptime!(format.kind == Kind::Quantized);
    let count = comptime!((SIDE * tile) as usize);
    let lane = UNIT_POS_X;
    let feature = (CUBE_POS_Z * CUBE_COUNT_X + CUBE_POS_X) * FEATURES + UNIT_POS_Y * SIDE;
    let first = CUBE_POS_Y * tile;
    let words = columns.div_ceil(word_len);

    // Features and rows past the last read the last again, and are not written.
    let mut starts = Array::<u32>::new(comptime!(tile as usize));
    #[unroll]
    for row in 0..tile {
        starts[row as usize] = min(first + row, m - 1u32) * columns;
    }
    let mut bases = Array::<u32>::new(comptime!(SIDE as usize));
    #[unroll]
    for side in 0..SIDE {
        bases[side as usize] = min(feature + side, rows - 1u32) * words;
    }
    // Of feature `side` and row `row` at `side * tile + row`: what is summed so far, and of this word.
    let mut sums = Array::<f32>::new(count);
    let mut parts = Array::<f32>::new(count);
    #[unroll]
    for index in 0..count {
        sums[index] = 0.0f32;
    }
    // One element of each row of `x`, and each row's total over this word.
    let mut values = Array::<f32>::new(comptime!(tile as usize));
    let mut totals = Array::<f32>::new(comptime!(tile as usize));
    let mut loaded = Array::<u32>::new(comptime!(SIDE as usize));

    let mut word = lane;
    while word < words {
        #[unroll]
        for side in 0..SIDE {
            loaded[side as usize] = codes[(bases[side as usize] + word) as usize];
        }
        #[unroll]
        for row in 0..tile {
            totals[row as usize] = 0.0f32;
        }
        #[unroll]
        for index in 0..count {
            parts[index] = 0.0f32;
        }
        #[unroll]
        for index in 0..word_len {
            let column = word * word_len + index;
            #[unroll]
            for row in 0..tile {
                if quantized {
                    values[row as usize] = x[(starts[row as usize] + column) as usize];
                } else {
                    // The last word of a row may be partly filled.
                    let value = x[(starts[row as usize] + min(column, columns - 1u32)) as usize];
                    values[row as usize] = select(column < columns, value, 0.0f32);
                }
                if comptime!(format.mins) {
                    totals[row as usize] += values[row as usize];
                }
            }
            #[unroll]
            for side in 0..SIDE {
                let weight = element(loaded[side as usize], index, format);
                #[unroll]
                for row in 0..tile {
                    let at = comptime!((side * tile + row) as usize);
                    parts[at] = fma(weight, values[row as usize], parts[at]);
                }
            }
        }
        #[unroll]
        for side in 0..SIDE {
            #[unroll]
            for row in 0..tile {
                let at = comptime!((side * tile + row) as usize);
                if quantized {
                    let group = ((bases[side as usize] + word) / comptime!(format.group_words)) as usize;
                    sums[at] = fma(scales[group], parts[at], sums[at]);
                    if comptime!(format.mins) {
                        sums[at] = fma(-mins[group], totals[row as usize], sums[at]);
                    }
                } else {
                    sums[at] += parts[at];
                }
            }
        }
        word += LANES;
    }

    let mut shared = Shared::<[f32]>::new_slice(comptime!((LANES * TALL * SIDE * tile) as usize));
    #[unroll]
    for index in 0..count {
        shared[(UNIT_POS_Y * LANES + lane) as usize * count + index] = sums[index];
    }
    sync_cube();
    // The lanes share out the sums to add up.
    let mut index = lane;
    while index < comptime!(SIDE * tile) {
        let (side, row) = (index / tile, index % tile);
        if feature + side < rows && first + row < m {
            let mut sum = 0.0f32;
            for other in 0..LANES {
                sum += shared[(UNIT_POS_Y * LANES + other) as usize * count + index as usize];
            }
            out[((first + row) * rows + feature + side) as usize] = sum;
        }
        index += LANES;
    }
}

/// `ids: [n] → [n, columns]`; see [`crate::Linear::embed`].
pub(super) fn embed(ids: CubeTensor, codes: CubeTensor, scales: CubeTensor, mins: CubeTensor, shape: PackedShape) -> CubeTensor {
    let ids = contiguous(ids);
    let n = ids.meta.shape()[0];
    let out = empty_device_dtype(ids.client.clone(), ids.device.clone(), Shape::from([n, shape.columns]), DType::F32);
    let format = Format::of(shape.ty);
    let words = n * format.row_words(shape.columns);
    if words == 0 {
        return out;
    }
    let (wide, deep) = grid(words.div_ceil(UNITS as usize));
    // SAFETY: the kernel leaves units past the last word idle and clamps ids to the weight's rows.
    #[allow(unsafe_code)]
    unsafe {
        embed_kernel::launch_unchecked(
            &out.client.clone(),
            CubeCount::Static(wide, 1, deep),
            CubeDim::new_1d(UNITS),
            ids.into_buffer_arg(),
            codes.into_buffer_arg(),
            scales.into_buffer_arg(),
            mins.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            n as u32,
            shape.rows as u32,
            shape.columns as u32,
            format,
        );
    }
    out
}

/// Units of a cube of the embedding kernel.
const UNITS: u32 = 64;

/// A unit dequantizes one word.
#[cube(launch_unchecked)]
fn embed_kernel(
    ids: &[i32],
    codes: &[u32],
    scales: &[f32],
    mins: &[f32],
    out: &mut [f32],
    n: u32,
    rows: u32,
    columns: u32,
    #[comptime] format: Format,
) {
    let word_len = comptime!(format.word_len());
    let words = columns.div_ceil(word_len);
    let position = (CUBE_POS_Z * CUBE_COUNT_X + CUBE_POS_X) * UNITS + UNIT_POS_X;
    if position < n * words {
        let index = position / words;
        let column = (position % words) * word_len;
        let row = min(u32::cast_from(ids[index as usize]), rows - 1u32);
        let source = row * words + position % words;
        let word = codes[source as usize];
        #[unroll]
        for offset in 0..word_len {
            let weight = element(word, offset, format);
            let target = (index * columns + column + offset) as usize;
            if comptime!(format.kind == Kind::Quantized) {
                let group = (source / comptime!(format.group_words)) as usize;
                if comptime!(format.mins) {
                    out[target] = weight * scales[group] - mins[group];
                } else {
                    out[target] = weight * scales[group];
                }
            } else if column + offset < columns {
                out[target] = weight;
            }
        }
    }
}
