//! Attention over the paged cache on the CPU: against f64 over the whole sequence, and to the bit against itself in other chunks and other company.

mod common;

use burn::tensor::Device;
use common::{Random, bits, on_every_target, tensor, values};
use half::f16;
use hearth_kernels::{AttentionShape, Batch, KvCache, KvError, KvShape, KvType, Step, attention, set_threads};

const SHAPES: [AttentionShape; 7] = [
    AttentionShape { heads: 9, kv_heads: 3, head_dim: 64, scale: 0.125, cap: None, window: None },
    AttentionShape { heads: 4, kv_heads: 1, head_dim: 256, scale: 0.0625, cap: None, window: Some(20) },
    AttentionShape { heads: 2, kv_heads: 2, head_dim: 80, scale: 0.3, cap: None, window: Some(1) },
    AttentionShape { heads: 5, kv_heads: 1, head_dim: 22, scale: 0.2, cap: None, window: None },
    AttentionShape { heads: 8, kv_heads: 2, head_dim: 128, scale: 0.1, cap: None, window: Some(5) },
    AttentionShape { heads: 4, kv_heads: 2, head_dim: 64, scale: 0.125, cap: Some(1.5), window: Some(30) },
    AttentionShape { heads: 3, kv_heads: 1, head_dim: 24, scale: 0.5, cap: Some(50.0), window: None },
];

/// Each shape with each type of cache that it can have.
fn cases() -> impl Iterator<Item = (KvType, AttentionShape)> {
    let eight = SHAPES.into_iter().filter(|shape| shape.head_dim % 32 == 0);
    SHAPES.into_iter().map(|shape| (KvType::F16, shape)).chain(eight.map(|shape| (KvType::Q8_0, shape)))
}

/// What a cache of this type keeps of some heads.
fn kept(ty: KvType, x: &[f32]) -> Vec<f64> {
    match ty {
        KvType::F16 => x.iter().map(|&x| f16::from_f32(x).to_f64()).collect(),
        KvType::Q8_0 => x.chunks(32).flat_map(eight_bits).collect(),
    }
}

fn eight_bits(x: &[f32]) -> Vec<f64> {
    let step = f16::from_f32(x.iter().fold(0.0f32, |most, x| most.max(x.abs())) / 127.0).to_f32();
    let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
    x.iter().map(|&x| f64::from((x * inverse).round_ties_even().clamp(-127.0, 127.0)) * f64::from(step)).collect()
}

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

    /// f64, keys and values rounded as the cache does.
    fn reference(&self, ty: KvType, shape: AttentionShape) -> Vec<f64> {
        let AttentionShape { heads, kv_heads, head_dim, scale, cap, window } = shape;
        let (k, v) = (kept(ty, &self.k), kept(ty, &self.v));
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

fn cache(ty: KvType, shape: AttentionShape, blocks: usize) -> KvCache {
    let shape = KvShape { layers: 2, kv_heads: shape.kv_heads, head_dim: shape.head_dim };
    KvCache::of_type(ty, shape, blocks, &Device::flex()).unwrap()
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
    for (ty, shape) in cases() {
        let sequence = [Sequence::new(shape, 70, vec![6, 1, 4, 0, 5], 3)];
        let want = sequence[0].reference(ty, shape);
        let mut first = None;
        on_every_target(|target| {
            let got = step(shape, &mut cache(ty, shape, 7), &sequence, &[(0, 0, 70)]).remove(0);
            for (i, (&got, &want)) in got.iter().zip(&want).enumerate() {
                assert!((f64::from(got) - want).abs() < 2e-5, "{target:?} {ty:?} {shape:?} at {i}: {got} and not {want}");
            }
            assert!(first.get_or_insert_with(|| bits(&got)) == &bits(&got), "{target:?} differs from the first target, {ty:?} {shape:?}");
        });
    }
}

#[test]
fn chunks_company_and_threads_change_no_bit() {
    for (ty, shape) in cases() {
        let sequences = [
            Sequence::new(shape, 70, vec![6, 1, 4, 0, 5], 3),
            Sequence::new(shape, 33, vec![2, 9, 3], 4),
            Sequence::new(shape, 40, vec![8, 7, 10], 5),
        ];
        let whole: Vec<Vec<f32>> = (0..3)
            .map(|s| {
                let len = sequences[s].q.len() / (shape.heads * shape.head_dim);
                step(shape, &mut cache(ty, shape, 11), &sequences, &[(s, 0, len)]).remove(0)
            })
            .collect();
        for threads in [1, 2, 4] {
            set_threads(threads);
            let mut cache = cache(ty, shape, 11);
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
                assert!(bits(&got[s]) == bits(&whole[s]), "sequence {s} with {threads} threads, {ty:?} {shape:?}");
            }
        }
    }
    set_threads(0);
}

#[test]
fn what_a_block_held_before_does_not_leak() {
    for ty in [KvType::F16, KvType::Q8_0] {
        let shape = SHAPES[0];
        let mut sequences = [Sequence::new(shape, 40, vec![0, 1, 2], 3), Sequence::new(shape, 40, vec![2, 0, 1], 4)];
        for values in [&mut sequences[0].k, &mut sequences[0].v] {
            values.fill(f32::NAN);
        }
        let mut used = cache(ty, shape, 3);
        let broken = step(shape, &mut used, &sequences, &[(0, 0, 40)]).remove(0);
        assert!(broken.iter().all(|x| x.is_nan()), "what is not a number shows");
        let mut got = step(shape, &mut used, &sequences, &[(1, 0, 21)]).remove(0);
        got.extend(step(shape, &mut used, &sequences, &[(1, 21, 22)]).remove(0));
        let want = step(shape, &mut cache(ty, shape, 3), &sequences, &[(1, 0, 22)]).remove(0);
        assert_eq!(bits(&got), bits(&want));
    }
}

