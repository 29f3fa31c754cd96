//! The quantized matrix product and the embedding lookup, which dequantize what they read.

use burn::tensor::{DType, Shape};
use burn_cubecl::{ops::numeric::empty_device_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

use super::{
    contiguous,
    format::{Format, Kind, VECTOR, element, min_of, scale_of},
    grid,
};
use crate::linear::PackedShape;

/// Units that share an output feature. They read neighbouring vectors: 512 bytes of a row at once.
const LANES: u32 = 32;
/// Output features that a unit computes side by side, so that each element of `x` is read once for all of them.
const SIDE: u32 = 4;
/// Units along the output features, and features of a cube.
const TALL: u32 = 4;
const FEATURES: u32 = TALL * SIDE;
const CUBE: u32 = LANES * TALL;
/// Sums that the lanes of a feature add up at a time.
const ROUND: u32 = 8;

/// How a step's rows are shared out over cubes; a compile-time constant of the kernel. It decides who computes what and when, but not in which order anything is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Plan {
    /// Rows of `x` that one pass over the weights serves.
    tile: u32,
    /// Words of a feature's vector that a lane takes at a time: fewer for many rows, whose part of `x` must fit the cube's memory.
    words: u32,
}

impl Plan {
    fn of(rows: usize, format: Format) -> Self {
        let tile = match rows {
            1 | 2 => rows as u32,
            3 | 4 => 4,
            _ => 8,
        };
        let words = if tile > 2 { (8 / format.word_len()).clamp(1, VECTOR) } else { VECTOR };
        Self { tile, words }
    }

    /// Columns that a lane takes at a time.
    fn span(self, format: Format) -> u32 {
        self.words * format.word_len()
    }

    /// Vectors of four columns from one lane's part of `x` to the next one's: an odd number, so that neighbouring lanes read different banks of the cube's memory.
    fn stride(self, format: Format) -> u32 {
        (self.span(format) / 4) | 1
    }
}

/// `[m, columns] → [m, rows]`; see [`crate::Linear::forward`].
pub(super) fn linear(x: CubeTensor, [codes, scales, factors]: [CubeTensor; 3], shape: PackedShape) -> CubeTensor {
    let x = contiguous(x);
    let m = x.meta.shape()[0];
    let out = empty_device_dtype(x.client.clone(), x.device.clone(), Shape::from([m, shape.rows]), DType::F32);
    if m == 0 || shape.rows == 0 {
        return out;
    }
    let format = Format::of(shape.ty);
    let plan = Plan::of(m, format);
    let (wide, deep) = grid(shape.rows.div_ceil(FEATURES as usize));
    let tiles = u32::try_from(m).expect("rows of a step fit u32").div_ceil(plan.tile);
    // SAFETY: the kernel leaves units of features at or past `rows` and of rows at or past `m` idle; codes, scales and factors have the lengths that `pack` gives a
    // weight of this shape.
    #[allow(unsafe_code)]
    unsafe {
        linear_kernel::launch_unchecked(
            &out.client.clone(),
            CubeCount::Static(wide, tiles, deep),
            CubeDim::new_2d(LANES, TALL),
            plan.words as usize,
            x.into_buffer_arg(),
            codes.into_buffer_arg(),
            scales.into_buffer_arg(),
            factors.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            m as u32,
            shape.rows as u32,
            shape.columns as u32,
            format.row_words(shape.columns) as u32,
            format,
            plan,
        );
    }
    out
}

