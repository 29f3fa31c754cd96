//! The operations on the CPU: Burn's flex tensors unwrapped to slices for the kernels of `cpu/`, results wrapped up again.

use burn::{
    backend::{
        Flex,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::{Shape, TensorData},
};
use half::f16;

use crate::{
    KvType,
    choose::{CANDIDATES, NO_TOKEN, SURVEY, key},
    cpu::{
        attend, experts, gated, norm, pool,
        product::{self, Weight},
        rope, survey, tile,
    },
    experts::ExpertRange,
    linear::{Packed, PackedShape},
    ops::{Activation, AttentionShape, KernelOps, RopeStyle},
};

type Floats = FloatTensor<Flex>;

/// `tensor` with its elements in row-major order from the start of its storage.
fn contiguous(tensor: Floats) -> Floats {
    let whole = tensor.layout().num_elements();
    if tensor.layout().contiguous_offsets() == Some((0, whole)) { tensor } else { tensor.to_contiguous() }
}

fn floats(tensor: &Floats) -> &[f32] {
    &tensor.storage::<f32>()[..tensor.layout().num_elements()]
}

fn integers(tensor: &Floats) -> &[i32] {
    &tensor.storage::<i32>()[..tensor.layout().num_elements()]
}

/// A tensor of `values`.
fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Floats {
    Floats::from_data(TensorData::new(values, shape))
}

/// A weight's tiles.
fn tiled(weight: &Packed<Flex>) -> Weight<'_> {
    let Packed::Tiles { tiles, shape } = weight else { unreachable!("the CPU's weights are in tiles") };
    let PackedShape { ty, rows, columns, start } = *shape;
    let tiles = &tiles.bytes()[start..];
    #[cfg(test)]
    tests::MOVED.fetch_add(usize::from(!(tiles.as_ptr() as usize).is_multiple_of(64)), std::sync::atomic::Ordering::Relaxed);
    Weight { ty, tiles, rows, columns }
}

impl KernelOps for Flex {
    fn linear(x: Floats, weight: Packed<Self>) -> Floats {
        let x = contiguous(x);
        let weight = tiled(&weight);
        let [out] = product::products([weight], floats(&x));
        tensor(out, [floats(&x).len() / weight.columns, weight.rows])
    }

    fn linear_three(x: Floats, a: Packed<Self>, b: Packed<Self>, c: Packed<Self>) -> (Floats, Floats, Floats) {
        let x = contiguous(x);
        let (m, weights) = (x.layout().shape()[0], [tiled(&a), tiled(&b), tiled(&c)]);
        let [p, q, r] = product::products(weights, floats(&x));
        let [a, b, c] = weights.map(|weight| [m, weight.rows]);
        (tensor(p, a), tensor(q, b), tensor(r, c))
    }

    fn linear_gated(x: Floats, gate: Packed<Self>, up: Packed<Self>, activation: Activation) -> Floats {
        let x = contiguous(x);
        let weights = [tiled(&gate), tiled(&up)];
        tensor(product::gated_product(weights, floats(&x), activation), [x.layout().shape()[0], weights[0].rows])
    }

    fn add_linear(sum: Floats, x: Floats, weight: Packed<Self>) -> Floats {
        let (mut sum, x) = (contiguous(sum), contiguous(x));
        let len = sum.layout().num_elements();
        // Copies only when the tensor is shared.
        product::add_product(tiled(&weight), floats(&x), &mut sum.storage_mut::<f32>()[..len]);
        sum
    }

    fn experts(x: Floats, ids: IntTensor<Self>, weight: Packed<Self>, experts: ExpertRange) -> Floats {
        let (x, ids) = (contiguous(x), contiguous(ids));
        let (weight, ids) = (tiled(&weight), integers(&ids));
        tensor(experts::products(weight, experts, floats(&x), ids), [ids.len(), weight.rows])
    }

    fn route(logits: Floats, used: usize) -> (IntTensor<Self>, Floats) {
        let logits = contiguous(logits);
        let shape = [logits.layout().shape()[0], used];
        let (ids, weights) = experts::route(floats(&logits), logits.layout().shape()[1], used);
        (Floats::from_data(TensorData::new(ids, shape)), tensor(weights, shape))
    }

