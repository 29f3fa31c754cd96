//! Every weight type, packed, multiplied and looked up.

use hearth_kernels::{Activation, Linear, WeightType, gated};

use crate::{assert_near, gpu, reference, reference::Noise, tensor, values};

/// f32 sums of products in any order: a few units in the last place of what is summed.
const TOLERANCE: f64 = 4e-6;

fn dequantized(ty: WeightType, bytes: &[u8], elements: usize) -> Vec<f32> {
    let mut out = vec![0.0; elements];
    ty.dequantize(bytes, &mut out);
    out
}

/// Row lengths with tails: no multiple of a word, of the lanes' stride, of a power of two.
fn columns(ty: WeightType) -> &'static [usize] {
    match ty.block_len() {
        1 => &[1, 45, 576],
        32 => &[32, 96, 576],
        _ => &[256, 768],
    }
}

#[test]
fn every_type_multiplies() {
    let Some(device) = gpu() else { return };
    let mut noise = Noise::new(1);
    for ty in WeightType::ALL {
        for &columns in columns(ty) {
            for (rows, m) in [(1, 1), (37, 1), (37, 2), (64, 8), (13, 19)] {
                let bytes = noise.weights(ty, rows * columns);
                let x = noise.floats(m * columns);
                let linear = Linear::new(ty, &bytes, rows, columns, &device).expect("whole blocks");
                let (want, scale) = reference::linear(&x, &dequantized(ty, &bytes, rows * columns), columns);
                let got = linear.forward(tensor(&x, [m, columns], &device));
                assert_eq!(got.dims(), [m, rows]);
                assert_near(&format!("{ty:?} {rows}x{columns}, m = {m}"), &values(got), &want, |i| TOLERANCE * scale[i] + 1e-9);
            }
        }
    }
}

#[test]
fn a_row_does_not_depend_on_the_others() {
    let Some(device) = gpu() else { return };
    let mut noise = Noise::new(2);
    for ty in WeightType::ALL {
        let (rows, columns, m) = (29, 768, 19);
        let bytes = noise.weights(ty, rows * columns);
        let linear = Linear::new(ty, &bytes, rows, columns, &device).expect("whole blocks");
        let x = noise.floats(m * columns);
        let together = values(linear.forward(tensor(&x, [m, columns], &device)));
        for (row, x) in x.chunks_exact(columns).enumerate() {
            let alone = values(linear.forward(tensor(x, [1, columns], &device)));
            assert_eq!(alone, together[row * rows..(row + 1) * rows], "{ty:?}: row {row} alone and among {m}");
        }
    }
}

#[test]
fn several_weights_in_one_operation_are_the_same_to_the_bit() {
    let Some(device) = gpu() else { return };
    let mut noise = Noise::new(5);
    let (columns, m) = (256, 3);
    let mut weight =
        |ty: WeightType, rows| Linear::new(ty, &noise.weights(ty, rows * columns), rows, columns, &device).expect("whole blocks");
    let [a, b, c, up] =
        [weight(WeightType::Q4K, 37), weight(WeightType::Q8_0, 16), weight(WeightType::F16, 5), weight(WeightType::Q6K, 37)];
    let (x, base) = (noise.floats(m * columns), noise.floats(m * 37));
    let (x, base) = (|| tensor(&x, [m, columns], &device), || tensor(&base, [m, 37], &device));
    for (got, alone) in Linear::forward_three([&a, &b, &c], x()).into_iter().zip([&a, &b, &c]) {
        assert_eq!(values(got), values(alone.forward(x())));
    }
    let got = Linear::forward_gated(&a, &up, x(), Activation::GeluTanh);
    assert_eq!(values(got), values(gated(a.forward(x()), up.forward(x()), Activation::GeluTanh)));
    assert_eq!(values(a.add_forward(base(), x())), values(base() + a.forward(x())));
}

#[test]
fn every_type_embeds() {
    let Some(device) = gpu() else { return };
    let mut noise = Noise::new(3);
    for ty in WeightType::ALL {
        for &columns in columns(ty) {
            let rows = 21;
            let bytes = noise.weights(ty, rows * columns);
            let linear = Linear::new(ty, &bytes, rows, columns, &device).expect("whole blocks");
            let weight = dequantized(ty, &bytes, rows * columns);
            let ids = [20, 0, 7, 7, 13];
            let want: Vec<f64> = ids.iter().flat_map(|&id| &weight[id as usize * columns..][..columns]).map(|&w| f64::from(w)).collect();
            let got = linear.embed(&ids);
            assert_eq!(got.dims(), [ids.len(), columns]);
            // Only where a minimum is subtracted may a fused rounding differ from ggml's two.
            let largest = weight.iter().fold(0.0f32, |largest, w| largest.max(w.abs()));
            assert_near(&format!("{ty:?} x{columns}"), &values(got), &want, |_| 1e-6 * f64::from(largest));
        }
    }
}

#[test]
fn halves_are_read_to_the_bit() {
    let Some(device) = gpu() else { return };
    // Every finite half: zeros of both signs, subnormals, normals.
    let halves: Vec<u16> = (0..=u16::MAX).filter(|bits| bits & 0x7c00 != 0x7c00).collect();
    let bytes: Vec<u8> = halves.iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let columns = 256;
    let rows = halves.len() / columns;
    let linear = Linear::new(WeightType::F16, &bytes, rows, columns, &device).expect("whole rows");
    let ids: Vec<u32> = (0..rows as u32).collect();
    let got = values(linear.embed(&ids));
    for (bits, got) in halves.iter().zip(got) {
        assert_eq!(got.to_bits(), half::f16::from_bits(*bits).to_f32().to_bits(), "half {bits:#06x}");
    }
}

/// Gemma's vocabulary is larger, at 8 bits, than the 128 MiB that many adapters let a kernel read from one buffer.
#[test]
fn a_weight_larger_than_a_buffer_works() {
    let Some(device) = gpu() else { return };
    let (rows, columns, ty) = (262_144, 640, WeightType::Q8_0);
    let mut noise = Noise::new(4);
    let period = noise.weights(ty, 1021 * columns);
    let row_bytes = columns / 32 * 34;
    let bytes: Vec<u8> = period.iter().copied().cycle().take(rows * row_bytes).collect();
    let linear = Linear::new(ty, &bytes, rows, columns, &device).expect("whole blocks");
    let row = |row: usize| dequantized(ty, &bytes[row * row_bytes..(row + 1) * row_bytes], columns);
    let picked = [0, 262_143, 1, 200_000, 209_714, 209_715, 209_716, 100_000, 262_143];
    let ids: Vec<u32> = picked.iter().map(|&row| row as u32).collect();
    let want: Vec<f64> = picked.iter().flat_map(|&id| row(id)).map(f64::from).collect();
    assert_near("embedding", &values(linear.embed(&ids)), &want, |_| 1e-6);
    for m in [1, 3] {
        let x = noise.floats(m * columns);
        let got = values(linear.forward(tensor(&x, [m, columns], &device)));
        for line in 0..m {
            for feature in picked {
                let (want, scale) = reference::linear(&x[line * columns..(line + 1) * columns], &row(feature), columns);
                assert_near(&format!("feature {feature}"), &[got[line * rows + feature]], &want, |i| TOLERANCE * scale[i]);
            }
        }
    }
}