/// A cube computes `FEATURES` outputs of `tile` rows. Each lane takes every `LANES`-th vector of its features' weights: the codes of a group times `x`, in order of
/// columns, then times the scale. The lanes' sums are added halves onto halves. Every product is an explicit `fma`, so that compilers have no freedom to round the
/// variants of this kernel differently: a row's result is the same in each.
///
/// The part of `x` that the lanes need next is read by all units together, in order, and handed out through the cube's memory: lanes are whole vectors of codes apart,
/// so that their own reads would each fetch a line of the cache.
#[cube(launch_unchecked)]
fn linear_kernel<N: Size>(
    x: &[f32],
    codes: &[Vector<u32, N>],
    scales: &[u32],
    factors: &[u32],
    out: &mut [f32],
    m: u32,
    rows: u32,
    columns: u32,
    row_words: u32,
    #[comptime] format: Format,
    #[comptime] plan: Plan,
) {
    let word_len = comptime!(format.word_len());
    let tile = comptime!(plan.tile);
    let load = comptime!(plan.words);
    let stages = comptime!(VECTOR / plan.words);
    let quads = comptime!(plan.span(format) / 4);
    let stride = comptime!(plan.stride(format));
    // Words whose products are summed before they are scaled.
    let segment = comptime!(format.group_words.min(VECTOR));
    let count = comptime!((SIDE * plan.tile) as usize);
    let lane = UNIT_POS_X;
    let unit = UNIT_POS_Y * LANES + lane;
    let feature = (CUBE_POS_Z * CUBE_COUNT_X + CUBE_POS_X) * FEATURES + UNIT_POS_Y * SIDE;
    let first = CUBE_POS_Y * tile;

    // Features past the last read the last again, and are not written.
    let mut bases = Array::<u32>::new(comptime!(SIDE as usize));
    #[unroll]
    for side in 0..SIDE {
        bases[side as usize] = min(feature + side, rows - 1u32) * row_words;
    }
    // Of feature `side` and row `row` at `side * tile + row`: what is summed so far, and of this segment.
    let mut sums = Array::<f32>::new(count);
    let mut parts = Array::<f32>::new(count);
    // Each row's total over the segment.
    let mut totals = Array::<f32>::new(comptime!(plan.tile as usize));
    #[unroll]
    for index in 0..count {
        sums[index] = 0.0f32;
        parts[index] = 0.0f32;
    }
    #[unroll]
    for row in 0..tile {
        totals[row as usize] = 0.0f32;
    }
    let mut staged = Shared::<[Vector<f32, Const<4>>]>::new_slice(comptime!((plan.tile * LANES * stride) as usize));
    let mut values = Array::<Vector<f32, Const<4>>>::new(comptime!(plan.tile as usize));
    let mut loaded = Array::<Vector<u32, N>>::new(comptime!(SIDE as usize));

    let mut block = 0u32;
    while block < row_words {
        // A lane past the row's end multiplies the row's last vector by zeros.
        let vector = min(block + lane * VECTOR, row_words - VECTOR);
        for stage in 0..stages {
            let word = vector + stage * load;
            #[unroll]
            for side in 0..SIDE {
                loaded[side as usize] = codes[((bases[side as usize] + word) / load) as usize];
            }
            let mut index = unit;
            while index < comptime!(plan.tile * LANES * quads) {
                let row = index / comptime!(LANES * quads);
                let part = index % comptime!(LANES * quads);
                let (owner, quad) = (part / quads, part % quads);
                let column = (block + owner * VECTOR + stage * load) * word_len + quad * 4u32;
                let start = min(first + row, m - 1u32) * columns;
                let mut value = Vector::<f32, Const<4>>::new(0.0f32);
                #[unroll]
                for element in 0..4u32 {
                    if column + element < columns {
                        value.insert(comptime!(element as usize), x[(start + column + element) as usize]);
                    }
                }
                staged[((row * LANES + owner) * stride + quad) as usize] = value;
                index += CUBE;
            }
            sync_cube();
            #[unroll]
            for quad in 0..quads {
                #[unroll]
                for row in 0..tile {
                    values[row as usize] = staged[((row * LANES + lane) * stride + quad) as usize];
                }
                #[unroll]
                for element_of_quad in 0..4u32 {
                    let place = comptime!(element_of_quad as usize);
                    let column = comptime!(quad * 4 + element_of_quad);
                    if comptime!(format.mins) {
                        #[unroll]
                        for row in 0..tile {
                            totals[row as usize] += values[row as usize].extract(place);
                        }
                    }
                    #[unroll]
                    for side in 0..SIDE {
                        let codes = loaded[side as usize].extract(comptime!((column / word_len) as usize));
                        let weight = element(codes, comptime!(column % word_len), format);
                        #[unroll]
                        for row in 0..tile {
                            let at = comptime!((side * tile + row) as usize);
                            parts[at] = fma(weight, values[row as usize].extract(place), parts[at]);
                        }
                    }
                    // After the last column of a word that is, or may be, a segment's last.
                    if comptime!((column + 1).is_multiple_of(word_len * segment.min(load))) {
                        let done = stage * load + comptime!((column + 1) / word_len);
                        if comptime!(segment <= load) || done % segment == 0u32 {
                            #[unroll]
                            for side in 0..SIDE {
                                let at_word = bases[side as usize] + vector + done - 1u32;
                                if comptime!(format.kind == Kind::Quantized) {
                                    let scale = scale_of(scales, factors, at_word, format);
                                    #[unroll]
                                    for row in 0..tile {
                                        let at = comptime!((side * tile + row) as usize);
                                        sums[at] = fma(scale, parts[at], sums[at]);
                                    }
                                    if comptime!(format.mins) {
                                        let low = min_of(scales, factors, at_word, format);
                                        #[unroll]
                                        for row in 0..tile {
                                            let at = comptime!((side * tile + row) as usize);
                                            sums[at] = fma(-low, totals[row as usize], sums[at]);
                                        }
                                    }
                                } else {
                                    #[unroll]
                                    for row in 0..tile {
                                        let at = comptime!((side * tile + row) as usize);
                                        sums[at] += parts[at];
                                    }
                                }
                            }
                            #[unroll]
                            for index in 0..count {
                                parts[index] = 0.0f32;
                            }
                            #[unroll]
                            for row in 0..tile {
                                totals[row as usize] = 0.0f32;
                            }
                        }
                    }
                }
            }
            // What comes next must not overwrite this before every unit has read it.
            sync_cube();
        }
        block += comptime!(LANES * VECTOR);
    }

    let round = comptime!(ROUND.min(SIDE * plan.tile));
    let rounds = comptime!(SIDE * plan.tile / ROUND.min(SIDE * plan.tile));
    let mut shared = Shared::<[f32]>::new_slice(comptime!((ROUND * CUBE) as usize));
    #[unroll]
    for start in 0..rounds {
        #[unroll]
        for index in 0..round {
            shared[(index * CUBE + unit) as usize] = sums[comptime!((start * round + index) as usize)];
        }
        sync_cube();
        let mut half = comptime!(LANES / 2).runtime();
        while half > 0u32 {
            if lane < half {
                #[unroll]
                for index in 0..round {
                    let other = shared[(index * CUBE + unit + half) as usize];
                    shared[(index * CUBE + unit) as usize] += other;
                }
            }
            sync_cube();
            half /= 2u32;
        }
        if lane < round {
            let index = start * round + lane;
            let (side, row) = (index / tile, index % tile);
            if feature + side < rows && first + row < m {
                out[((first + row) * rows + feature + side) as usize] = shared[(lane * CUBE + UNIT_POS_Y * LANES) as usize];
            }
        }
        sync_cube();
    }
}

