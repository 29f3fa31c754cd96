//! Norm, rotary embedding and gated activation.

use hearth_kernels::{Activation, Batch, Rope, RopeStyle, Step, gated, rms_norm, rope};

use crate::{assert_near, gpu, reference::Noise, tensor, values};

#[test]
fn rms_norm_of_rows_and_of_heads() {
    let Some(device) = gpu() else { return };
    let mut noise = Noise::new(10);
    for (m, n, len) in [(1, 576, 576), (5, 640, 640), (3, 12, 4), (7, 1024, 256), (2, 33, 33)] {
        let (x, weight) = (noise.floats(m * n), noise.floats(len));
        let eps = 1e-5;
        let got = values(rms_norm(tensor(&x, [m, n], &device), &tensor(&weight, [len], &device), eps));
        let want: Vec<f64> = x
            .chunks_exact(len)
            .flat_map(|group| {
                let mean = group.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() / len as f64;
                let scale = 1.0 / (mean + f64::from(eps)).sqrt();
                group.iter().zip(&weight).map(move |(&v, &w)| f64::from(v) * scale * f64::from(w))
            })
            .collect();
        assert_near(&format!("{m}x{n} by {len}"), &got, &want, |i| 2e-6 * want[i].abs() + 1e-9);
    }
}

#[test]
fn rope_turns_pairs_at_near_and_far_positions() {
    let Some(device) = gpu() else { return };
    let mut noise = Noise::new(11);
    let positions = [0, 1, 2, 63, 777, 8191, 32_767];
    let step = Step::new(
        &Batch {
            tokens: vec![0; positions.len()],
            positions: positions.to_vec(),
            sequences: vec![0; positions.len()],
            tables: vec![vec![0]],
            outputs: vec![],
        },
        &device,
    );
    for style in [RopeStyle::Interleaved, RopeStyle::Half] {
        for (heads, head_dim, rotated, magnitude) in [(3, 64, 64, 1.0), (1, 256, 256, 1.25), (2, 80, 32, 0.5)] {
            let width = heads * head_dim;
            let x = noise.floats(positions.len() * width);
            let frequencies: Vec<f32> = (0..rotated / 2).map(|i| 10_000f32.powf(-2.0 * i as f32 / rotated as f32)).collect();
            let embedding = Rope { frequencies: tensor(&frequencies, [rotated / 2], &device), magnitude, style };
            let got = values(rope(tensor(&x, [positions.len(), width], &device), &step, &embedding, head_dim));
            let mut want: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
            for (row, &position) in want.chunks_exact_mut(width).zip(&positions) {
                for head in row.chunks_exact_mut(head_dim) {
                    for (i, &frequency) in frequencies.iter().enumerate() {
                        let (a, b) = match style {
                            RopeStyle::Interleaved => (2 * i, 2 * i + 1),
                            RopeStyle::Half => (i, i + rotated / 2),
                        };
                        // The angle is rounded to f32, as every implementation does.
                        let (sin, cos) = f64::from(position as f32 * frequency).sin_cos();
                        let (sin, cos) = (sin * f64::from(magnitude), cos * f64::from(magnitude));
                        (head[a], head[b]) = (head[a] * cos - head[b] * sin, head[a] * sin + head[b] * cos);
                    }
                }
            }
            assert_near(&format!("{style:?}, {heads} heads of {head_dim}, {rotated} turned"), &got, &want, |_| 1e-6);
        }
    }
}

#[test]
fn gated_activations_hold_at_the_extremes() {
    let Some(device) = gpu() else { return };
    let mut noise = Noise::new(12);
    let mut gate: Vec<f32> = noise.floats(4 * 75).iter().map(|v| 8.0 * v).collect();
    gate[..8].copy_from_slice(&[0.0, 100.0, -100.0, 1e4, -1e4, 3e5, -3e5, -0.0]);
    let up = noise.floats(gate.len());
    for activation in [Activation::Silu, Activation::GeluTanh] {
        let got = values(gated(tensor(&gate, [4, 75], &device), tensor(&up, [4, 75], &device), activation));
        let want: Vec<f64> = gate
            .iter()
            .zip(&up)
            .map(|(&x, &up)| {
                let x = f64::from(x);
                let y = match activation {
                    Activation::Silu => x / (1.0 + (-x).exp()),
                    Activation::GeluTanh => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x)).tanh()),
                };
                y * f64::from(up)
            })
            .collect();
        assert_near(&format!("{activation:?}"), &got, &want, |i| 4e-6 * want[i].abs() + 1e-6);
    }
}
