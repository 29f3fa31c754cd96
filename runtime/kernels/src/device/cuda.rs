//! NVIDIA's cards through CUDA, whose driver's library is looked for at run time.

use burn::tensor::Device;
use cudarc::driver::{
    result::{device, init},
    sys::is_culib_present,
};

use super::{Gpu, GpuKind};

/// The cards of this machine; empty where there is no driver.
pub(super) fn cards() -> Vec<Gpu> {
    // SAFETY: this only tries to open the driver's library by its usual names.
    #[allow(unsafe_code)]
    let present = unsafe { is_culib_present() };
    if !present || init().is_err() {
        return Vec::new();
    }
    let card = |index: i32| {
        let card = device::get(index).ok()?;
        // SAFETY: the driver has just named this card.
        #[allow(unsafe_code)]
        let memory = unsafe { device::total_mem(card) }.ok()? as u64;
        Some(Gpu {
            name: device::get_name(card).ok()?,
            kind: GpuKind::Discrete,
            backend: "cuda".to_owned(),
            driver: String::new(),
            memory: Some(memory),
            // CubeCL's pools make no buffer larger than a quarter of the memory.
            max_buffer: memory / 4,
            device: Device::cuda(index as usize),
        })
    };
    (0..device::get_count().unwrap_or(0)).filter_map(card).collect()
}
