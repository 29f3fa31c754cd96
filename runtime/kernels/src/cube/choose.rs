//! The choice of tokens on the device: what is to be known of a row of logits is found in two rounds, blocks of the vocabulary first and then over the blocks; its
//! highest candidates by sorting blocks, merging the best of each until one block is left.

use burn::tensor::{DType, Shape};
use burn_cubecl::{ops::numeric::empty_device_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

use super::{contiguous, grid};
use crate::choose::{CANDIDATES, NO_TOKEN, SURVEY};

/// Units of a cube.
const UNITS: u32 = 256;
/// Neighbouring tokens of a unit, and tokens of a cube.
const OWN: u32 = 4;
const BLOCK: u32 = UNITS * OWN;
/// Numbers that a block hands on: key of its highest logit, its token, sum of the weights relative to that logit.
const PART: u32 = 3;
/// Numbers of a candidate: key and token.
const PAIR: u32 = 2;
const KEPT: u32 = CANDIDATES as u32;

fn numbers(like: &CubeTensor, len: usize) -> CubeTensor {
    empty_device_dtype(like.client.clone(), like.device.clone(), Shape::from([len]), DType::U32)
}

/// See [`crate::ops::KernelOps::penalize`].
pub(super) fn penalize(logits: CubeTensor, places: CubeTensor, changes: CubeTensor) -> CubeTensor {
    let (logits, places, changes) = (contiguous(logits), contiguous(places), contiguous(changes));
    // Whoever else holds the logits keeps them as they were.
    let logits = if logits.can_mut() { logits } else { logits.copy() };
    let len = places.meta.shape()[0];
    let (wide, deep) = grid(len.div_ceil(UNITS as usize));
    // SAFETY: the kernel leaves units past the last place idle; places are within the logits (`Chooser`), and none is there twice.
    #[allow(unsafe_code)]
    unsafe {
        penalize_kernel::launch_unchecked(
            &logits.client.clone(),
            CubeCount::Static(wide, 1, deep),
            CubeDim::new_1d(UNITS),
            logits.clone().into_buffer_arg(),
            places.into_buffer_arg(),
            changes.into_buffer_arg(),
            len as u32,
        );
    }
    logits
}

/// A unit changes one logit.
#[cube(launch_unchecked)]
fn penalize_kernel(logits: &mut [f32], places: &[i32], changes: &[f32], len: u32) {
    let index = (CUBE_POS_Z * CUBE_COUNT_X + CUBE_POS_X) * UNITS + UNIT_POS_X;
    if index < len {
        let place = u32::cast_from(places[index as usize]) as usize;
        let change = (3u32 * index) as usize;
        let divisor = changes[change + 1];
        let logit = logits[place] + changes[change];
        let divided = select(logit > 0.0f32, logit / divisor, logit * divisor);
        logits[place] = divided - changes[change + 2];
    }
}

/// See [`crate::ops::KernelOps::mask`].
pub(super) fn mask(logits: CubeTensor, rows: CubeTensor, allowed: CubeTensor) -> CubeTensor {
    let (logits, rows, allowed) = (contiguous(logits), contiguous(rows), contiguous(allowed));
    let logits = if logits.can_mut() { logits } else { logits.copy() };
    let (len, n, words) = (logits.meta.shape()[1], rows.meta.shape()[0], allowed.meta.shape()[1]);
    // SAFETY: the kernel leaves units past a row's last token idle; `rows` are rows of the logits and have a word for each 32 tokens (`choose::mask`).
    #[allow(unsafe_code)]
    unsafe {
        mask_kernel::launch_unchecked(
            &logits.client.clone(),
            CubeCount::Static(len.div_ceil(UNITS as usize) as u32, n as u32, 1),
            CubeDim::new_1d(UNITS),
            logits.clone().into_buffer_arg(),
            rows.into_buffer_arg(),
            allowed.into_buffer_arg(),
            len as u32,
            words as u32,
        );
    }
    logits
}

/// A unit for each token. By bits alone, as in [`key_of`].
#[cube(launch_unchecked)]
fn mask_kernel(logits: &mut [f32], rows: &[i32], allowed: &[i32], len: u32, words: u32) {
    let token = CUBE_POS_X * UNITS + UNIT_POS_X;
    if token < len {
        let place = (u32::cast_from(rows[CUBE_POS_Y as usize]) * len + token) as usize;
        let word = u32::reinterpret(allowed[(CUBE_POS_Y * words + token / 32u32) as usize]);
        let bits = u32::reinterpret(logits[place]);
        let is_allowed = ((word >> (token % 32u32)) & 1u32) == 1u32;
        logits[place] = f32::reinterpret(select(is_allowed, bits, 0x7fc0_0000u32));
    }
}

/// See [`crate::ops::KernelOps::survey`].
pub(super) fn survey(logits: CubeTensor, draws: CubeTensor) -> CubeTensor {
    let (logits, draws) = (contiguous(logits), contiguous(draws));
    let (m, len) = (logits.meta.shape()[0], logits.meta.shape()[1]);
    let blocks = len.div_ceil(BLOCK as usize);
    let parts = numbers(&logits, m * blocks * PART as usize);
    let out = numbers(&logits, m * SURVEY);
    let client = out.client.clone();
    // SAFETY: the first kernel reads no token past the row's last and writes its block's part, of which the second reads as many as there are.
    #[allow(unsafe_code)]
    unsafe {
        block_kernel::launch_unchecked(
            &client,
            CubeCount::Static(blocks as u32, m as u32, 1),
            CubeDim::new_1d(UNITS),
            logits.clone().into_buffer_arg(),
            draws.clone().into_buffer_arg(),
            parts.clone().into_buffer_arg(),
            len as u32,
        );
        row_kernel::launch_unchecked(
            &client,
            CubeCount::Static(m as u32, 1, 1),
            CubeDim::new_1d(UNITS),
            logits.into_buffer_arg(),
            draws.into_buffer_arg(),
            parts.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            len as u32,
            blocks as u32,
        );
    }
    out
}

/// [`crate::choose::key`]. By bits alone, as shading languages may assume that all floats are numbers.
#[cube]
fn key_of(logit: f32) -> u32 {
    let bits = u32::reinterpret(logit);
    let magnitude = bits & 0x7fff_ffffu32;
    let ordered = select(bits > magnitude, !bits, bits | 0x8000_0000u32);
    let ordered = select(magnitude == 0u32, 0x8000_0000u32, ordered);
    select(magnitude > 0x7f80_0000u32, 0u32, ordered)
}

#[cube]
fn logit_of(key: u32) -> f32 {
    f32::reinterpret(select(key >= 0x8000_0000u32, key & 0x7fff_ffffu32, !key))
}

/// What a logit weighs beside the highest, both as keys: 0 if it is not a number.
#[cube]
fn weight(key: u32, highest: u32, temperature: f32) -> f32 {
    let power = (logit_of(key) - logit_of(highest)) / temperature;
    // Where σ·e^x is 0 in f32, e^x need not be asked for; the comparison is false for differences of infinities.
    let weight = select(power > -87.0f32, power.exp(), 0.0f32);
    let weight = select(key == highest, 1.0f32, weight);
    select(key == 0u32, 0.0f32, weight)
}

/// The highest of all units' keys, and of equals the lowest token, in place 0 of both.
#[cube]
fn highest_of_cube(keys: &mut Shared<[u32]>, tokens: &mut Shared<[u32]>) {
    let mut half = comptime!(UNITS / 2).runtime();
    sync_cube();
    while half > 0u32 {
        if UNIT_POS_X < half {
            let (own, other) = (UNIT_POS_X as usize, (UNIT_POS_X + half) as usize);
            let (key, token) = (keys[other], tokens[other]);
            if key > keys[own] || (key == keys[own] && token < tokens[own]) {
                keys[own] = key;
                tokens[own] = token;
            }
        }
        sync_cube();
        half /= 2u32;
    }
}

/// A cube finds the highest logit of a block, and the sum of the weights beside it.
#[cube(launch_unchecked)]
fn block_kernel(logits: &[f32], draws: &[f32], parts: &mut [u32], len: u32) {
    let mut keys = Shared::<[u32]>::new_slice(comptime!(UNITS as usize));
    let mut tokens = Shared::<[u32]>::new_slice(comptime!(UNITS as usize));
    let mut sums = Shared::<[f32]>::new_slice(comptime!(UNITS as usize));
    let unit = UNIT_POS_X;
    let row = CUBE_POS_Y;
    let mut own = Array::<u32>::new(comptime!(OWN as usize));
    let mut best = 0u32;
    let mut best_token = NO_TOKEN.runtime();
    // Neighbouring units read neighbouring tokens.
    #[unroll]
    for index in 0..OWN {
        let token = CUBE_POS_X * BLOCK + index * UNITS + unit;
        let mut key = 0u32;
        if token < len {
            key = key_of(logits[(row * len + token) as usize]);
        }
        own[index as usize] = key;
        if key > best {
            best = key;
            best_token = token;
        }
    }
    keys[unit as usize] = best;
    tokens[unit as usize] = best_token;
    highest_of_cube(&mut keys, &mut tokens);
    let highest = keys[0];
    let temperature = draws[(2u32 * row) as usize];
    let mut sum = 0.0f32;
    if temperature > 0.0f32 {
        #[unroll]
        for index in 0..OWN {
            sum += weight(own[index as usize], highest, temperature);
        }
    }
    sums[unit as usize] = sum;
    let mut half = comptime!(UNITS / 2).runtime();
    sync_cube();
    while half > 0u32 {
        if unit < half {
            let other = sums[(unit + half) as usize];
            sums[unit as usize] += other;
        }
        sync_cube();
        half /= 2u32;
    }
    if unit == 0u32 {
        let part = ((row * CUBE_COUNT_X + CUBE_POS_X) * PART) as usize;
        parts[part] = highest;
        parts[part + 1] = tokens[0];
        parts[part + 2] = u32::reinterpret(sums[0]);
    }
}

/// A cube brings a row's blocks together and draws: the run of blocks that holds the place of the draw, the block, the unit's tokens in it, the token. Each unit adds
/// up what it owns, and one looks through their sums.
#[cube(launch_unchecked)]
fn row_kernel(logits: &[f32], draws: &[f32], parts: &[u32], out: &mut [u32], len: u32, blocks: u32) {
    let mut keys = Shared::<[u32]>::new_slice(comptime!(UNITS as usize));
    let mut tokens = Shared::<[u32]>::new_slice(comptime!(UNITS as usize));
    let mut sums = Shared::<[f32]>::new_slice(comptime!(UNITS as usize));
    // The block of the draw, and what of its place is left in there.
    let mut found = Shared::<[u32]>::new_slice(1usize);
    let mut left = Shared::<[f32]>::new_slice(1usize);
    let unit = UNIT_POS_X;
    let row = CUBE_POS_X;
    let temperature = draws[(2u32 * row) as usize];
    let run = blocks.div_ceil(UNITS);
    let first = min(unit * run, blocks);
    let last = min(first + run, blocks);

    let mut best = 0u32;
    let mut best_token = NO_TOKEN.runtime();
    for block in first..last {
        let part = ((row * blocks + block) * PART) as usize;
        if parts[part] > best {
            best = parts[part];
            best_token = parts[part + 1];
        }
    }
    keys[unit as usize] = best;
    tokens[unit as usize] = best_token;
    highest_of_cube(&mut keys, &mut tokens);
    let highest = keys[0];
    let summary = row * comptime!(SURVEY as u32);
    if unit == 0u32 {
        out[summary as usize] = tokens[0];
        out[(summary + 1u32) as usize] = NO_TOKEN.runtime();
        out[(summary + 2u32) as usize] = u32::reinterpret(logit_of(highest));
        out[(summary + 3u32) as usize] = 0u32;
    }
    if temperature > 0.0f32 && highest > 0u32 {
        let mut sum = 0.0f32;
        for block in first..last {
            sum += block_sum(parts, row * blocks + block, highest, temperature);
        }
        sums[unit as usize] = sum;
        sync_cube();
        if unit == 0u32 {
            let mut total = 0.0f32;
            for other in 0..UNITS {
                total += sums[other as usize];
            }
            out[(summary + 3u32) as usize] = u32::reinterpret(total);
            let mut rest = draws[(2u32 * row + 1u32) as usize] * total;
            // Rounding can leave a little beyond the last: then it is the last that weighs anything.
            let mut owner = 0u32;
            let mut before = rest;
            let mut searching = 1u32;
            for other in 0..UNITS {
                let sum = sums[other as usize];
                if searching == 1u32 && sum > 0.0f32 {
                    owner = other;
                    before = rest;
                    searching = u32::cast_from(rest >= sum);
                    rest -= sum;
                }
            }
            rest = before;
            searching = 1u32;
            let mut block = owner * run;
            for other in owner * run..min((owner + 1u32) * run, blocks) {
                let sum = block_sum(parts, row * blocks + other, highest, temperature);
                if searching == 1u32 && sum > 0.0f32 {
                    block = other;
                    before = rest;
                    searching = u32::cast_from(rest >= sum);
                    rest -= sum;
                }
            }
            found[0] = block;
            left[0] = before;
        }
        sync_cube();
        // Here a unit owns neighbouring tokens.
        let start = found[0] * BLOCK + unit * OWN;
        let mut own = 0.0f32;
        #[unroll]
        for index in 0..OWN {
            own += token_weight(logits, row * len, start + index, len, highest, temperature);
        }
        sums[unit as usize] = own;
        sync_cube();
        if unit == 0u32 {
            let mut rest = left[0];
            let mut before = rest;
            let mut owner = 0u32;
            let mut searching = 1u32;
            for other in 0..UNITS {
                let sum = sums[other as usize];
                if searching == 1u32 && sum > 0.0f32 {
                    owner = other;
                    before = rest;
                    searching = u32::cast_from(rest >= sum);
                    rest -= sum;
                }
            }
            rest = before;
            searching = 1u32;
            let start = found[0] * BLOCK + owner * OWN;
            let mut drawn = tokens[0];
            #[unroll]
            for index in 0..OWN {
                let weight = token_weight(logits, row * len, start + index, len, highest, temperature);
                if searching == 1u32 && weight > 0.0f32 {
                    drawn = start + index;
                    searching = u32::cast_from(rest >= weight);
                    rest -= weight;
                }
            }
            out[(summary + 1u32) as usize] = drawn;
        }
    }
}

/// A block's sum of weights beside the highest logit of the row.
#[cube]
fn block_sum(parts: &[u32], block: u32, highest: u32, temperature: f32) -> f32 {
    let part = (block * PART) as usize;
    f32::reinterpret(parts[part + 2]) * weight(parts[part], highest, temperature)
}

#[cube]
fn token_weight(logits: &[f32], row: u32, token: u32, len: u32, highest: u32, temperature: f32) -> f32 {
    let mut key = 0u32;
    if token < len {
        key = key_of(logits[(row + token) as usize]);
    }
    weight(key, highest, temperature)
}

/// See [`crate::ops::KernelOps::candidates`].
pub(super) fn candidates(logits: CubeTensor, rows: CubeTensor) -> CubeTensor {
    let (logits, rows) = (contiguous(logits), contiguous(rows));
    let (n, len) = (rows.meta.shape()[0], logits.meta.shape()[1]);
    let client = logits.client.clone();
    let mut blocks = len.div_ceil(BLOCK as usize);
    let pairs_of = |blocks: usize| numbers(&logits, n * blocks * (KEPT * PAIR) as usize);
    let mut pairs = pairs_of(blocks);
    // SAFETY: the kernel reads no token past the row's last; `rows` are rows of the logits (`Chooser`).
    #[allow(unsafe_code)]
    unsafe {
        sort_logits_kernel::launch_unchecked(
            &client,
            CubeCount::Static(blocks as u32, n as u32, 1),
            CubeDim::new_1d(UNITS),
            logits.clone().into_buffer_arg(),
            rows.into_buffer_arg(),
            pairs.clone().into_buffer_arg(),
            len as u32,
        );
    }
    while blocks > 1 {
        let count = blocks * KEPT as usize;
        blocks = count.div_ceil(BLOCK as usize);
        let merged = pairs_of(blocks);
        // SAFETY: the kernel reads no pair past the row's last.
        #[allow(unsafe_code)]
        unsafe {
            merge_kernel::launch_unchecked(
                &client,
                CubeCount::Static(blocks as u32, n as u32, 1),
                CubeDim::new_1d(UNITS),
                pairs.into_buffer_arg(),
                merged.clone().into_buffer_arg(),
                count as u32,
            );
        }
        pairs = merged;
    }
    pairs
}

/// A cube sorts a block of a row's logits.
#[cube(launch_unchecked)]
fn sort_logits_kernel(logits: &[f32], rows: &[i32], out: &mut [u32], len: u32) {
    let mut keys = Shared::<[u32]>::new_slice(comptime!(BLOCK as usize));
    let mut tokens = Shared::<[u32]>::new_slice(comptime!(BLOCK as usize));
    let row = u32::cast_from(rows[CUBE_POS_Y as usize]) * len;
    #[unroll]
    for index in 0..OWN {
        let place = index * UNITS + UNIT_POS_X;
        let token = CUBE_POS_X * BLOCK + place;
        let mut key = 0u32;
        if token < len {
            key = key_of(logits[(row + token) as usize]);
        }
        keys[place as usize] = key;
        tokens[place as usize] = select(key > 0u32, token, NO_TOKEN.runtime());
    }
    sort(&mut keys, &mut tokens);
    write_highest(&keys, &tokens, out);
}

/// A cube sorts a block of a row's pairs.
#[cube(launch_unchecked)]
fn merge_kernel(pairs: &[u32], out: &mut [u32], count: u32) {
    let mut keys = Shared::<[u32]>::new_slice(comptime!(BLOCK as usize));
    let mut tokens = Shared::<[u32]>::new_slice(comptime!(BLOCK as usize));
    let row = CUBE_POS_Y * count;
    #[unroll]
    for index in 0..OWN {
        let place = index * UNITS + UNIT_POS_X;
        let pair = CUBE_POS_X * BLOCK + place;
        let mut key = 0u32;
        let mut token = NO_TOKEN.runtime();
        if pair < count {
            key = pairs[((row + pair) * PAIR) as usize];
            token = pairs[((row + pair) * PAIR + 1u32) as usize];
        }
        keys[place as usize] = key;
        tokens[place as usize] = token;
    }
    sort(&mut keys, &mut tokens);
    write_highest(&keys, &tokens, out);
}

/// Batcher's bitonic sort of a block: descending by key, ascending by token among equals. Each unit compares and swaps two pairs of places a stage.
#[cube]
fn sort(keys: &mut Shared<[u32]>, tokens: &mut Shared<[u32]>) {
    let mut size = 2u32;
    sync_cube();
    while size <= BLOCK {
        let mut distance = size / 2u32;
        while distance > 0u32 {
            #[unroll]
            for part in 0..comptime!(OWN / 2) {
                let index = part * UNITS + UNIT_POS_X;
                let low = 2u32 * index - (index & (distance - 1u32));
                let high = low + distance;
                let (a, b) = (keys[low as usize], keys[high as usize]);
                let (a_token, b_token) = (tokens[low as usize], tokens[high as usize]);
                let ordered = a > b || (a == b && a_token <= b_token);
                // Every other run is sorted the other way round, so that two make a bitonic sequence.
                let descending = (low & size) == 0u32;
                if u32::cast_from(ordered) != u32::cast_from(descending) {
                    keys[low as usize] = b;
                    keys[high as usize] = a;
                    tokens[low as usize] = b_token;
                    tokens[high as usize] = a_token;
                }
            }
            sync_cube();
            distance /= 2u32;
        }
        size *= 2u32;
    }
}

#[cube]
fn write_highest(keys: &Shared<[u32]>, tokens: &Shared<[u32]>, out: &mut [u32]) {
    if UNIT_POS_X < KEPT {
        let target = (((CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) * KEPT + UNIT_POS_X) * PAIR) as usize;
        out[target] = keys[UNIT_POS_X as usize];
        out[target + 1] = tokens[UNIT_POS_X as usize];
    }
}
