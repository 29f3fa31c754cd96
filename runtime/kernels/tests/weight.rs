//! Dequantization against the bits that ggml's own functions give.

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
