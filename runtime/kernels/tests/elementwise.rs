//! Norm, RoPE and the gated activation on the CPU, against plain f64.

mod common;

use burn::tensor::Device;
use common::{Random, bits, on_every_target, tensor, values, vector};
use hearth_kernels::{Activation, Batch, Rope, RopeStyle, Step, gated, rms_norm, rope};

fn close(got: &[f32], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len());
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(got) - want).abs() <= tolerance * (1.0 + want.abs()), "{what} at {i}: {got} and not {want}");
    }
}

/// Every target gives the bits that the first one gave.
fn same(first: &mut Option<Vec<u32>>, got: &[f32]) {
    let got = bits(got);
    assert!(first.get_or_insert_with(|| got.clone()) == &got, "targets differ");
}

#[test]
fn norms_each_group() {
    for (m, n, group) in [(1, 576, 576), (3, 640, 640), (5, 1024, 256), (2, 60, 20), (200, 640, 640)] {
        let mut random = Random::new(1);
        let (x, weight) = (random.floats(m * n), random.floats(group));
        let want: Vec<f64> = x
            .chunks_exact(group)
            .flat_map(|x| {
                let mean = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / group as f64;
                let scale = 1.0 / (mean + 1e-6).sqrt();
                x.iter().zip(&weight).map(|(&x, &w)| f64::from(x) * scale * f64::from(w)).collect::<Vec<_>>()
            })
            .collect();
        let mut first = None;
        on_every_target(|target| {
            let got = values(rms_norm(tensor(&x, n), &vector(&weight), 1e-6));
            close(&got, &want, 1e-6, &format!("norm {m}x{n} by {group} on {target:?}"));
            same(&mut first, &got);
            // A row alone has the same bits.
            let last = values(rms_norm(tensor(&x[(m - 1) * n..], n), &vector(&weight), 1e-6));
            assert_eq!(bits(&last), bits(&got[(m - 1) * n..]));
        });
    }
}

#[test]
fn rotates_pairs_of_either_style() {
    let positions = vec![0, 1, 7, 4095, 100_000];
    let step = Step::new(&Batch { positions: positions.clone(), ..Batch::default() }, &Device::flex());
    let m = positions.len();
    for (heads, head_dim, pairs, magnitude) in [(3, 64, 32, 1.0), (1, 256, 128, 1.25), (2, 20, 6, 1.0), (2, 20, 6, 0.5)] {
        let x = Random::new(5).floats(m * heads * head_dim);
        let frequencies: Vec<f32> = (0..pairs).map(|i| 10_000f32.powf(-(i as f32) / pairs as f32)).collect();
        for style in [RopeStyle::Interleaved, RopeStyle::Half] {
            let mut want: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
            for (row, want) in want.chunks_exact_mut(heads * head_dim).enumerate() {
                for head in want.chunks_exact_mut(head_dim) {
                    for (i, &frequency) in frequencies.iter().enumerate() {
                        let (a, b) = if style == RopeStyle::Half { (i, i + pairs) } else { (2 * i, 2 * i + 1) };
                        let (sin, cos) = (f64::from(positions[row]) * f64::from(frequency)).sin_cos();
                        let (sin, cos) = (sin * f64::from(magnitude), cos * f64::from(magnitude));
                        (head[a], head[b]) = (head[a] * cos - head[b] * sin, head[a] * sin + head[b] * cos);
                    }
                }
            }
            let input = tensor(&x, heads * head_dim);
            let embedding = Rope { frequencies: vector(&frequencies), magnitude, style };
            let got = values(rope(input.clone(), &step, &embedding, head_dim));
            close(&got, &want, 1e-6, &format!("rope {heads}x{head_dim} {style:?} of magnitude {magnitude}"));
            assert_eq!(values(input), x, "the operation writes in place only what nobody else holds");
        }
    }
}

#[test]
fn gates() {
    for n in [1, 100, 1536, 40_000] {
        let mut random = Random::new(8);
        let gate: Vec<f32> = random.floats(n).iter().map(|x| x * 12.0).collect();
        let up = random.floats(n);
        for activation in [Activation::Silu, Activation::GeluTanh] {
            let one = |x: f64| match activation {
                Activation::Silu => x / (1.0 + (-x).exp()),
                Activation::GeluTanh => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()),
            };
            let want: Vec<f64> = gate.iter().zip(&up).map(|(&x, &up)| one(f64::from(x)) * f64::from(up)).collect();
            let mut first = None;
            on_every_target(|target| {
                let got = values(gated(tensor(&gate, n), tensor(&up, n), activation));
                close(&got, &want, 2e-6, &format!("{activation:?} of {n} on {target:?}"));
                same(&mut first, &got);
            });
        }
    }
}

#[test]
fn extreme_gates_stay_finite() {
    let gate = [-1e30, -100.0, -88.0, 88.0, 100.0, 1e15];
    let up = [1.0; 6];
    for activation in [Activation::Silu, Activation::GeluTanh] {
        let got = values(gated(tensor(&gate, 6), tensor(&up, 6), activation));
        assert!(got.iter().all(|x| x.is_finite()), "{activation:?}: {got:?}");
        assert_eq!(&got[3..], &gate[3..]);
    }
}
