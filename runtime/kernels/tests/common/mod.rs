//! What the kernels' tests share: random numbers, random weights, running on every target.

#![allow(dead_code)] // each test file uses its part

pub(crate) mod choosing;

use std::sync::{Mutex, PoisonError};

use burn::tensor::{DType, Device, Tensor, TensorData};
use half::f16;
use hearth_kernels::{Target, WeightType};

/// A xorshift generator.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut it = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            it.bits();
        }
        it
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (((self.bits() >> 32) * n as u64) >> 32) as usize
    }

    /// In −1..1.
    pub(crate) fn float(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.float()).collect()
    }
}

/// Random blocks with factors of a likely size.
pub(crate) fn weight(ty: WeightType, rows: usize, columns: usize, random: &mut Random) -> Vec<u8> {
    // Where in a block the f16 factors are.
    let factors: &[usize] = match ty {
        WeightType::F32 | WeightType::F16 | WeightType::BF16 => {
            return (0..rows * columns)
                .flat_map(|_| match ty {
                    WeightType::F32 => random.float().to_le_bytes().to_vec(),
                    WeightType::F16 => f16::from_f32(random.float()).to_le_bytes().to_vec(),
                    _ => half::bf16::from_f32(random.float()).to_le_bytes().to_vec(),
                })
                .collect();
        }
        WeightType::Q4_0 | WeightType::Q5_0 | WeightType::Q8_0 => &[0],
        WeightType::Q4_1 | WeightType::Q5_1 | WeightType::Q4K | WeightType::Q5K => &[0, 2],
        WeightType::Q2K => &[80, 82],
        WeightType::Q3K => &[108],
        WeightType::Q6K => &[208],
    };
    let mut bytes: Vec<u8> = (0..ty.bytes_of(rows * columns).unwrap()).map(|_| random.bits() as u8).collect();
    for block in bytes.chunks_exact_mut(ty.block_bytes()) {
        for &at in factors {
            block[at..at + 2].copy_from_slice(&f16::from_f32(random.float() * 0.02).to_le_bytes());
        }
    }
    bytes
}

pub(crate) fn dequantized(ty: WeightType, bytes: &[u8], elements: usize) -> Vec<f32> {
    let mut out = vec![0.0; elements];
    ty.dequantize(bytes, &mut out);
    out
}

pub(crate) fn tensor(values: &[f32], columns: usize) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len() / columns, columns]), (&Device::flex(), DType::F32))
}

pub(crate) fn vector(values: &[f32]) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), (&Device::flex(), DType::F32))
}

pub(crate) fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Runs `test` once on every target of this CPU, alone: the target is the process's.
pub(crate) fn on_every_target(mut test: impl FnMut(Target)) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for target in Target::available() {
        assert!(target.choose());
        test(target);
    }
}
