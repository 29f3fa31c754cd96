//! The GPUs of this machine: found without a panic on machines that have none, and opened one at a time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, OnceLock, PoisonError},
};

use burn::tensor::{
    Device,
    wgpu::{WgpuInitError, wgpu},
};
use burn_cubecl::CubeDevice;
use cubecl::{
    device::{WgpuBackend, WgpuDevice, WgpuDeviceKind},
    wgpu::AutoGraphicsApi,
};

/// What a graphics adapter is, in the order in which to prefer them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GpuKind {
    /// A card with memory of its own.
    Discrete,
    /// A part of the processor's chip, in the machine's memory.
    Integrated,
    /// A share of a host's GPU.
    Virtual,
    /// Its driver does not tell.
    Other,
    /// A graphics API computed by the CPU (Mesa's lavapipe): for tests, slower than the CPU's own kernels.
    Software,
}

/// A graphics adapter.
#[derive(Debug, Clone)]
pub struct Gpu {
    /// As its driver names it.
    pub name: String,
    /// What it is.
    pub kind: GpuKind,
    /// The graphics API that reaches it: `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// Its driver's name and version, as far as it tells.
    pub driver: String,
    /// Bytes of its largest memory, not all of them free; `None` where the API does not tell.
    pub memory: Option<u64>,
    /// Bytes of the largest buffer that a kernel can read.
    pub max_buffer: u64,
    /// What tensors are made on. Nothing is opened before the first of them, or [`Self::open`].
    pub device: Device,
}

/// Why a GPU could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("the GPU {name} ({backend}) was found but could not be opened: {reason}; update its driver, or run on the CPU")]
pub struct GpuError {
    /// The adapter.
    pub name: String,
    /// Its graphics API.
    pub backend: String,
    /// What the graphics API says.
    pub reason: String,
}

impl Gpu {
    /// Opens the adapter: from here on tensors can be made on the device that this returns. Opening one twice is the same as once.
    ///
    /// # Errors
    /// [`GpuError`] with the driver's reason. Making a tensor on a device that was not opened panics where this fails.
    pub fn open(&self) -> Result<Device, GpuError> {
        static OPENED: Mutex<Vec<Device>> = Mutex::new(Vec::new());
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if !opened.contains(&self.device) {
            let fail = |reason: String| GpuError { name: self.name.clone(), backend: self.backend.clone(), reason };
            match catch_unwind(AssertUnwindSafe(|| initialize(&self.device))) {
                Ok(Ok(())) => opened.push(self.device.clone()),
                Ok(Err(error)) => return Err(fail(error.to_string())),
                Err(_) => return Err(fail("its driver panicked".to_owned())),
            }
        }
        Ok(self.device.clone())
    }
}

/// Operations that are recorded before they go to the GPU without anybody waiting for them: more than a step has, so that a step is one submission, made when its tokens
/// are read.
const RECORDED: usize = 2048;

/// Brings the device's runtime up.
fn initialize(device: &Device) -> Result<(), WgpuInitError> {
    let burn::backend::DispatchDevice::Cube(CubeDevice::Wgpu(selector)) = device.as_dispatch() else {
        unreachable!("`gpus` lists devices of the wgpu runtime alone");
    };
    match cubecl::wgpu::try_init_setup::<AutoGraphicsApi>(selector, cubecl::wgpu::RuntimeOptions::with_tasks_max(Some(RECORDED))?) {
        // Somebody made a tensor on it before: it works.
        Err(WgpuInitError::Registration { .. }) => Ok(()),
        other => other.map(|_| ()),
    }
}

