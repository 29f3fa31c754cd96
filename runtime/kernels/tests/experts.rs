//! A mixture of experts on the CPU: every type on every target against each expert alone, to the bit; the choice and the mixture against plain f64.

mod common;

use burn::tensor::Device;
use common::{Random, bits, on_every_target, tensor, values, weight};
use hearth_kernels::{Experts, Linear, Routes, WeightError, WeightType, set_threads};

/// Logits that choose the experts `ids`, the first with the highest.
fn logits(ids: &[usize], used: usize, experts: usize) -> Vec<f32> {
    ids.chunks_exact(used)
        .flat_map(|chosen| {
            let mut row = vec![-4.0; experts];
            chosen.iter().enumerate().for_each(|(at, &expert)| row[expert] = 2.0 - at as f32);
            row
        })
        .collect()
}

/// Any `used` different experts for each of `m` rows.
fn choices(m: usize, used: usize, experts: usize, random: &mut Random) -> Vec<usize> {
    let row = |random: &mut Random| {
        let mut all: Vec<usize> = (0..experts).collect();
        (0..used).map(|_| all.remove(random.below(all.len()))).collect::<Vec<_>>()
    };
    (0..m).flat_map(|_| row(random)).collect()
}

fn stack(ty: WeightType, count: usize, rows: usize, columns: usize, seed: u64) -> (Experts, Vec<Linear>) {
    let bytes = weight(ty, count * rows, columns, &mut Random::new(seed));
    let device = Device::flex();
    let alone = bytes.chunks_exact(bytes.len() / count).map(|bytes| Linear::new(ty, bytes, rows, columns, &device).unwrap()).collect();
    (Experts::new(ty, &bytes, count, rows, columns, &device).unwrap(), alone)
}

