//! Quantizing weights: from f32 to the blocks that `legacy.rs` and `k.rs` take apart.
//!
//! Q8_0 and Q5_0 round as ggml does, to the bit. Q4_K has no one right answer, as a scale and a minimum for each 32 elements are free to choose: they are searched here
//! for the least weighted square error, and come out as good as ggml's.

use half::f16;

use super::WeightType;

/// Elements of a group of Q4_K.
const GROUP: usize = 32;
/// The largest code of Q4_K.
const TOP: f32 = 15.0;
/// The largest scale or minimum of a group of Q4_K, in units of its super-block.
const SUB_TOP: f32 = 63.0;
/// Ranges that are tried for a group: the largest value gets the code `TOP - 1 + step / 10`, for steps from 0 on. Beyond 15 it is cut off, which the others gain by.
const STEPS: usize = 21;

/// One block of `ty`, whose elements are `values`.
pub(super) fn block(ty: WeightType, values: &[f32], out: &mut [u8]) {
    match ty {
        WeightType::Q8_0 => q8_0(values, out),
        WeightType::Q5_0 => q5_0(values, out),
        WeightType::Q4K => q4_k(values, out),
        _ => unreachable!("`WeightType::quantize` has looked"),
    }
}

fn put_half(out: &mut [u8], at: usize, value: f32) {
    out[at..at + 2].copy_from_slice(&f16::from_f32(value).to_le_bytes());
}

/// `1 / x`, and 0 for 0: an empty block's codes are all 0.
fn inverse(x: f32) -> f32 {
    if x == 0.0 { 0.0 } else { x.recip() }
}

fn q8_0(values: &[f32], out: &mut [u8]) {
    let largest = values.iter().fold(0.0_f32, |max, v| max.max(v.abs()));
    let scale = largest / 127.0;
    put_half(out, 0, scale);
    let inverse = inverse(scale);
    for (code, value) in out[2..].iter_mut().zip(values) {
        *code = (value * inverse).round() as i8 as u8;
    }
}

/// The element farthest from 0 gets the code -16, of which there is no positive counterpart.
fn q5_0(values: &[f32], out: &mut [u8]) {
    let farthest = values.iter().fold(0.0_f32, |far, &v| if v.abs() > far.abs() { v } else { far });
    let scale = farthest / -16.0;
    put_half(out, 0, scale);
    let inverse = inverse(scale);
    let code = |value: f32| ((value * inverse + 16.5) as u8).min(31);
    let mut fifth_bits = 0_u32;
    for i in 0..16 {
        let (low, high) = (code(values[i]), code(values[i + 16]));
        out[6 + i] = low & 15 | high << 4;
        fifth_bits |= u32::from(low >> 4) << i | u32::from(high >> 4) << (i + 16);
    }
    out[2..6].copy_from_slice(&fifth_bits.to_le_bytes());
}

fn q4_k(values: &[f32], out: &mut [u8]) {
    let groups = values.as_chunks::<GROUP>().0;
    let mut fits = [(0.0, 0.0); 8];
    for (fit, group) in fits.iter_mut().zip(groups) {
        *fit = fit_group(group);
    }
    let scale = fits.iter().fold(0.0_f32, |max, fit| max.max(fit.0)) / SUB_TOP;
    let min = fits.iter().fold(0.0_f32, |max, fit| max.max(fit.1)) / SUB_TOP;
    put_half(out, 0, scale);
    put_half(out, 2, min);
    let (inverse_scale, inverse_min) = (inverse(scale), inverse(min));
    let six_bits = |value: f32| value.round().min(SUB_TOP) as u8;
    let subs = fits.map(|(s, m)| (six_bits(s * inverse_scale), six_bits(m * inverse_min)));
    // The scale and minimum of the first four groups have a byte's low six bits each; those of the others have a byte together, and their top bits are spread over the
    // first eight bytes' top bits.
    let packed = &mut out[4..16];
    for g in 0..4 {
        let (later_scale, later_min) = subs[g + 4];
        packed[g] = subs[g].0 | (later_scale >> 4) << 6;
        packed[g + 4] = subs[g].1 | (later_min >> 4) << 6;
        packed[g + 8] = later_scale & 15 | later_min << 4;
    }
    // What is read back is what the codes must fit.
    let (scale, min) = (f16::from_f32(scale).to_f32(), f16::from_f32(min).to_f32());
    let mut codes = [0_u8; 8 * GROUP];
    for ((codes, group), (s, m)) in codes.as_chunks_mut::<GROUP>().0.iter_mut().zip(groups).zip(subs) {
        let (inverse, offset) = (inverse(scale * f32::from(s)), min * f32::from(m));
        for (code, value) in codes.iter_mut().zip(group) {
            *code = ((value + offset) * inverse).round().clamp(0.0, TOP) as u8;
        }
    }
    for (i, byte) in out[16..144].iter_mut().enumerate() {
        let at = i / 32 * 64 + i % 32;
        *byte = codes[at] | codes[at + 32] << 4;
    }
}

/// The scale and the minimum, neither negative, with which the codes 0..=15 come nearest to `values` (`value ≈ scale · code − min`), larger values counting for more.
///
/// For a number of ranges, the codes that follow from one are taken as given, and the best scale and minimum for them is the solution of a weighted linear regression.
fn fit_group(values: &[f32; GROUP]) -> (f32, f32) {
    let (mut low, mut high) = (0.0_f32, f32::MIN);
    let mut squares = 0.0;
    for &v in values {
        (low, high) = (low.min(v), high.max(v));
        squares += v * v;
    }
    if high <= low || !(high - low).is_finite() {
        return (0.0, -low);
    }
    let typical = (squares / GROUP as f32).sqrt();
    let weights = values.map(|v| typical + v.abs());
    let (mut weight, mut weighted) = (0.0, 0.0);
    for (w, v) in weights.iter().zip(values) {
        (weight, weighted) = (weight + w, weighted + w * v);
    }
    let error = |scale: f32, offset: f32, codes: &[f32; GROUP]| {
        let mut sum = 0.0;
        for i in 0..GROUP {
            let off = scale * codes[i] + offset - values[i];
            sum += weights[i] * off * off;
        }
        sum
    };
    let codes_of = |inverse: f32, low: f32| values.map(|v| ((v - low) * inverse).round().clamp(0.0, TOP));

    let mut best = ((high - low) / TOP, low);
    let mut least = error(best.0, best.1, &codes_of(best.0.recip(), low));
    for step in 0..STEPS {
        // The range begins at the best minimum so far: what a try has gained is where the next one starts.
        let codes = codes_of((TOP - 1.0 + step as f32 / 10.0) / (high - best.1), best.1);
        let (mut linear, mut square, mut product) = (0.0, 0.0, 0.0);
        for i in 0..GROUP {
            let code = weights[i] * codes[i];
            linear += code;
            square += code * codes[i];
            product += code * values[i];
        }
        let determinant = weight * square - linear * linear;
        if determinant <= 0.0 {
            continue;
        }
        let mut scale = (weight * product - weighted * linear) / determinant;
        let mut offset = (square * weighted - linear * product) / determinant;
        if offset > 0.0 {
            // A minimum cannot be negative: without one, the scale has an optimum of its own.
            (scale, offset) = (product / square, 0.0);
        }
        let error = error(scale, offset, &codes);
        if error < least && scale > 0.0 {
            (least, best) = (error, (scale, offset));
        }
    }
    (best.0, -best.1)
}
