//! Dequantization against the bits that ggml's own functions give, and quantization against its bits or its error.

use hearth_kernels::WeightType;

/// For GGML's type number: a hash over the bits of 64 × 256 elements that `dequantize_row_*` of ggml (compiled without fused products) makes of the bytes below.
const GGML: [(u32, u64); 10] = [
    (2, 0x5125_4bd4_7492_e325),
    (3, 0xee4d_6acd_d60f_058e),
    (6, 0xc04a_77ab_5fe3_0d25),
    (7, 0xf306_10f6_2e6e_5460),
    (8, 0x4d58_8f65_3368_ebe5),
    (10, 0xc4e4_f138_6466_ed11),
    (11, 0xdcea_6e76_50d7_0025),
    (12, 0x84c6_23d2_44d4_6f69),
    (13, 0x8bef_a879_6b57_3e3f),
    (14, 0x8e99_efd2_ab9b_d469),
];

#[test]
fn dequantizes_as_ggml_does_to_the_bit() {
    for (number, want) in GGML {
        let ty = WeightType::from_ggml(number).unwrap();
        let mut state = number;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let bytes: Vec<u8> = (0..ty.bytes_of(256 * 64).unwrap()).map(|_| byte()).collect();
        let mut out = vec![0.0f32; 256 * 64];
        ty.dequantize(&bytes, &mut out);
        // FNV-1a over 32-bit words. Which NaN a NaN is does not matter.
        let word = |v: &f32| u64::from(if v.is_nan() { 0 } else { v.to_bits() });
        let hash = out.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, v| (hash ^ word(v)).wrapping_mul(0x0100_0000_01b3));
        assert_eq!(hash, want, "{ty:?}");
    }
}

#[test]
fn floats_are_read_exactly() {
    let mut out = [0.0; 2];
    WeightType::F32.dequantize(&[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0], &mut out);
    assert_eq!(out, [1.0, -2.0]);
    WeightType::F16.dequantize(&[0, 0x3c, 1, 0], &mut out);
    assert_eq!(out, [1.0, 2.0f32.powi(-24)]);
    WeightType::BF16.dequantize(&[0x80, 0x3f, 0, 0xc0], &mut out);
    assert_eq!(out, [1.0, -2.0]);
}

#[test]
fn sizes_are_whole_blocks() {
    assert_eq!(WeightType::Q4K.bytes_of(512), Some(288));
    assert_eq!(WeightType::Q4K.bytes_of(128), None);
    assert_eq!(WeightType::F32.bytes_of(usize::MAX), None);
    assert_eq!(WeightType::Q8_0.bytes_of(0), Some(0));
    assert!(WeightType::from_ggml(4).is_none());
    for ty in WeightType::ALL {
        assert_eq!(ty.bytes_of(ty.block_len()), Some(ty.block_bytes()));
    }
}

/// 64 × 256 numbers of sizes from 2⁻⁵ to 4, 32 zeros among them.
fn numbers() -> Vec<f32> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 24) as f32 - 0.5) * 2.0_f32.powi((state >> 4 & 7) as i32 - 4)
    };
    let mut numbers: Vec<f32> = (0..256 * 64).map(|_| next()).collect();
    numbers[32..64].fill(0.0);
    numbers
}

/// For a type: FNV-1a over the bytes that `gguf.quants.quantize` of ggml's Python package (0.19.0) makes of [`numbers`].
const QUANTIZED: [(WeightType, u64); 4] = [
    (WeightType::Q8_0, 0xbca9_b832_8b45_20ca),
    (WeightType::Q5_0, 0x5aa5_f1e7_ea1a_0084),
    (WeightType::BF16, 0x2d26_4970_2aa5_5b6f),
    (WeightType::F16, 0x29ed_158b_822b_8772),
];

