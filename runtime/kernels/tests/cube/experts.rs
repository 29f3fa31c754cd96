//! A mixture of experts: the choice, the product of every type, and the mixture.

use hearth_kernels::{Experts, Routes, WeightType};

use crate::{assert_near, gpu, reference, reference::Noise, tensor, values};

/// f32 sums of products in any order.
const TOLERANCE: f64 = 4e-6;

/// The `used` largest of each row's logits, the lower number first among equals.
fn chosen(logits: &[f32], experts: usize, used: usize) -> Vec<usize> {
    logits
        .chunks_exact(experts)
        .flat_map(|row| {
            let mut order: Vec<usize> = (0..experts).collect();
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
            order.truncate(used);
            order
        })
        .collect()
}

#[test]
fn every_type_goes_through_the_chosen_experts() {
    let Some(device) = gpu() else { return };
    let mut noise = Noise::new(21);
    for ty in WeightType::ALL {
        let columns = if ty.is_float() { 45 } else { ty.block_len() * 3 };
        for (count, rows, used, m) in [(3, 5, 2, 1), (7, 45, 3, 19), (70, 8, 8, 2)] {
            let bytes = noise.weights(ty, count * rows * columns);
            let mut weights = vec![0.0; count * rows * columns];
            ty.dequantize(&bytes, &mut weights);
            let experts = Experts::new(ty, &bytes, count, rows, columns, &device).expect("whole blocks");
            let logits = noise.floats(m * count);
            let ids = chosen(&logits, count, used);
            let routes = Routes::new(tensor(&logits, [m, count], &device), used);
            let x = noise.floats(m * used * columns);
            // A row for each, and a row for all of a row's experts.
            for each in [1, used] {
                let x = &x[..m * used / each * columns];
                let got = experts.forward(tensor(x, [m * used / each, columns], &device), &routes);
                assert_eq!(got.dims(), [m * used, rows]);
                let got = values(got);
                for (at, &id) in ids.iter().enumerate() {
                    let x = &x[at / each * columns..][..columns];
                    let (want, scale) = reference::linear(x, &weights[id * rows * columns..][..rows * columns], columns);
                    let what = format!("{ty:?}, {used} of {count} experts of {rows}x{columns}, row {at}");
                    assert_near(&what, &got[at * rows..(at + 1) * rows], &want, |i| TOLERANCE * scale[i] + 1e-9);
                }
            }
        }
    }
}

#[test]
fn a_row_does_not_depend_on_the_others() {
    let Some(device) = gpu() else { return };
    let mut noise = Noise::new(22);
    let (ty, count, rows, columns, used, m) = (WeightType::Q4K, 9, 29, 768, 4, 13);
    let bytes = noise.weights(ty, count * rows * columns);
    let experts = Experts::new(ty, &bytes, count, rows, columns, &device).expect("whole blocks");
    let (logits, x) = (noise.floats(m * count), noise.floats(m * columns));
    let run = |from: usize, to: usize| {
        let routes = Routes::new(tensor(&logits[from * count..to * count], [to - from, count], &device), used);
        let results = experts.forward(tensor(&x[from * columns..to * columns], [to - from, columns], &device), &routes);
        values(routes.mix(results))
    };
    let together = run(0, m);
    for row in 0..m {
        assert_eq!(run(row, row + 1), together[row * rows..(row + 1) * rows], "row {row} alone and among {m}");
    }
}

#[test]
fn the_highest_logits_choose_and_weigh() {
    let Some(device) = gpu() else { return };
    let mut noise = Noise::new(23);
    for (m, experts, used) in [(1, 6, 6), (5, 128, 8), (3, 65, 1), (2, 200, 17)] {
        // Many are equal.
        let logits: Vec<f32> = noise.floats(m * experts).iter().map(|logit| (logit * 20.0).round() / 4.0).collect();
        let routes = Routes::new(tensor(&logits, [m, experts], &device), used);
        let numbers: Vec<u8> = (0..experts).flat_map(|number| (number as f32).to_le_bytes()).collect();
        let stack = Experts::new(WeightType::F32, &numbers, experts, 1, 1, &device).expect("whole rows");
        let results = stack.forward(tensor(&vec![1.0; m], [m, 1], &device), &routes);
        let ids = chosen(&logits, experts, used);
        let answers: Vec<f32> = ids.iter().map(|&id| id as f32).collect();
        assert_eq!(values(results.clone()), answers);
        let want: Vec<f64> = ids
            .chunks_exact(used)
            .zip(logits.chunks_exact(experts))
            .map(|(ids, logits)| {
                let weights: Vec<f64> = ids.iter().map(|&id| f64::from(logits[id]).exp()).collect();
                weights.iter().zip(ids).map(|(weight, &id)| weight * id as f64).sum::<f64>() / weights.iter().sum::<f64>()
            })
            .collect();
        assert_near(&format!("{used} of {experts}"), &values(routes.mix(results)), &want, |_| 1e-5 * experts as f64);
    }
}

/// In two buffers, as the adapters that let a kernel read 128 MiB from one need for 128 experts at 8 bits.
#[test]
fn a_stack_larger_than_a_buffer_works() {
    let Some(device) = gpu() else { return };
    let (ty, count, rows, columns) = (WeightType::Q8_0, 3, 70_016, 640);
    let mut noise = Noise::new(24);
    let period = noise.weights(ty, 1021 * columns);
    let row_bytes = columns / 32 * 34;
    let bytes: Vec<u8> = period.iter().copied().cycle().take(count * rows * row_bytes).collect();
    let experts = Experts::new(ty, &bytes, count, rows, columns, &device).expect("whole blocks");
    let routes = Routes::new(tensor(&[0.0, 1.0, 2.0], [1, count], &device), count);
    let x = noise.floats(columns);
    let got = values(experts.forward(tensor(&x, [1, columns], &device), &routes));
    for (at, id) in (0..count).rev().enumerate() {
        for row in [0, 777, rows - 1] {
            let mut weight = vec![0.0; columns];
            ty.dequantize(&bytes[(id * rows + row) * row_bytes..][..row_bytes], &mut weight);
            let (want, scale) = reference::linear(&x, &weight, columns);
            assert_near(&format!("row {row} of expert {id}"), &[got[at * rows + row]], &want, |i| TOLERANCE * scale[i]);
        }
    }
}