    fn mix(x: Floats, weights: Floats) -> Floats {
        let (x, weights) = (contiguous(x), contiguous(weights));
        let [rows, used] = [weights.layout().shape()[0], weights.layout().shape()[1]];
        let columns = x.layout().shape()[1];
        let mut out = vec![0.0; rows * columns];
        experts::mix(floats(&x), floats(&weights), used, columns, &mut out);
        tensor(out, [rows, columns])
    }

    fn embed(ids: IntTensor<Self>, weight: Packed<Self>) -> Floats {
        let Weight { ty, tiles, rows, columns } = tiled(&weight);
        let ids = contiguous(ids);
        let ids = integers(&ids);
        let tile_len = tile::tile_bytes(ty, columns);
        let mut out = vec![0.0; ids.len() * columns];
        let row = |i: usize, out: &mut [f32]| {
            let id = ids[i] as usize;
            assert!(id < rows, "row {id} of {rows}");
            tile::row(ty, &tiles[id / tile::ROWS * tile_len..][..tile_len], id % tile::ROWS, out);
        };
        if ids.len() < 8 {
            out.chunks_exact_mut(columns).enumerate().for_each(|(i, out)| row(i, out));
        } else {
            pool::for_each_slice(&mut out, columns, row);
        }
        tensor(out, [ids.len(), columns])
    }

    fn rms_norm(x: Floats, weight: Floats, eps: f32) -> Floats {
        let shape = x.layout().shape().clone();
        let (x, weight) = (contiguous(x), contiguous(weight));
        let mut out = vec![0.0; floats(&x).len()];
        norm::rms_norm(floats(&x), floats(&weight), eps, &mut out);
        tensor(out, shape)
    }

    fn layer_norm(x: Floats, weight: Floats, bias: Floats, eps: f32) -> Floats {
        let shape = x.layout().shape().clone();
        let (x, weight, bias) = (contiguous(x), contiguous(weight), contiguous(bias));
        let mut out = vec![0.0; floats(&x).len()];
        norm::layer_norm(floats(&x), floats(&weight), floats(&bias), eps, &mut out);
        tensor(out, shape)
    }

    fn rope(x: Floats, positions: IntTensor<Self>, frequencies: Floats, magnitude: f32, head_dim: usize, style: RopeStyle) -> Floats {
        let (mut x, positions, frequencies) = (contiguous(x), contiguous(positions), contiguous(frequencies));
        let len = x.layout().num_elements();
        // Copies only when the tensor is shared.
        rope::rope(&mut x.storage_mut::<f32>()[..len], integers(&positions), (floats(&frequencies), magnitude), head_dim, style);
        x
    }

    fn gated(gate: Floats, up: Floats, activation: Activation) -> Floats {
        let (mut gate, up) = (contiguous(gate), contiguous(up));
        let len = gate.layout().num_elements();
        // Copies only when the tensor is shared.
        gated::gated(&mut gate.storage_mut::<f32>()[..len], floats(&up), activation);
        gate
    }

    fn attention(
        q: Floats,
        k: Floats,
        v: Floats,
        mut keys: Floats,
        mut values: Floats,
        positions: IntTensor<Self>,
        sequences: IntTensor<Self>,
        tables: IntTensor<Self>,
        ty: KvType,
        shape: AttentionShape,
    ) -> (Floats, Floats, Floats) {
        #[cfg(test)]
        tests::COPIES.fetch_add(usize::from(!keys.is_unique()) + usize::from(!values.is_unique()), std::sync::atomic::Ordering::Relaxed);
        let (q, k, v) = (contiguous(q), contiguous(k), contiguous(v));
        let (positions, sequences, tables) = (contiguous(positions), contiguous(sequences), contiguous(tables));
        let rows = attend::Rows {
            positions: integers(&positions),
            sequences: integers(&sequences),
            tables: integers(&tables),
            table_len: tables.layout().shape()[1],
        };
        let mut out = vec![0.0; floats(&q).len()];
        attend::attention(
            ty,
            floats(&q),
            (floats(&k), floats(&v)),
            (keys.storage_mut::<f16>(), values.storage_mut::<f16>()),
            rows,
            shape,
            &mut out,
        );
        (tensor(out, [rows.positions.len(), shape.heads * shape.head_dim]), keys, values)
    }

