//! wasi-nn's tensors: plain data at the engine's door, not on a device.

use crate::Error;

/// The element type of a tensor, as wasi-nn names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are wasi-nn's own
pub enum TensorType {
    Fp16,
    Fp32,
    Fp64,
    Bf16,
    U8,
    I32,
    I64,
}

/// A tensor of wasi-nn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Length of each dimension.
    pub dimensions: Vec<u32>,
    /// Element type.
    pub ty: TensorType,
    /// Elements in row-major order, little endian.
    pub data: Vec<u8>,
}

/// An input or output by its name.
pub type NamedTensor = (String, Tensor);

impl Tensor {
    /// `U8 [n]`.
    pub fn from_bytes(data: Vec<u8>) -> Self {
        Self { dimensions: vec![data.len() as u32], ty: TensorType::U8, data }
    }

    /// `I32 [n]`.
    pub fn from_i32(values: &[i32]) -> Self {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dimensions: vec![values.len() as u32], ty: TensorType::I32, data }
    }

    /// `FP32 [n, columns]`.
    pub(crate) fn matrix(values: &[f32], columns: usize) -> Self {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dimensions: vec![(values.len() / columns) as u32, columns as u32], ty: TensorType::Fp32, data }
    }

    /// The bytes of `U8 [n]`.
    pub(crate) fn into_u8(self, name: &str) -> Result<Vec<u8>, Error> {
        self.check(name, TensorType::U8, 1)?;
        Ok(self.data)
    }

    /// The elements of `I32 [n]`.
    pub(crate) fn to_i32(&self, name: &str) -> Result<Vec<i32>, Error> {
        self.check(name, TensorType::I32, 4)?;
        Ok(self.data.as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect())
    }

    /// That it is one-dimensional, of type `ty`, and holds what its dimension says.
    fn check(&self, name: &str, ty: TensorType, size: usize) -> Result<(), Error> {
        if self.ty != ty {
            return Err(Error::invalid(format!("tensor `{name}` has type {:?}; give {ty:?}", self.ty)));
        }
        match self.dimensions[..] {
            [length] if self.data.len() == length as usize * size => Ok(()),
            [length] => Err(Error::invalid(format!(
                "tensor `{name}` has {} bytes, but [{length}] elements of {size} bytes need {}",
                self.data.len(),
                length as usize * size
            ))),
            _ => Err(Error::invalid(format!("tensor `{name}` has dimensions {:?}; give one dimension, [n]", self.dimensions))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_whose_data_contradicts_its_dimensions_is_refused() {
        let good = Tensor::from_i32(&[1, -2]);
        assert_eq!(good.to_i32("x").unwrap(), [1, -2]);
        let short = Tensor { data: vec![0; 7], ..good.clone() };
        assert!(short.to_i32("x").unwrap_err().message.contains("7 bytes"));
        let flat = Tensor { dimensions: vec![1, 2], ..good.clone() };
        assert!(flat.to_i32("x").is_err());
        assert!(good.into_u8("x").is_err());
    }
}
