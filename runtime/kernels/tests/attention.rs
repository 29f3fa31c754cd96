//! Attention over the paged cache on the CPU: against f64 over the whole sequence, and to the bit against itself in other chunks and other company.

mod common;

use burn::tensor::Device;
use common::{Random, bits, on_every_target, tensor, values};
use half::f16;
use hearth_kernels::{AttentionShape, Batch, KvCache, KvShape, Step, attention, set_threads};

const SHAPES: [AttentionShape; 7] = [
    AttentionShape { heads: 9, kv_heads: 3, head_dim: 64, scale: 0.125, cap: None, window: None },
    AttentionShape { heads: 4, kv_heads: 1, head_dim: 256, scale: 0.0625, cap: None, window: Some(20) },
    AttentionShape { heads: 2, kv_heads: 2, head_dim: 80, scale: 0.3, cap: None, window: Some(1) },
    AttentionShape { heads: 5, kv_heads: 1, head_dim: 22, scale: 0.2, cap: None, window: None },
    AttentionShape { heads: 8, kv_heads: 2, head_dim: 128, scale: 0.1, cap: None, window: Some(5) },
    AttentionShape { heads: 4, kv_heads: 2, head_dim: 64, scale: 0.125, cap: Some(1.5), window: Some(30) },
    AttentionShape { heads: 3, kv_heads: 1, head_dim: 24, scale: 0.5, cap: Some(50.0), window: None },
];

/// A sequence's queries, keys and values for every position.
struct Sequence {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    table: Vec<u32>,
}

impl Sequence {
    fn new(shape: AttentionShape, len: usize, table: Vec<u32>, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut floats = |heads: usize, size: f32| random.floats(len * heads * shape.head_dim).iter().map(|x| x * size).collect();
        Self { q: floats(shape.heads, 2.0), k: floats(shape.kv_heads, 2.0), v: floats(shape.kv_heads, 1.0), table }
    }

    /// f64, keys and values rounded to f16 as the cache does.
    fn reference(&self, shape: AttentionShape) -> Vec<f64> {
        let AttentionShape { heads, kv_heads, head_dim, scale, cap, window } = shape;
        let rounded = |x: &[f32]| -> Vec<f64> { x.iter().map(|&x| f16::from_f32(x).to_f64()).collect() };
        let (k, v) = (rounded(&self.k), rounded(&self.v));
        let len = k.len() / (kv_heads * head_dim);
        let mut out = Vec::new();
        for row in 0..len {
            for head in 0..heads {
                let q = &self.q[(row * heads + head) * head_dim..][..head_dim];
                let at = |t: usize| (t * kv_heads + head / (heads / kv_heads)) * head_dim;
                let seen = (row + 1).saturating_sub(window.unwrap_or(len))..row + 1;
                let scores: Vec<f64> = seen
                    .clone()
                    .map(|t| k[at(t)..].iter().zip(q).map(|(k, &q)| k * f64::from(q)).sum::<f64>() * f64::from(scale))
                    .map(|score| cap.map(f64::from).map_or(score, |cap| cap * (score / cap).tanh()))
                    .collect();
                let most = scores.iter().copied().fold(f64::MIN, f64::max);
                let total: f64 = scores.iter().map(|s| (s - most).exp()).sum();
                out.extend(
                    (0..head_dim).map(|d| seen.clone().zip(&scores).map(|(t, s)| (s - most).exp() / total * v[at(t) + d]).sum::<f64>()),
                );
            }
        }
        out
    }
}

fn cache(shape: AttentionShape, blocks: usize) -> KvCache {
    KvCache::new(KvShape { layers: 2, kv_heads: shape.kv_heads, head_dim: shape.head_dim }, blocks, &Device::flex())
}

/// One step over parts `(sequence, from, to)`; gives each part's rows.
fn step(shape: AttentionShape, cache: &mut KvCache, sequences: &[Sequence], parts: &[(usize, usize, usize)]) -> Vec<Vec<f32>> {
    let mut batch = Batch { tables: parts.iter().map(|&(s, ..)| sequences[s].table.clone()).collect(), ..Batch::default() };
    let (mut q, mut k, mut v) = (Vec::new(), Vec::new(), Vec::new());
    let (wide, narrow) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
    for (i, &(s, from, to)) in parts.iter().enumerate() {
        batch.positions.extend(from as u32..to as u32);
        batch.sequences.extend((from..to).map(|_| i as u32));
        q.extend_from_slice(&sequences[s].q[from * wide..to * wide]);
        k.extend_from_slice(&sequences[s].k[from * narrow..to * narrow]);
        v.extend_from_slice(&sequences[s].v[from * narrow..to * narrow]);
    }
    let step = Step::new(&batch, &Device::flex());
    let out = values(attention(tensor(&q, wide), tensor(&k, narrow), tensor(&v, narrow), cache, 1, &step, shape));
    let mut rows = out.chunks_exact(wide);
    parts.iter().map(|&(_, from, to)| (from..to).flat_map(|_| rows.next().unwrap().to_vec()).collect()).collect()
}