/// The graphics adapters of this machine, GPUs first and software last; empty where there is no graphics API at all. Probed once a process, before anything is opened.
///
/// All are reached through one graphics API, the first of the platform's that has a GPU, or failing that the first that has anything. OpenGL is not asked: what it
/// alone reaches is too old to compute with.
pub fn gpus() -> Vec<Gpu> {
    // The instance is kept: Vulkan's loader is not safe against instances that come and go on several threads.
    static FOUND: OnceLock<(Vec<Gpu>, Vec<wgpu::Instance>)> = OnceLock::new();
    let (gpus, _) = FOUND.get_or_init(|| {
        let mut instances = Vec::new();
        let gpus = catch_unwind(AssertUnwindSafe(|| probe(&mut instances))).unwrap_or_default();
        (gpus, instances)
    });
    gpus.clone()
}

fn probe(instances: &mut Vec<wgpu::Instance>) -> Vec<Gpu> {
    let mut software = Vec::new();
    for backend in AutoGraphicsApi::chain() {
        let pin = match backend {
            wgpu::Backend::Vulkan => WgpuBackend::Vulkan,
            wgpu::Backend::Metal => WgpuBackend::Metal,
            wgpu::Backend::Dx12 => WgpuBackend::Dx12,
            _ => continue,
        };
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: backend.into(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let adapters = ready(instance.enumerate_adapters(backend.into()));
        let found = list(&adapters, pin);
        instances.push(instance);
        if found.iter().any(|gpu| gpu.kind != GpuKind::Software) {
            return found;
        }
        if software.is_empty() {
            software = found;
        }
    }
    software
}

/// Runs a future that is ready at once, as wgpu's are outside browsers.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => unreachable!("adapters are enumerated without waiting"),
    }
}

/// The adapters with the numbers under which Burn knows them: each kind counts from 0, and software adapters have no number.
fn list(adapters: &[wgpu::Adapter], pin: WgpuBackend) -> Vec<Gpu> {
    let mut counts = [0; 4];
    let mut number = |kind: usize| {
        counts[kind] += 1;
        counts[kind] - 1
    };
    let mut gpus: Vec<Gpu> = Vec::new();
    for adapter in adapters {
        let info = adapter.get_info();
        let (kind, selector) = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => (GpuKind::Discrete, WgpuDeviceKind::DiscreteGpu(number(0))),
            wgpu::DeviceType::IntegratedGpu => (GpuKind::Integrated, WgpuDeviceKind::IntegratedGpu(number(1))),
            wgpu::DeviceType::VirtualGpu => (GpuKind::Virtual, WgpuDeviceKind::VirtualGpu(number(2))),
            wgpu::DeviceType::Other => (GpuKind::Other, WgpuDeviceKind::Other(number(3))),
            wgpu::DeviceType::Cpu if gpus.iter().any(|gpu| gpu.kind == GpuKind::Software) => continue,
            wgpu::DeviceType::Cpu => (GpuKind::Software, WgpuDeviceKind::Cpu),
        };
        let limits = adapter.limits();
        gpus.push(Gpu {
            name: info.name,
            kind,
            backend: info.backend.to_str().to_owned(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            memory: memory(adapter),
            max_buffer: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
            device: Device::new(WgpuDevice::new(selector).on(pin)),
        });
    }
    gpus.sort_by_key(|gpu| gpu.kind);
    gpus
}

/// The largest heap that Vulkan calls local to the device.
#[cfg(not(target_vendor = "apple"))]
fn memory(adapter: &wgpu::Adapter) -> Option<u64> {
    const DEVICE_LOCAL: u32 = 1;
    // SAFETY: the handles are only asked for properties and are not destroyed.
    #[allow(unsafe_code)]
    let properties = unsafe {
        let adapter = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        adapter.shared_instance().raw_instance().get_physical_device_memory_properties(adapter.raw_physical_device())
    };
    let heaps = properties.memory_heaps.get(..properties.memory_heap_count as usize)?;
    heaps.iter().filter(|heap| heap.flags.as_raw() & DEVICE_LOCAL != 0).map(|heap| heap.size).max()
}

/// Metal does not tell.
#[cfg(target_vendor = "apple")]
fn memory(_adapter: &wgpu::Adapter) -> Option<u64> {
    None
}
