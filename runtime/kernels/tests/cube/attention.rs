//! Attention over the paged cache: grouped heads, windows, several sequences in scattered blocks, chunks of any size, contexts of several splits.

use burn::tensor::Device;
use half::f16;
use hearth_kernels::{AttentionShape, Batch, KvCache, KvShape, Step, attention};

use crate::{assert_near, gpu, reference, reference::Noise, tensor, values};

/// A sequence with all its rows.
struct Sequence {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    table: Vec<u32>,
}

impl Sequence {
    fn new(noise: &mut Noise, len: usize, table: Vec<u32>, shape: AttentionShape) -> Self {
        let width = shape.kv_heads * shape.head_dim;
        // Queries large enough that the softmax is far from uniform.
        let q = noise.floats(len * shape.heads * shape.head_dim).iter().map(|v| 3.0 * v).collect();
        let [k, v] = [(); 2].map(|()| noise.floats(len * width).into_iter().map(|v| f16::from_f32(v).to_f32()).collect());
        Self { q, k, v, table }
    }
}

/// Runs steps of `(sequence, positions)` chunks and gives the outputs of each sequence's rows in order.
fn run(sequences: &[Sequence], steps: &[Vec<(usize, std::ops::Range<usize>)>], shape: AttentionShape, device: &Device) -> Vec<Vec<f32>> {
    let kv = KvShape { layers: 2, kv_heads: shape.kv_heads, head_dim: shape.head_dim };
    let mut cache = KvCache::new(kv, 24, device);
    let mut outs = vec![Vec::new(); sequences.len()];
    let (wide, narrow) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
    for chunks in steps {
        let mut batch = Batch { tables: sequences.iter().map(|sequence| sequence.table.clone()).collect(), ..Batch::default() };
        let (mut q, mut k, mut v) = (vec![], vec![], vec![]);
        for (index, range) in chunks {
            let sequence = &sequences[*index];
            for position in range.clone() {
                batch.tokens.push(0);
                batch.positions.push(position as u32);
                batch.sequences.push(*index as u32);
            }
            q.extend_from_slice(&sequence.q[range.start * wide..range.end * wide]);
            k.extend_from_slice(&sequence.k[range.start * narrow..range.end * narrow]);
            v.extend_from_slice(&sequence.v[range.start * narrow..range.end * narrow]);
        }
        let m = batch.tokens.len();
        let step = Step::new(&batch, device);
        let [q, k, v] = [tensor(&q, [m, wide], device), tensor(&k, [m, narrow], device), tensor(&v, [m, narrow], device)];
        let out = values(attention(q, k, v, &mut cache, 1, &step, shape));
        let mut rows = out.chunks_exact(wide);
        for (index, range) in chunks {
            for _ in range.clone() {
                outs[*index].extend_from_slice(rows.next().expect("a row each"));
            }
        }
    }
    outs
}

const SHAPES: [AttentionShape; 5] = [
    AttentionShape { heads: 9, kv_heads: 3, head_dim: 64, scale: 0.125, cap: None, window: None },
    AttentionShape { heads: 4, kv_heads: 1, head_dim: 256, scale: 0.0625, cap: None, window: Some(20) },
    AttentionShape { heads: 2, kv_heads: 2, head_dim: 80, scale: 0.11, cap: None, window: Some(1) },
    AttentionShape { heads: 2, kv_heads: 1, head_dim: 16, scale: 0.25, cap: None, window: Some(500) },
    AttentionShape { heads: 4, kv_heads: 2, head_dim: 64, scale: 0.125, cap: Some(1.5), window: Some(30) },
];

/// The blocks of 300 positions.
const LONG: [u32; 19] = [9, 3, 20, 1, 7, 12, 23, 0, 5, 2, 8, 6, 11, 13, 14, 15, 16, 17, 18];

#[test]
fn rows_see_their_own_sequence_up_to_themselves() {
    let Some(device) = gpu() else { return };
    for shape in SHAPES {
        let mut noise = Noise::new(20);
        let sequences = [
            Sequence::new(&mut noise, 300, LONG.to_vec(), shape),
            Sequence::new(&mut noise, 17, vec![4, 22], shape),
            Sequence::new(&mut noise, 1, vec![10], shape),
        ];
        let steps = [vec![(0, 0..100), (1, 0..16), (2, 0..1)], vec![(0, 100..299), (1, 16..17)], vec![(0, 299..300)]];
        let got = run(&sequences, &steps, shape, &device);
        for (index, (sequence, got)) in sequences.iter().zip(&got).enumerate() {
            let wide = shape.heads * shape.head_dim;
            for (position, (q, got)) in sequence.q.chunks_exact(wide).zip(got.chunks_exact(wide)).enumerate() {
                let want = reference::attend(q, &sequence.k, &sequence.v, position, shape);
                assert_near(&format!("{shape:?}, sequence {index}, position {position}"), got, &want, |_| 5e-6);
            }
        }
    }
}

#[test]
fn neighbours_and_chunks_do_not_change_a_bit() {
    let Some(device) = gpu() else { return };
    for shape in SHAPES {
        let mut noise = Noise::new(21);
        let sequences = [Sequence::new(&mut noise, 290, LONG.to_vec(), shape), Sequence::new(&mut noise, 18, vec![4, 22], shape)];
        let together = run(&sequences, &[vec![(0, 0..200), (1, 0..13)], vec![(1, 13..18), (0, 200..290)]], shape, &device);
        let mut one_by_one = vec![vec![(0, 0..240)]];
        one_by_one.extend((240..290).map(|position| vec![(0, position..position + 1)]));
        one_by_one.extend((0..18).map(|position| vec![(1, position..position + 1)]));
        assert!(run(&sequences, &one_by_one, shape, &device) == together, "{shape:?}: one row at a time");
        // The same sequence in other blocks, in rows enough that no context is spread.
        let moved = [Sequence { table: (0..19).collect(), ..clone(&sequences[0]) }];
        assert!(run(&moved, &[vec![(0, 0..290)]], shape, &device)[0] == together[0], "{shape:?}: alone, in other blocks");
    }
}

#[test]
fn the_cache_holds_the_nearest_halves() {
    let Some(device) = gpu() else { return };
    let shape = AttentionShape { heads: 1, kv_heads: 1, head_dim: 64, scale: 1.0, cap: None, window: Some(1) };
    let mut noise = Noise::new(22);
    let mut sequence = Sequence::new(&mut noise, 64, vec![2, 0, 3, 1], shape);
    // All magnitudes, from below a half's smallest to beyond its largest, and ties.
    for (index, value) in sequence.v.iter_mut().enumerate() {
        *value =
            if index % 3 == 0 { (1.0 + (index % 7) as f32) * 2f32.powi(-11) + 1.0 } else { *value * 2f32.powi((index % 44) as i32 - 26) };
    }
    let got = run(std::slice::from_ref(&sequence), &[vec![(0, 0..64)]], shape, &device);
    let want: Vec<f32> = sequence.v.iter().map(|v| f16::from_f32(v.clamp(-65504.0, 65504.0)).to_f32()).collect();
    // Each row sees its own position alone, and so its value.
    assert_eq!(got[0], want);
}

fn clone(sequence: &Sequence) -> Sequence {
    Sequence { q: sequence.q.clone(), k: sequence.k.clone(), v: sequence.v.clone(), table: sequence.table.clone() }
}
