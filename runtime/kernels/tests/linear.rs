//! Linear and embedding on the CPU: every type on every target against its dequantized weight, and to the bit against itself in other company.

mod common;

use burn::tensor::Device;
use common::{Random, bits, dequantized, on_every_target, tensor, values, weight};
use hearth_kernels::{Activation, Linear, WeightError, WeightType, gated, set_threads};

/// Shapes with rows that fill no tile, one tile, and not the last one, each at least two blocks wide.
fn shapes(ty: WeightType) -> Vec<(usize, usize)> {
    let block = ty.block_len();
    if block == 1 {
        vec![(1, 1), (16, 37), (45, 128), (300, 66)]
    } else {
        vec![(1, block), (16, 2 * block), (45, 3 * block), (300, 2 * block)]
    }
}

fn make(ty: WeightType, rows: usize, columns: usize, seed: u64) -> (Linear, Vec<f32>) {
    let bytes = weight(ty, rows, columns, &mut Random::new(seed));
    let linear = Linear::new(ty, &bytes, rows, columns, &Device::flex()).unwrap();
    assert_eq!((linear.rows(), linear.columns()), (rows, columns));
    (linear, dequantized(ty, &bytes, rows * columns))
}

/// For each result the exact one and the sum of its terms' magnitudes.
fn reference(weight: &[f32], x: &[f32], columns: usize) -> Vec<(f64, f64)> {
    let row = |x: &[f32], w: &[f32]| {
        let terms = x.iter().zip(w).map(|(&x, &w)| f64::from(x) * f64::from(w));
        terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
    };
    x.chunks_exact(columns).flat_map(|x| weight.chunks_exact(columns).map(move |w| row(x, w))).collect()
}

#[test]
fn every_type_on_every_target_is_the_dequantized_product() {
    on_every_target(|target| {
        for (seed, ty) in WeightType::ALL.into_iter().enumerate() {
            for (rows, columns) in shapes(ty) {
                let (linear, w) = make(ty, rows, columns, seed as u64);
                // Activations that eight bits hold exactly: what remains is the rounding of f32 sums. Each block of 32 has another size.
                let mut random = Random::new(77);
                let x: Vec<f32> = (0..3 * columns)
                    .map(|i| {
                        let integer = if i % 32 == 5 { 127.0 } else { (random.float() * 127.0).round() };
                        integer * if i / 32 % 2 == 0 { 0.25 } else { 0.031_25 }
                    })
                    .collect();
                let got = values(linear.forward(tensor(&x, columns)));
                assert_eq!(got.len(), 3 * rows);
                for (i, (&got, (want, size))) in got.iter().zip(reference(&w, &x, columns)).enumerate() {
                    // Codes, scale and minimum are multiplied one after the other: the size of a term is that of its parts, up to 16 times the whole.
                    let tolerance = 2e-5 * size + 1e-4;
                    assert!((f64::from(got) - want).abs() <= tolerance, "{target:?} {ty:?} {rows}x{columns} at {i}: {got} and not {want}");
                }
            }
        }
    });
}

#[test]
fn quantized_activations_stay_within_their_rounding() {
    on_every_target(|target| {
        for ty in WeightType::ALL {
            let (rows, columns) = (40, 512);
            let (linear, w) = make(ty, rows, columns, 3);
            let x = Random::new(4).floats(2 * columns);
            let got = values(linear.forward(tensor(&x, columns)));
            for (i, (&got, (want, size))) in got.iter().zip(reference(&w, &x, columns)).enumerate() {
                let (x, w) = (&x[i / rows * columns..][..columns], &w[i % rows * columns..][..columns]);
                // Half a step of the activations' scale for each element.
                let steps = x.chunks(32).zip(w.chunks(32)).map(|(x, w)| {
                    let max = x.iter().fold(0.0f32, |max, x| max.max(x.abs()));
                    f64::from(max) / 254.0 * w.iter().map(|w| f64::from(w.abs())).sum::<f64>()
                });
                let tolerance = if ty.is_float() { 0.0 } else { steps.sum() } * 1.001 + 2e-5 * size + 1e-4;
                assert!((f64::from(got) - want).abs() <= tolerance, "{target:?} {ty:?} at {i}: {got} and not {want}");
            }
        }
    });
}

#[test]
fn a_row_does_not_depend_on_its_company_nor_on_target_or_threads() {
    // Large enough to go over several threads.
    for ty in WeightType::ALL {
        let (rows, columns) = (531, 512);
        let (linear, _) = make(ty, rows, columns, 9);
        let x = Random::new(10).floats(21 * columns);
        let mut alone: Option<Vec<u32>> = None;
        on_every_target(|target| {
            for threads in [1, 2, 3] {
                set_threads(threads);
                let one: Vec<u32> = x.chunks_exact(columns).flat_map(|x| bits(&values(linear.forward(tensor(x, columns))))).collect();
                assert!(alone.get_or_insert_with(|| one.clone()) == &one, "{ty:?} on {target:?} with {threads} threads");
                for m in [2, 3, 4, 5, 6, 7, 8, 9, 21] {
                    let many = bits(&values(linear.forward(tensor(&x[..m * columns], columns))));
                    assert!(many == one[..m * rows], "{ty:?} on {target:?} with {threads} threads and {m} rows");
                }
            }
        });
    }
    set_threads(0);
}

