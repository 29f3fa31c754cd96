//! How fast the cores read main memory.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// Passes over the buffers, unless they take longer than this together.
const PASSES: usize = 6;
const LONGEST: Duration = Duration::from_secs(5);

/// Bytes of a second that all cores together read from memory: the best of several passes over what no cache holds, and over no more than `most` bytes.
pub(crate) fn bandwidth(most: u64) -> f64 {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let all = (largest_cache() * 4).max(1 << 30).min(usize::try_from(most).unwrap_or(usize::MAX)).max(1 << 20);
    let each = all / threads / 2;
    // Comparing two halves is a read of both at the speed of the C library's best instructions, whatever this program's profile is.
    let halves: Vec<(Vec<u8>, Vec<u8>)> = (0..threads).map(|_| (vec![1; each], vec![1; each])).collect();
    let pass = || {
        let begun = Instant::now();
        thread::scope(|scope| {
            for (one, other) in &halves {
                scope.spawn(move || assert!(std::hint::black_box(one) == std::hint::black_box(other), "memory that changes by itself"));
            }
        });
        (2 * each * threads) as f64 / begun.elapsed().as_secs_f64()
    };
    let begun = Instant::now();
    (0..PASSES).take_while(|at| *at == 0 || begun.elapsed() < LONGEST).map(|_| pass()).fold(0.0, f64::max)
}

/// Bytes of the largest cache, or nothing known. A virtual machine may be told of a whole socket's cache; no more than 256 MiB are believed.
fn largest_cache() -> usize {
    let size = |index: usize| {
        let text = fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size")).ok()?;
        text.trim().strip_suffix('K')?.parse::<usize>().ok()
    };
    (0..8).filter_map(size).max().unwrap_or(0).saturating_mul(1024).min(256 << 20)
}
