//! The GPU kernels against plain loops over `WeightType::dequantize`, on whatever adapter this machine has: a GPU, or Mesa's lavapipe. Without one they are skipped
//! aloud, and fail where `CI=true`.
#![cfg(feature = "wgpu")]

mod attention;
mod choose;
#[path = "../common/choosing.rs"]
mod choosing;
mod device;
mod elementwise;
mod experts;
mod linear;
mod reference;

use burn::tensor::{DType, Device, Tensor, TensorData};
use hearth_kernels::gpus;

/// The adapter under test, opened; `None` says that the test is to be skipped.
fn gpu() -> Option<Device> {
    let Some(gpu) = gpus().into_iter().next() else {
        eprintln!("SKIPPED: no Vulkan adapter");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs a Vulkan adapter: install mesa-vulkan-drivers and libvulkan1");
        return None;
    };
    Some(gpu.open().expect("the adapter opens"))
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (device, DType::F32))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("the kernels give f32")
}

/// Asserts that each value lies within its bound of the expected one.
fn assert_near(what: &str, got: &[f32], want: &[f64], bound: impl Fn(usize) -> f64) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    for (index, (&got, &want)) in got.iter().zip(want).enumerate() {
        let (error, bound) = ((f64::from(got) - want).abs(), bound(index));
        // Written so that a NaN fails.
        assert!(error <= bound, "{what}: element {index} is {got}, expected {want} within {bound:e}");
    }
}