/// How far eight bits may be from sixteen. An element is off by half a step, 1/254 of its group's largest: a value directly, a key by what the query makes of it, `d`
/// at most in a score. That moves the softmax's weights by `2 (e²ᵈ − 1)` altogether at most, of values that are not beyond their largest.
#[test]
fn eight_bits_are_close_to_sixteen() {
    for shape in SHAPES.into_iter().filter(|shape| shape.head_dim % 32 == 0) {
        let sequence = [Sequence::new(shape, 70, vec![6, 1, 4, 0, 5], 3)];
        let outs = [KvType::F16, KvType::Q8_0].map(|ty| step(shape, &mut cache(ty, shape, 7), &sequence, &[(0, 0, 70)]).remove(0));
        let most = |x: &[f32]| f64::from(x.iter().fold(0.0f32, |most, x| most.max(x.abs())));
        let (k, v) = (most(&sequence[0].k), most(&sequence[0].v));
        let mut squares = [0.0; 2];
        for (head, q) in sequence[0].q.chunks(shape.head_dim).enumerate() {
            // f16 rounds too, both its numbers and the scales: 1/2048 of a number.
            let off = 1.0 / 254.0 + 1.0 / 1024.0;
            let d = f64::from(shape.scale) * q.iter().map(|q| f64::from(q.abs())).sum::<f64>() * k * off;
            let bound = v * off + v * 2.0 * ((2.0 * d).exp() - 1.0);
            let pairs = outs[0].iter().zip(&outs[1]).enumerate().skip(head * shape.head_dim).take(shape.head_dim);
            for (i, (&sixteen, &eight)) in pairs {
                let (sixteen, eight) = (f64::from(sixteen), f64::from(eight));
                assert!((sixteen - eight).abs() <= bound, "{shape:?} at {i}: {sixteen} and {eight}, more than {bound} apart");
                squares[0] += (sixteen - eight).powi(2);
                squares[1] += sixteen.powi(2);
            }
        }
        let relative = (squares[0] / squares[1]).sqrt();
        eprintln!("{shape:?}: a relative difference of {relative:.2e}");
        assert!(relative > 0.0 && relative < 2e-2, "{shape:?}: a relative difference of {relative}");
    }
}

#[test]
fn eight_bits_hold_any_number() {
    let shape = AttentionShape { heads: 1, kv_heads: 1, head_dim: 64, scale: 1.0, cap: None, window: None };
    // Nothing, steps too small for f16 or just not, steps beyond its largest (of which an infinity, too, becomes the largest): a single position gives its values back.
    let most = 127.0 * 65504.0;
    for (size, want) in [(0.0, 0.0), (1e-7, 1e-7), (1e-5, 1e-5), (1e-3, 1e-3), (3e4, 3e4), (8e6, 8e6), (1e30, most), (f32::INFINITY, most)]
    {
        let mut v = vec![0.0; 64];
        v[5] = size;
        v[40] = -size;
        let sequence = [Sequence { q: vec![0.0; 64], k: vec![0.0; 64], v, table: vec![0] }];
        let got = step(shape, &mut cache(KvType::Q8_0, shape, 1), &sequence, &[(0, 0, 1)]).remove(0);
        // Half of f16's smallest number, 127 times.
        assert!(
            (got[5] - want).abs() <= want / 128.0 + 127.0 * 2.0f32.powi(-25) && got[40] == -got[5],
            "{size}: {} and {}",
            got[5],
            got[40]
        );
        assert!(got.iter().enumerate().all(|(i, &x)| i == 5 || i == 40 || x == 0.0), "{size}: {got:?}");
    }
}

#[test]
fn heads_that_are_not_whole_groups_are_refused_eight_bits() {
    let shape = KvShape { layers: 1, kv_heads: 2, head_dim: 80 };
    let error = KvError::HeadDim { head_dim: 80 };
    assert_eq!(shape.bytes_per_position(KvType::Q8_0, &Device::flex()), Err(error));
    assert_eq!(KvCache::of_type(KvType::Q8_0, shape, 1, &Device::flex()).unwrap_err(), error);
    assert!(error.to_string().contains("multiple of 32 elements, and this model's have 80: choose f16"), "{error}");
}

#[test]
#[should_panic(expected = "outside the cache of 2")]
fn a_block_outside_the_cache_is_refused() {
    let shape = SHAPES[0];
    let sequences = [Sequence::new(shape, 20, vec![0, 2], 1)];
    step(shape, &mut cache(KvType::F16, shape, 2), &sequences, &[(0, 17, 18)]);
}

#[test]
fn the_cache_states_its_size() {
    let shape = KvShape { layers: 30, kv_heads: 3, head_dim: 64 };
    assert_eq!(shape.bytes_per_position(KvType::F16, &Device::flex()), Ok(30 * 2 * 3 * 64 * 2));
    assert_eq!(shape.bytes_per_position(KvType::Q8_0, &Device::flex()), Ok(30 * 2 * 3 * 68));
    assert_eq!(KvCache::new(shape, 5, &Device::flex()).blocks(), 5);
}