#[test]
fn several_weights_in_one_operation_are_the_same_to_the_bit() {
    // Types that quantize activations alike and otherwise or not at all, with and without minimums; rows that fill no last tile; the second group has work for threads.
    let types = [
        [WeightType::Q4_1, WeightType::Q4_1, WeightType::Q4_1],
        [WeightType::Q4K, WeightType::Q8_0, WeightType::Q6K],
        [WeightType::F16, WeightType::Q5_0, WeightType::F32],
    ];
    for (types, rows) in types.into_iter().flat_map(|types| [[37, 16, 5], [531, 200, 45]].map(|rows| (types, rows))) {
        let columns = 512;
        let [a, b, c] = std::array::from_fn(|i| make(types[i], rows[i], columns, i as u64).0);
        let up = make(types[1], rows[0], columns, 7).0;
        let x = Random::new(31).floats(9 * columns);
        let base = Random::new(32).floats(9 * rows[0]);
        on_every_target(|target| {
            for (threads, m) in [1, 2, 3].into_iter().flat_map(|threads| [1, 2, 5, 9].map(|m| (threads, m))) {
                set_threads(threads);
                let of = format!("{types:?} {rows:?} on {target:?} with {threads} threads and {m} rows");
                let x = || tensor(&x[..m * columns], columns);
                let base = || tensor(&base[..m * rows[0]], rows[0]);
                for (got, alone) in Linear::forward_three([&a, &b, &c], x()).into_iter().zip([&a, &b, &c]) {
                    assert_eq!(got.dims(), [m, alone.rows()]);
                    assert!(bits(&values(got)) == bits(&values(alone.forward(x()))), "three of {of}");
                }
                for activation in [Activation::Silu, Activation::GeluTanh] {
                    let got = Linear::forward_gated(&a, &up, x(), activation);
                    assert!(
                        bits(&values(got)) == bits(&values(gated(a.forward(x()), up.forward(x()), activation))),
                        "{activation:?} of {of}"
                    );
                }
                let (kept, got) = (base(), a.add_forward(base(), x()));
                assert!(bits(&values(got)) == bits(&values(kept + a.forward(x()))), "sum of {of}");
            }
        });
    }
    set_threads(0);
}

#[test]
fn what_is_added_to_is_copied_where_it_is_shared() {
    let (linear, _) = make(WeightType::Q8_0, 20, 64, 1);
    let (x, base) = (Random::new(2).floats(64), Random::new(3).floats(20));
    let shared = tensor(&base, 20);
    linear.add_forward(shared.clone(), tensor(&x, 64));
    assert_eq!(values(shared), base);
    let gate = tensor(&base, 20);
    gated(gate.clone(), tensor(&base, 20), Activation::Silu);
    assert_eq!(values(gate), base);
}

#[test]
#[should_panic(expected = "what the product is added to")]
fn a_sum_of_another_shape_is_refused() {
    let (linear, _) = make(WeightType::Q8_0, 20, 64, 1);
    linear.add_forward(tensor(&[0.0; 16], 16), tensor(&[0.0; 64], 64));
}

#[test]
fn embedding_rows_are_the_dequantized_ones_to_the_bit() {
    for ty in WeightType::ALL {
        for (rows, columns) in shapes(ty) {
            let (linear, w) = make(ty, rows, columns, 21);
            let mut random = Random::new(1);
            let ids: Vec<u32> = (0..20).map(|_| random.below(rows) as u32).chain([rows as u32 - 1]).collect();
            let got = values(linear.embed(&ids));
            for (&id, got) in ids.iter().zip(got.chunks_exact(columns)) {
                assert_eq!(bits(got), bits(&w[id as usize * columns..][..columns]), "{ty:?} {rows}x{columns} row {id}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "token 16 of an embedding with 16 rows")]
fn an_embedding_has_no_row_past_its_last() {
    make(WeightType::Q8_0, 16, 32, 1).0.embed(&[3, 16]);
}

#[test]
fn strided_activations_are_read_in_order() {
    let (linear, _) = make(WeightType::Q8_0, 20, 64, 1);
    let x = Random::new(2).floats(3 * 64);
    let turned: Vec<f32> = (0..x.len()).map(|i| x[i % 3 * 64 + i / 3]).collect();
    let strided = tensor(&turned, 3).transpose();
    assert_eq!(values(linear.forward(strided)), values(linear.forward(tensor(&x, 64))));
    let wide = tensor(&x, 3 * 64).slice([0..1, 64..128]);
    assert_eq!(values(linear.forward(wide)), values(linear.forward(tensor(&x[64..128], 64))));
}

#[test]
fn wrong_lengths_are_refused() {
    let device = Device::flex();
    let short = Linear::new(WeightType::Q4_0, &[0; 17], 1, 32, &device).unwrap_err();
    assert!(matches!(short, WeightError::Length { need: 18, got: 17, .. }), "{short}");
    let ragged = Linear::new(WeightType::Q4K, &[0; 144], 1, 128, &device).unwrap_err();
    assert_eq!(ragged.to_string(), "a row of 128 elements is not a multiple of the 256-element block of type Q4K");
    assert!(Linear::new(WeightType::F32, &[], usize::MAX, 4, &device).is_err());
    assert!(Linear::new(WeightType::F32, &[], 0, 4, &device).is_err());
}
