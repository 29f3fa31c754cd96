//! Which device an engine computes on, and why that one.

use burn::tensor::Device;
use hearth_kernels::{cpu_description, set_threads};

use crate::{DeviceChoice, Error, memory};

/// A device and what to tell people about it.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) device: Device,
    pub(crate) description: String,
    pub(crate) memory: Memory,
    /// Bytes of the largest tensor.
    pub(crate) largest: Option<u64>,
}

/// Where a device's tensors lie.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Memory {
    /// In the machine's memory.
    Main,
    /// In memory of its own, of this size if its driver tells.
    #[cfg_attr(not(feature = "wgpu"), allow(dead_code))] // only a GPU has its own
    Own(Option<u64>),
}

impl Memory {
    /// Bytes that can still be taken beside `taken` ones, if known. Of memory of its own a GPU needs a tenth for itself and for activations.
    pub(crate) fn free(self, taken: u64) -> Option<u64> {
        match self {
            Self::Main => memory::free(),
            Self::Own(size) => size.map(|size| (size / 10 * 9).saturating_sub(taken)),
        }
    }
}

/// Takes the device that `choice` asks for.
///
/// # Errors
/// When a GPU was demanded and there is none, or it can't be opened: what was probed, and the cure.
pub(crate) fn choose(choice: DeviceChoice, threads: usize) -> Result<Chosen, Error> {
    set_threads(threads);
    match choice {
        DeviceChoice::Cpu => Ok(cpu("as was asked for")),
        DeviceChoice::Gpu => gpu::demanded(),
        DeviceChoice::Auto => Ok(gpu::preferred().unwrap_or_else(|reason| cpu(&reason))),
    }
}

fn cpu(reason: &str) -> Chosen {
    let description = format!("CPU ({}): {reason}", cpu_description());
    Chosen { device: Device::flex(), description, memory: Memory::Main, largest: None }
}

#[cfg(feature = "wgpu")]
mod gpu {
    use hearth_kernels::{Gpu, GpuKind, gpus};

    use super::{Chosen, Memory};
    use crate::{Error, ErrorKind};

    /// Where graphics adapters are looked for.
    const PROBED: &str = if cfg!(target_vendor = "apple") {
        "Metal"
    } else if cfg!(windows) {
        "DirectX 12 and Vulkan"
    } else {
        "Vulkan (which needs libvulkan.so.1 and a driver)"
    };

    /// The best GPU that is not a software renderer, or why there is none.
    pub(super) fn preferred() -> Result<Chosen, String> {
        let found = gpus();
        match found.iter().find(|gpu| gpu.kind != GpuKind::Software) {
            Some(gpu) => open(gpu, "the first that was found"),
            None => Err(match found.first() {
                Some(software) => format!("no GPU found, only the software renderer {}", software.name),
                None => "no GPU found".into(),
            }),
        }
    }

    /// The best adapter of any kind.
    pub(super) fn demanded() -> Result<Chosen, Error> {
        let missing = || format!("a GPU was asked for, but none was found through {PROBED}: install its driver, or run on the CPU");
        let found = gpus().into_iter().next().ok_or_else(missing);
        found.and_then(|gpu| open(&gpu, "as was asked for")).map_err(|message| Error::new(ErrorKind::LoadFailed, message))
    }

    fn open(gpu: &Gpu, reason: &str) -> Result<Chosen, String> {
        let device = gpu.open().map_err(|error| error.to_string())?;
        let Gpu { name, kind, backend, .. } = gpu;
        let memory = match kind {
            GpuKind::Integrated | GpuKind::Software => Memory::Main,
            GpuKind::Discrete | GpuKind::Virtual | GpuKind::Other => Memory::Own(gpu.memory),
        };
        let kind = if *kind == GpuKind::Software { "software renderer" } else { "GPU" };
        Ok(Chosen { device, description: format!("{kind} ({name}, {backend}): {reason}"), memory, largest: Some(gpu.max_buffer) })
    }
}

#[cfg(not(feature = "wgpu"))]
mod gpu {
    use super::Chosen;
    use crate::{Error, ErrorKind};

    pub(super) fn preferred() -> Result<Chosen, String> {
        Err("built without GPU support".into())
    }

    pub(super) fn demanded() -> Result<Chosen, Error> {
        let message = "a GPU was asked for, but this build has no GPU support: run on the CPU, or build with the feature `wgpu`";
        Err(Error::new(ErrorKind::LoadFailed, message))
    }
}
