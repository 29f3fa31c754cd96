//! Elementary functions without branches, so that loops over them become vectors, and with the same roundings on every target.

use half::f16;

/// 1.5 · 2²³: added to a number of small magnitude, it rounds it to the nearest integer (ties to even) into its low bits.
const ROUND: f32 = 12_582_912.0;

/// `x` rounded to the nearest integer, ties to even, for `|x| < 2²²`.
#[inline(always)]
pub(super) fn round_to_i32(x: f32) -> i32 {
    (x + ROUND).to_bits() as i32 - ROUND.to_bits() as i32
}

/// eˣ within 2 units of the last place; 0 below −87.3, infinite above 88.3 (a little before f32 is).
///
/// Cephes' `expf` (S. Moshier): x = n·ln 2 + r with ln 2 in two parts, a polynomial of degree 5 in r, and 2ⁿ put together from its bits.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let clamped = x.clamp(-87.3, 88.3);
    let rounded = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = clamped - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let y = p * (r * r) + r + 1.0;
    // n is in the low bits of `rounded`.
    let power = f32::from_bits(((rounded.to_bits() as i32 - ROUND.to_bits() as i32 + 127) << 23) as u32);
    // The comparisons keep NaN, which fails both.
    let y = if x < -87.3 { 0.0 } else { y * power };
    if x > 88.3 { f32::INFINITY } else { y }
}

/// tanh x within 3 units of the last place.
///
/// Cephes' `tanhf`: an odd polynomial of degree 11 near 0, where the other form would cancel, and else 1 − 2 / (e²ˣ + 1).
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let z = x * x;
    let mut p = -5.704_988_7e-3;
    p = p * z + 2.063_909e-2;
    p = p * z - 5.373_971_6e-2;
    p = p * z + 1.333_144_2e-1;
    p = p * z - 3.333_328e-1;
    let near = p * z * x + x;
    let far = 1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0);
    if x.abs() < 0.625 { near } else { far.copysign(x) }
}

/// The value of `h`, exactly, by integer steps alone (what F16C's instruction computes).
#[inline(always)]
pub(super) fn from_f16(h: f16) -> f32 {
    let h = u32::from(h.to_bits());
    let sign = (h & 0x8000) << 16;
    let magnitude = (h & 0x7fff) << 13;
    // The exponent moves from bias 15 to bias 127 by a product with 2¹¹², which also normalizes subnormal numbers; infinity and NaN get the largest exponent.
    let value = (f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23)).to_bits();
    let special = if h & 0x7c00 == 0x7c00 { 0xff << 23 } else { 0 };
    f32::from_bits(sign | value | special)
}

/// The nearest f16, ties to even; numbers beyond its range become its largest, so that a cache never holds an infinity that was not there.
#[inline(always)]
pub(super) fn to_f16(x: f32) -> f16 {
    f16::from_f32(x.clamp(-65504.0, 65504.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close() {
        let mut worst = 0.0f64;
        for i in -8730..=8830 {
            let x = i as f32 / 100.0;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - exact).abs() / exact);
        }
        assert!(worst < 2.5e-7, "relative error {worst:e}");
        assert_eq!(exp(-100.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(100.0), f32::INFINITY);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_is_close() {
        let mut worst = 0.0f64;
        for i in -200_000..=200_000 {
            let x = i as f32 / 10_000.0 + 1e-6;
            let exact = f64::from(x).tanh();
            worst = worst.max(((f64::from(tanh(x)) - exact) / exact).abs());
        }
        assert!(worst < 2.5e-7, "relative error {worst:e}");
        assert_eq!(tanh(0.0), 0.0);
        assert_eq!((tanh(1e30), tanh(-1e30)), (1.0, -1.0));
        assert_eq!((tanh(f32::INFINITY), tanh(f32::NEG_INFINITY)), (1.0, -1.0));
        assert!(tanh(f32::NAN).is_nan());
    }

    #[test]
    fn every_f16_converts() {
        for bits in 0..=u16::MAX {
            let h = f16::from_bits(bits);
            let (got, want) = (from_f16(h), h.to_f32());
            assert!(got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()), "{bits:#06x}: {got} and not {want}");
        }
    }

    #[test]
    fn f16_saturates() {
        assert_eq!(to_f16(1e6), f16::MAX);
        assert_eq!(to_f16(-1e6), f16::MIN);
        assert_eq!(to_f16(1.0 + 1.0 / 2048.0), f16::ONE);
        assert!(to_f16(f32::NAN).is_nan());
    }

    #[test]
    fn rounds_ties_to_even() {
        for (x, n) in [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2), (126.7, 127), (-127.0, -127)] {
            assert_eq!(round_to_i32(x), n, "{x}");
        }
    }
}
