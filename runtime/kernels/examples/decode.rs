//! How fast each weight type's tiles are read by a single row (decoding) and multiplied with 512 rows (prefill), with 1 and 2 threads:
//! `cargo run --release -p hearth-kernels --example decode [scalar|avx2|avxvnni|avx512|neon|neondot|simd128]`.

use std::{hint::black_box, time::Instant};

use burn::tensor::{DType, Device, Tensor};
use hearth_kernels::{Linear, Target, WeightType, cpu_description, set_threads};

/// Output and input features: with most types more than a cache holds.
const ROWS: usize = 32_768;
const COLUMNS: usize = 2048;

fn main() {
    if let Some(name) = std::env::args().nth(1) {
        let target = Target::available().into_iter().find(|target| format!("{target:?}").eq_ignore_ascii_case(&name));
        assert!(target.is_some_and(Target::choose), "this CPU has {:?}", Target::available());
    }
    let device = Device::flex();
    for threads in [1, 2] {
        set_threads(threads);
        println!("{}: copying memory {:.1} GB/s", cpu_description(), copy());
        for ty in WeightType::ALL {
            let bytes = vec![0x21; ty.bytes_of(ROWS * COLUMNS).unwrap()];
            let linear = Linear::new(ty, &bytes, ROWS, COLUMNS, &device).unwrap();
            let small = Linear::new(ty, &bytes[..bytes.len() / 16], ROWS / 16, COLUMNS, &device).unwrap();
            drop(bytes);
            let x = |m: usize| Tensor::<2>::ones([m, COLUMNS], (&device, DType::F32));
            let (one, many) = (x(1), x(512));
            let decode = best(9, || drop(black_box(linear.forward(one.clone()))));
            let prefill = best(3, || drop(black_box(small.forward(many.clone()))));
            let bits = linear.bytes() as f64 * 8.0 / (ROWS * COLUMNS) as f64;
            println!(
                "  {ty:<5?} {bits:5.2} bits a weight   decode {:6.1} GB/s   prefill {:6.0} GOP/s",
                linear.bytes() as f64 / decode / 1e9,
                2.0 * 512.0 * (ROWS / 16 * COLUMNS) as f64 / prefill / 1e9
            );
        }
    }
}

/// The shortest of several runs, in seconds.
fn best(runs: usize, mut run: impl FnMut()) -> f64 {
    let once = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..runs).map(once).fold(f64::MAX, f64::min)
}

/// Bytes read and written a second by one thread's copy, in GB/s.
fn copy() -> f64 {
    let from = vec![1u8; 128 << 20];
    let mut to = vec![0u8; from.len()];
    let seconds = best(5, || black_box(&mut to).copy_from_slice(black_box(&from)));
    2.0 * from.len() as f64 / seconds / 1e9
}