#[test]
fn attends_as_f64_does_on_every_target() {
    for shape in SHAPES {
        let sequence = [Sequence::new(shape, 70, vec![6, 1, 4, 0, 5], 3)];
        let want = sequence[0].reference(shape);
        let mut first = None;
        on_every_target(|target| {
            let got = step(shape, &mut cache(shape, 7), &sequence, &[(0, 0, 70)]).remove(0);
            for (i, (&got, &want)) in got.iter().zip(&want).enumerate() {
                assert!((f64::from(got) - want).abs() < 2e-5, "{target:?} {shape:?} at {i}: {got} and not {want}");
            }
            assert!(first.get_or_insert_with(|| bits(&got)) == &bits(&got), "{target:?} differs from the first target, {shape:?}");
        });
    }
}

#[test]
fn chunks_company_and_threads_change_no_bit() {
    for shape in SHAPES {
        let sequences = [
            Sequence::new(shape, 70, vec![6, 1, 4, 0, 5], 3),
            Sequence::new(shape, 33, vec![2, 9, 3], 4),
            Sequence::new(shape, 40, vec![8, 7, 10], 5),
        ];
        let whole: Vec<Vec<f32>> = (0..3)
            .map(|s| {
                let len = sequences[s].q.len() / (shape.heads * shape.head_dim);
                step(shape, &mut cache(shape, 11), &sequences, &[(s, 0, len)]).remove(0)
            })
            .collect();
        for threads in [1, 2, 4] {
            set_threads(threads);
            let mut cache = cache(shape, 11);
            let mut got = vec![Vec::new(); 3];
            // Prefill chunks of one sequence beside single tokens and chunks of others.
            let steps: [&[(usize, usize, usize)]; 7] = [
                &[(0, 0, 5)],
                &[(0, 5, 21), (1, 0, 1)],
                &[(1, 1, 2), (0, 21, 22), (2, 0, 39)],
                &[(0, 22, 54), (1, 2, 19), (2, 39, 40)],
                &[(1, 19, 20)],
                &[(1, 20, 33), (0, 54, 69)],
                &[(0, 69, 70)],
            ];
            for parts in steps {
                for (&(s, ..), rows) in parts.iter().zip(step(shape, &mut cache, &sequences, parts)) {
                    got[s].extend(rows);
                }
            }
            for s in 0..3 {
                assert!(bits(&got[s]) == bits(&whole[s]), "sequence {s} with {threads} threads, {shape:?}");
            }
        }
    }
    set_threads(0);
}

#[test]
fn what_a_block_held_before_does_not_leak() {
    let shape = SHAPES[0];
    let mut sequences = [Sequence::new(shape, 40, vec![0, 1, 2], 3), Sequence::new(shape, 40, vec![2, 0, 1], 4)];
    for values in [&mut sequences[0].k, &mut sequences[0].v] {
        values.fill(f32::NAN);
    }
    let mut used = cache(shape, 3);
    step(shape, &mut used, &sequences, &[(0, 0, 40)]);
    let mut got = step(shape, &mut used, &sequences, &[(1, 0, 21)]).remove(0);
    got.extend(step(shape, &mut used, &sequences, &[(1, 21, 22)]).remove(0));
    let want = step(shape, &mut cache(shape, 3), &sequences, &[(1, 0, 22)]).remove(0);
    assert_eq!(bits(&got), bits(&want));
}

#[test]
#[should_panic(expected = "outside the cache of 2")]
fn a_block_outside_the_cache_is_refused() {
    let shape = SHAPES[0];
    let sequences = [Sequence::new(shape, 20, vec![0, 2], 1)];
    step(shape, &mut cache(shape, 2), &sequences, &[(0, 17, 18)]);
}

#[test]
fn the_cache_states_its_size() {
    let shape = KvShape { layers: 30, kv_heads: 3, head_dim: 64 };
    assert_eq!(shape.bytes_per_position(), 30 * 2 * 3 * 64 * 2);
    assert_eq!(KvCache::new(shape, 5, &Device::flex()).blocks(), 5);
}