#[test]
fn quantizes_as_ggml_does_to_the_bit() {
    for (ty, want) in QUANTIZED {
        let numbers = numbers();
        let mut bytes = vec![0; ty.bytes_of(numbers.len()).unwrap()];
        ty.quantize(&numbers, &mut bytes);
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
        assert_eq!(hash, want, "{ty:?}");
    }
}

/// The square error of `values` in `ty`, as a part of their square.
fn error_of(ty: WeightType, values: &[f32]) -> f64 {
    let mut bytes = vec![0; ty.bytes_of(values.len()).unwrap()];
    ty.quantize(values, &mut bytes);
    let mut back = vec![0.0; values.len()];
    ty.dequantize(&bytes, &mut back);
    let square = |v: f32| f64::from(v) * f64::from(v);
    let error: f64 = values.iter().zip(&back).map(|(v, b)| square(v - b)).sum();
    (error / values.iter().map(|v| square(*v)).sum::<f64>()).sqrt()
}

#[test]
fn q4_k_is_as_near_as_ggmls() {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let values: Vec<f32> = (0..256 * 128).map(|_| next() + next() + next() + next()).collect();
    // ggml's `quantize_row_q4_K_ref` leaves 0.068896 of these numbers; `quantize_row_q5_0_ref` 0.040638, `quantize_row_q8_0_ref` 0.0050856.
    for (ty, ggml) in [(WeightType::Q4K, 0.068_896), (WeightType::Q5_0, 0.040_638), (WeightType::Q8_0, 0.005_086)] {
        let error = error_of(ty, &values);
        eprintln!("{ty:?}: {error:.6}, ggml {ggml:.6}");
        assert!(error < 1.005 * ggml, "{ty:?}: {error}");
    }
    // All of one sign, where a minimum cannot help; around a number, where it must.
    let positive: Vec<f32> = values.iter().map(|v| v.abs()).collect();
    let shifted: Vec<f32> = values.iter().map(|v| v / 8.0 - 2.0).collect();
    assert!(error_of(WeightType::Q4K, &positive) < 0.06);
    assert!(error_of(WeightType::Q4K, &shifted) < 0.01);
}

#[test]
fn what_is_on_the_grid_is_kept() {
    for (ty, values) in [
        (
            WeightType::Q8_0,
            (0..256).map(|i| if i % 32 == 0 { 127.0 / 64.0 } else { (i * 7 % 255 - 127) as f32 / 64.0 }).collect::<Vec<_>>(),
        ),
        (WeightType::Q5_0, (0..256).map(|i| (i % 32 - 16) as f32 / 8.0).collect()),
        (WeightType::Q4K, vec![0.0; 256]),
        (WeightType::Q4K, vec![-1.5; 256]),
    ] {
        let error = error_of(ty, &values);
        // Relative to nothing there is no error.
        assert!(error <= 1e-3 || values.iter().all(|value| *value == 0.0), "{ty:?}: {error}");
    }
}

#[test]
fn numbers_that_are_none_do_no_harm() {
    for ty in [WeightType::Q4K, WeightType::Q5_0, WeightType::Q8_0] {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE / 4.0] {
            let mut values = vec![1.0; 256];
            values[3] = odd;
            values[200..].fill(odd);
            let mut bytes = vec![0; ty.bytes_of(256).unwrap()];
            ty.quantize(&values, &mut bytes);
        }
    }
}

#[test]
fn matrices_are_converted_row_by_row() {
    let numbers = numbers();
    let mut f16 = vec![0; 2 * numbers.len()];
    WeightType::F16.quantize(&numbers, &mut f16);
    let mut rounded = vec![0.0; numbers.len()];
    WeightType::F16.dequantize(&f16, &mut rounded);
    for columns in [256, 512, 32] {
        for ty in [WeightType::Q8_0, WeightType::Q5_0, WeightType::F32] {
            let mut want = vec![0; ty.bytes_of(numbers.len()).unwrap()];
            ty.quantize(&rounded, &mut want);
            assert!(WeightType::F16.convert(&f16, ty, columns) == want, "{ty:?} of {columns} columns");
        }
    }
}
