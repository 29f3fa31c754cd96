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
    cpu::{attend, float, gated, gemm, norm, pool, rope, tile},
    linear::PackedShape,
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

impl KernelOps for Flex {
    fn linear(x: Floats, codes: IntTensor<Self>, _scales: Floats, _mins: Floats, shape: PackedShape) -> Floats {
        let PackedShape { ty, rows, columns, start } = shape;
        let x = contiguous(x);
        let (tiles, x) = (&codes.bytes()[start..], floats(&x));
        let out = if ty.is_float() { float::float(ty, tiles, rows, columns, x) } else { gemm::quantized(ty, tiles, rows, columns, x) };
        tensor(out, [x.len() / columns, rows])
    }

    fn embed(ids: IntTensor<Self>, codes: IntTensor<Self>, _scales: Floats, _mins: Floats, shape: PackedShape) -> Floats {
        let PackedShape { ty, rows, columns, start } = shape;
        let ids = contiguous(ids);
        let (ids, tiles) = (integers(&ids), &codes.bytes()[start..]);
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

    fn rope(x: Floats, positions: IntTensor<Self>, frequencies: Floats, head_dim: usize, style: RopeStyle) -> Floats {
        let (mut x, positions, frequencies) = (contiguous(x), contiguous(positions), contiguous(frequencies));
        let len = x.layout().num_elements();
        // Copies only when the tensor is shared.
        rope::rope(&mut x.storage_mut::<f32>()[..len], integers(&positions), floats(&frequencies), head_dim, style);
        x
    }

    fn gated(gate: Floats, up: Floats, activation: Activation) -> Floats {
        let shape = gate.layout().shape().clone();
        let (gate, up) = (contiguous(gate), contiguous(up));
        let mut out = vec![0.0; floats(&gate).len()];
        gated::gated(floats(&gate), floats(&up), activation, &mut out);
        tensor(out, shape)
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
        shape: AttentionShape,
    ) -> (Floats, Floats, Floats) {
        let (q, k, v) = (contiguous(q), contiguous(k), contiguous(v));
        let (positions, sequences, tables) = (contiguous(positions), contiguous(sequences), contiguous(tables));
        let rows = attend::Rows {
            positions: integers(&positions),
            sequences: integers(&sequences),
            tables: integers(&tables),
            table_len: tables.layout().shape()[1],
        };
        attend::write(floats(&k), floats(&v), keys.storage_mut::<f16>(), values.storage_mut::<f16>(), rows, shape);
        let mut out = vec![0.0; floats(&q).len()];
        attend::attend(floats(&q), keys.storage::<f16>(), values.storage::<f16>(), rows, shape, &mut out);
        (tensor(out, [rows.positions.len(), shape.heads * shape.head_dim]), keys, values)
    }
}