    fn penalize(logits: Floats, places: IntTensor<Self>, changes: Floats) -> Floats {
        let (mut logits, places, changes) = (contiguous(logits), contiguous(places), contiguous(changes));
        let row = logits.storage_mut::<f32>();
        for (place, change) in integers(&places).iter().zip(floats(&changes).as_chunks().0) {
            let [plus, divisor, minus] = *change;
            let logit = &mut row[*place as usize];
            let raised = *logit + plus;
            let divided = if raised > 0.0 { raised / divisor } else { raised * divisor };
            *logit = divided - minus;
        }
        logits
    }

    fn mask(logits: Floats, rows: IntTensor<Self>, allowed: IntTensor<Self>) -> Floats {
        let (mut logits, rows, allowed) = (contiguous(logits), contiguous(rows), contiguous(allowed));
        let (len, words) = (logits.layout().shape()[1], allowed.layout().shape()[1]);
        let all = logits.storage_mut::<f32>();
        for (row, allowed) in integers(&rows).iter().zip(integers(&allowed).chunks_exact(words)) {
            for (logits, word) in all[*row as usize * len..][..len].chunks_mut(32).zip(allowed) {
                for (bit, logit) in logits.iter_mut().enumerate() {
                    *logit = if word >> bit & 1 == 1 { *logit } else { f32::NAN };
                }
            }
        }
        logits
    }

    fn survey(logits: Floats, draws: Floats) -> IntTensor<Self> {
        let (logits, draws) = (contiguous(logits), contiguous(draws));
        let rows = floats(&logits).chunks_exact(logits.layout().shape()[1]).zip(floats(&draws).as_chunks().0);
        let numbers = rows.flat_map(|(row, &[temperature, uniform])| {
            let survey = survey::survey(row, temperature, uniform);
            let token = |token: Option<u32>| token.unwrap_or(NO_TOKEN);
            [token(survey.best), token(survey.drawn), survey.highest.to_bits(), survey.total.to_bits()]
        });
        numbers_tensor(numbers.collect(), draws.layout().shape()[0] * SURVEY)
    }

    fn candidates(logits: Floats, rows: IntTensor<Self>) -> IntTensor<Self> {
        let (logits, rows) = (contiguous(logits), contiguous(rows));
        let len = logits.layout().shape()[1];
        let pairs = integers(&rows).iter().flat_map(|&row| {
            let highest = survey::highest(&floats(&logits)[row as usize * len..][..len], CANDIDATES);
            let missing = CANDIDATES - highest.len();
            let found = highest.into_iter().flat_map(|(token, logit)| [key(logit), token]);
            found.chain(std::iter::repeat_n([0, NO_TOKEN], missing).flatten()).collect::<Vec<_>>()
        });
        numbers_tensor(pairs.collect(), integers(&rows).len() * CANDIDATES * 2)
    }
}

/// A tensor of `len` numbers.
fn numbers_tensor(numbers: Vec<u32>, len: usize) -> IntTensor<Flex> {
    Floats::from_data(TensorData::new(numbers, [len]))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use burn::tensor::{DType, Device, Tensor};

    use crate::{AttentionShape, Batch, KvCache, KvShape, Linear, Step, WeightType, attention};

    /// Cache tensors that came shared into attention, so that writing them copied them.
    pub(super) static COPIES: AtomicUsize = AtomicUsize::new(0);

    /// Weights whose tiles did not begin at a cache line.
    pub(super) static MOVED: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn the_cache_is_written_in_place() {
        let device = Device::flex();
        let mut cache = KvCache::new(KvShape { layers: 1, kv_heads: 1, head_dim: 8 }, 2, &device);
        let batch = |position| Batch { positions: vec![position], sequences: vec![0], tables: vec![vec![1, 0]], ..Batch::default() };
        let shape = AttentionShape { heads: 1, kv_heads: 1, head_dim: 8, scale: 1.0, cap: None, window: None };
        let row = || Tensor::<2>::ones([1, 8], (&device, DType::F32));
        for position in 0..20 {
            attention(row(), row(), row(), &mut cache, 0, &Step::new(&batch(position), &device), shape);
        }
        assert_eq!(COPIES.load(Relaxed), 0);
    }

    #[test]
    fn tiles_stay_where_they_were_packed() {
        let device = Device::flex();
        for rows in [16, 64, 1024] {
            let linear = Linear::new(WeightType::Q8_0, &vec![0; 34 * 64 * rows], rows, 2048, &device).unwrap();
            linear.forward(Tensor::ones([1, 2048], (&device, DType::F32)));
        }
        assert_eq!(MOVED.load(Relaxed), 0);
    }
}
