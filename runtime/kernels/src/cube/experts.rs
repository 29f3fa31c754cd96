//! A mixture of experts, without a word to the host: the choice for each row, the product with the chosen weights, and the mixture of the results.

use burn::tensor::{DType, Shape};
use burn_cubecl::{ops::numeric::empty_device_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

use super::{
    contiguous,
    format::{Format, Kind, element, min_of, scale_of},
    grid,
};
use crate::{experts::ExpertRange, linear::PackedShape};

/// Units that share an output feature. They read neighbouring words.
const LANES: u32 = 16;
/// Output features of a cube.
const TALL: u32 = 8;
/// Units of a cube of the other kernels.
const UNITS: u32 = 64;

/// See [`crate::ops::KernelOps::experts`].
pub(super) fn products(
    x: CubeTensor,
    ids: CubeTensor,
    [codes, scales, factors]: [CubeTensor; 3],
    experts: ExpertRange,
    shape: PackedShape,
) -> CubeTensor {
    let (x, ids) = (contiguous(x), contiguous(ids));
    let count = ids.meta.num_elements();
    let out = empty_device_dtype(x.client.clone(), x.device.clone(), Shape::from([count, shape.rows]), DType::F32);
    if count == 0 || shape.rows == 0 {
        return out;
    }
    let each = count / x.meta.shape()[0];
    assert!(count <= 65535, "{count} rows of experts are more than a grid has along an axis");
    let format = Format::of(shape.ty);
    let (wide, deep) = grid(shape.rows.div_ceil(TALL as usize));
    // SAFETY: the kernel leaves units of features at or past `rows` idle and reads nothing for experts outside the range; codes, scales and factors have the lengths
    // that `pack` gives a weight of `experts.count` times this shape's rows.
    #[allow(unsafe_code)]
    unsafe {
        products_kernel::launch_unchecked(
            &out.client.clone(),
            CubeCount::Static(wide, count as u32, deep),
            CubeDim::new_2d(LANES, TALL),
            x.into_buffer_arg(),
            ids.into_buffer_arg(),
            codes.into_buffer_arg(),
            scales.into_buffer_arg(),
            factors.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            shape.rows as u32,
            shape.columns as u32,
            each as u32,
            experts.first as u32,
            experts.count as u32,
            format.row_words(shape.columns) as u32,
            format,
        );
    }
    out
}

/// A cube computes `TALL` outputs of one row with one expert. Each lane takes every `LANES`-th word of its feature's weight; the lanes' sums meet in shared memory and
/// are added in order.
#[cube(launch_unchecked)]
fn products_kernel(
    x: &[f32],
    ids: &[i32],
    codes: &[u32],
    scales: &[u32],
    factors: &[u32],
    out: &mut [f32],
    rows: u32,
    columns: u32,
    each: u32,
    first: u32,
    count: u32,
    words: u32,
    #[comptime] format: Format,
) {
    let word_len = comptime!(format.word_len());
    let quantized = comptime!(format.kind == Kind::Quantized);
    let lane = UNIT_POS_X;
    let row = CUBE_POS_Y;
    let feature = (CUBE_POS_Z * CUBE_COUNT_X + CUBE_POS_X) * TALL + UNIT_POS_Y;
    // One before the first becomes larger than any.
    let expert = u32::cast_from(ids[row as usize]) - first;
    let base = (min(expert, count - 1u32) * rows + min(feature, rows - 1u32)) * words;
    let start = row / each * columns;
    let end = select(expert < count, words, 0u32);

    let mut sum = 0.0f32;
    let mut word = lane;
    while word < end {
        let loaded = codes[(base + word) as usize];
        let mut part = 0.0f32;
        let mut total = 0.0f32;
        #[unroll]
        for index in 0..word_len {
            let column = word * word_len + index;
            let mut value = x[(start + min(column, columns - 1u32)) as usize];
            if comptime!(!quantized) {
                // A row is padded to whole vectors of words.
                value = select(column < columns, value, 0.0f32);
            }
            if comptime!(format.mins) {
                total += value;
            }
            part = fma(element(loaded, index, format), value, part);
        }
        if quantized {
            sum = fma(scale_of(scales, factors, base + word, format), part, sum);
            if comptime!(format.mins) {
                sum = fma(-min_of(scales, factors, base + word, format), total, sum);
            }
        } else {
            sum += part;
        }
        word += LANES;
    }

    let mut shared = Shared::<[f32]>::new_slice(comptime!((LANES * TALL) as usize));
    shared[(UNIT_POS_Y * LANES + lane) as usize] = sum;
    sync_cube();
    if lane == 0u32 && feature < rows {
        let mut sum = 0.0f32;
        for other in 0..LANES {
            sum += shared[(UNIT_POS_Y * LANES + other) as usize];
        }
        out[(row * rows + feature) as usize] = sum;
    }
}

/// See [`crate::Routes::new`].
pub(super) fn route(logits: CubeTensor, used: usize) -> (CubeTensor, CubeTensor) {
    let logits = contiguous(logits);
    let (rows, experts) = (logits.meta.shape()[0], logits.meta.shape()[1]);
    let empty = |dtype| empty_device_dtype(logits.client.clone(), logits.device.clone(), Shape::from([rows, used]), dtype);
    let (ids, weights) = (empty(DType::I32), empty(DType::F32));
    if rows == 0 {
        return (ids, weights);
    }
    let (wide, deep) = grid(rows);
    // SAFETY: cubes past the last row do the last row's work again, and `used` is at most `experts`.
    #[allow(unsafe_code)]
    unsafe {
        route_kernel::launch_unchecked(
            &logits.client.clone(),
            CubeCount::Static(wide, 1, deep),
            CubeDim::new_1d(UNITS),
            logits.into_buffer_arg(),
            ids.clone().into_buffer_arg(),
            weights.clone().into_buffer_arg(),
            rows as u32,
            experts as u32,
            used as u32,
        );
    }
    (ids, weights)
}

/// Whether a logit at place `index` comes after one at `other_index` in the order of choice.
#[cube]
fn comes_after(logit: f32, index: u32, other: f32, other_index: u32) -> bool {
    logit < other || (logit == other && index > other_index)
}

/// A cube chooses for one row, one expert after the other: the first in order of those that come after the last one.
#[cube(launch_unchecked)]
fn route_kernel(logits: &[f32], ids: &mut [i32], weights: &mut [f32], rows: u32, experts: u32, used: u32) {
    let unit = UNIT_POS_X;
    let row = min(CUBE_POS_Z * CUBE_COUNT_X + CUBE_POS_X, rows - 1u32);
    let mut bests = Shared::<[f32]>::new_slice(comptime!(UNITS as usize));
    let mut places = Shared::<[u32]>::new_slice(comptime!(UNITS as usize));
    let mut top = 0.0f32;
    let mut total = 0.0f32;
    let mut last = 0.0f32;
    let mut last_place = 0u32;
    for choice in 0..used {
        // The best of this unit's experts; `experts` is no place.
        let mut best = 0.0f32;
        let mut place = experts;
        let mut index = unit;
        while index < experts {
            let logit = logits[(row * experts + index) as usize];
            let is_free = choice == 0u32 || comes_after(logit, index, last, last_place);
            if is_free && (place == experts || logit > best) {
                best = logit;
                place = index;
            }
            index += UNITS;
        }
        bests[unit as usize] = best;
        places[unit as usize] = place;
        sync_cube();
        // Every unit looks at all of them.
        last = bests[0];
        last_place = places[0];
        for other in 1..UNITS {
            let (logit, index) = (bests[other as usize], places[other as usize]);
            if index < experts && (last_place == experts || comes_after(last, last_place, logit, index)) {
                last = logit;
                last_place = index;
            }
        }
        if choice == 0u32 {
            top = last;
        }
        let weight = (last - top).exp();
        total += weight;
        if unit == 0u32 {
            let at = (row * used + choice) as usize;
            // Where logits aren't numbers, there may be none left to choose.
            ids[at] = i32::cast_from(min(last_place, experts - 1u32));
            weights[at] = weight;
        }
        // The next choice must not overwrite these before every unit has read them.
        sync_cube();
    }
    if unit == 0u32 {
        for choice in 0..used {
            let at = (row * used + choice) as usize;
            weights[at] /= total;
        }
    }
}

/// See [`crate::Routes::mix`].
pub(super) fn mix(x: CubeTensor, weights: CubeTensor) -> CubeTensor {
    let (x, weights) = (contiguous(x), contiguous(weights));
    let (rows, used, columns) = (weights.meta.shape()[0], weights.meta.shape()[1], x.meta.shape()[1]);
    let out = empty_device_dtype(x.client.clone(), x.device.clone(), Shape::from([rows, columns]), DType::F32);
    if rows * columns == 0 {
        return out;
    }
    let (wide, deep) = grid((rows * columns).div_ceil(UNITS as usize));
    // SAFETY: the kernel leaves units past the last element idle; `x` has `used` rows for each of `weights`.
    #[allow(unsafe_code)]
    unsafe {
        mix_kernel::launch_unchecked(
            &out.client.clone(),
            CubeCount::Static(wide, 1, deep),
            CubeDim::new_1d(UNITS),
            x.into_buffer_arg(),
            weights.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            (rows * columns) as u32,
            columns as u32,
            used as u32,
        );
    }
    out
}

/// A unit computes one element.
#[cube(launch_unchecked)]
fn mix_kernel(x: &[f32], weights: &[f32], out: &mut [f32], elements: u32, columns: u32, used: u32) {
    let element = (CUBE_POS_Z * CUBE_COUNT_X + CUBE_POS_X) * UNITS + UNIT_POS_X;
    if element < elements {
        let first = element / columns * used;
        let column = element % columns;
        let mut sum = 0.0f32;
        for choice in 0..used {
            let at = first + choice;
            sum = fma(weights[at as usize], x[(at * columns + column) as usize], sum);
        }
        out[element as usize] = sum;
    }
}