#[test]
fn every_type_on_every_target_is_the_product_with_each_expert_alone() {
    on_every_target(|target| {
        for (seed, ty) in WeightType::ALL.into_iter().enumerate() {
            let columns = ty.block_len().max(32) * 2;
            // Rows that fill no tile, one tile, and not the last one.
            for (count, rows, used) in [(3, 5, 2), (4, 16, 1), (7, 45, 3), (2, 300, 2)] {
                let (experts, alone) = stack(ty, count, rows, columns, seed as u64);
                let mut random = Random::new(5);
                for m in [1, 2, 19] {
                    let ids = choices(m, used, count, &mut random);
                    let routes = Routes::new(tensor(&logits(&ids, used, count), count), used);
                    let x = random.floats(m * used * columns);
                    // A row for each, and a row for all of a row's experts.
                    for each in [1, used] {
                        let x = &x[..m * used / each * columns];
                        let got = values(experts.forward(tensor(x, columns), &routes));
                        assert_eq!(got.len(), m * used * rows);
                        for (at, got) in got.chunks_exact(rows).enumerate() {
                            let want = values(alone[ids[at]].forward(tensor(&x[at / each * columns..][..columns], columns)));
                            assert!(
                                bits(got) == bits(&want),
                                "{target:?} {ty:?} {count}x{rows}x{columns}: row {at} of {m} with expert {}",
                                ids[at]
                            );
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn threads_change_no_bit() {
    for ty in [WeightType::Q4K, WeightType::F16] {
        let (count, rows, columns, used, m) = (9, 531, 512, 4, 21);
        let (experts, _) = stack(ty, count, rows, columns, 2);
        let mut random = Random::new(3);
        let ids = choices(m, used, count, &mut random);
        let routes = Routes::new(tensor(&logits(&ids, used, count), count), used);
        let x = tensor(&random.floats(m * columns), columns);
        let mut first = None;
        for threads in [1, 2, 3] {
            set_threads(threads);
            let got = bits(&values(experts.forward(x.clone(), &routes)));
            assert!(first.get_or_insert_with(|| got.clone()) == &got, "{ty:?} with {threads} threads");
        }
        set_threads(0);
    }
}

#[test]
fn the_highest_logits_choose_and_weigh() {
    // The second and the fourth are equal: the lower number comes first.
    let logits = [0.5f32, 2.0, -1.0, 2.0, 1.0, f32::NEG_INFINITY];
    let routes = Routes::new(tensor(&logits, 6), 3);
    // Experts of one row that answer with their number.
    let numbers: Vec<u8> = (0..6).flat_map(|number| (number as f32).to_le_bytes()).collect();
    let experts = Experts::new(WeightType::F32, &numbers, 6, 1, 1, &Device::flex()).unwrap();
    let results = experts.forward(tensor(&[1.0], 1), &routes);
    assert_eq!(values(results.clone()), [1.0, 3.0, 4.0]);
    let total = 2.0 + (-1f64).exp();
    let want = (1.0 + 3.0 + 4.0 * (-1f64).exp()) / total;
    let got = f64::from(values(routes.mix(results))[0]);
    assert!((got - want).abs() < 1e-6, "{got} and not {want}");
}

#[test]
fn a_mixture_is_the_weighted_sum_whatever_is_beside_it() {
    let (m, used, experts, columns) = (40, 4, 16, 700);
    let mut random = Random::new(4);
    let (logits, x) = (random.floats(m * experts), random.floats(m * used * columns));
    let mixed = |rows: std::ops::Range<usize>| {
        let routes = Routes::new(tensor(&logits[rows.start * experts..rows.end * experts], experts), used);
        values(routes.mix(tensor(&x[rows.start * used * columns..rows.end * used * columns], columns)))
    };
    let together = mixed(0..m);
    for row in 0..m {
        assert_eq!(bits(&mixed(row..row + 1)), bits(&together[row * columns..(row + 1) * columns]), "row {row}");
        let mut chosen: Vec<f64> = logits[row * experts..(row + 1) * experts].iter().map(|&logit| f64::from(logit)).collect();
        chosen.sort_by(|a, b| b.total_cmp(a));
        let weights: Vec<f64> = chosen[..used].iter().map(|logit| logit.exp()).collect();
        let total: f64 = weights.iter().sum();
        for column in 0..columns {
            let want: f64 = (0..used).map(|at| weights[at] / total * f64::from(x[(row * used + at) * columns + column])).sum();
            assert!((f64::from(together[row * columns + column]) - want).abs() < 1e-6, "row {row}, column {column}");
        }
    }
}

#[test]
fn no_rows_give_no_rows() {
    let (experts, _) = stack(WeightType::Q8_0, 3, 20, 32, 1);
    let routes = Routes::new(tensor(&[], 3).reshape([0, 3]), 2);
    let results = experts.forward(tensor(&[], 32).reshape([0, 32]), &routes);
    assert_eq!(results.dims(), [0, 20]);
    assert_eq!(routes.mix(results).dims(), [0, 20]);
}

#[test]
fn tiles_that_were_kept_compute_the_same_and_wrong_lengths_are_refused() {
    let (ty, count, rows, columns) = (WeightType::Q5K, 3, 21, 256);
    let bytes = weight(ty, count * rows, columns, &mut Random::new(1));
    let mut tiles = vec![0; Experts::tile_bytes(ty, count, rows, columns).unwrap()];
    Experts::pack(ty, &bytes, count, rows, columns, &mut tiles).unwrap();
    let kept = Experts::from_tiles(ty, count, rows, columns, tiles.clone().into()).unwrap();
    let made = Experts::new(ty, &bytes, count, rows, columns, &Device::flex()).unwrap();
    let routes = Routes::new(tensor(&[0.0, 2.0, 1.0], 3), 3);
    let x = tensor(&Random::new(2).floats(columns), columns);
    assert_eq!(values(kept.forward(x.clone(), &routes)), values(made.forward(x, &routes)));

    let length = |error: WeightError| assert!(matches!(error, WeightError::Length { rows: 63, .. }), "{error}");
    length(Experts::new(ty, &bytes[1..], count, rows, columns, &Device::flex()).unwrap_err());
    length(Experts::pack(ty, &bytes, count, rows, columns, &mut tiles[1..]).unwrap_err());
    length(Experts::from_tiles(ty, count, rows, columns, tiles[1..].to_vec().into()).unwrap_err());
    assert!(matches!(Experts::new(ty, &bytes, count, rows, 255, &Device::flex()), Err(WeightError::Block { .. })));
    assert!(Experts::tile_bytes(ty, count, rows, 255).is_none());
}