/// `ids: [n] → [n, columns]`; see [`crate::Linear::embed`].
pub(super) fn embed(ids: CubeTensor, [codes, scales, factors]: [CubeTensor; 3], shape: PackedShape) -> CubeTensor {
    let ids = contiguous(ids);
    let n = ids.meta.shape()[0];
    let out = empty_device_dtype(ids.client.clone(), ids.device.clone(), Shape::from([n, shape.columns]), DType::F32);
    let format = Format::of(shape.ty);
    let row_words = format.row_words(shape.columns);
    if n * row_words == 0 {
        return out;
    }
    let (wide, deep) = grid((n * row_words).div_ceil(UNITS as usize));
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
            factors.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            n as u32,
            shape.rows as u32,
            shape.columns as u32,
            row_words as u32,
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
    scales: &[u32],
    factors: &[u32],
    out: &mut [f32],
    n: u32,
    rows: u32,
    columns: u32,
    row_words: u32,
    #[comptime] format: Format,
) {
    let word_len = comptime!(format.word_len());
    let position = (CUBE_POS_Z * CUBE_COUNT_X + CUBE_POS_X) * UNITS + UNIT_POS_X;
    if position < n * row_words {
        let index = position / row_words;
        let column = (position % row_words) * word_len;
        let row = min(u32::cast_from(ids[index as usize]), rows - 1u32);
        let source = row * row_words + position % row_words;
        let word = codes[source as usize];
        let mut scale = 1.0f32;
        let mut low = 0.0f32;
        if comptime!(format.kind == Kind::Quantized) {
            scale = scale_of(scales, factors, source, format);
        }
        if comptime!(format.mins) {
            low = min_of(scales, factors, source, format);
        }
        #[unroll]
        for offset in 0..word_len {
            let weight = element(word, offset, format);
            let target = (index * columns + column + offset) as usize;
            // The last words of a float row may be partly filled, or not at all.
            if column + offset < columns {
                if comptime!(format.kind == Kind::Quantized) {
                    out[target] = weight * scale - low;
                } else {
                    out[target] = weight;
                }
            }
        }
    }
}
