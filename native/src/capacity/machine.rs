//! The machine that a model shall run on: this one, or one that the command line describes.

use std::thread;

use hearth_engine::{Engine, EngineOptions};

use super::bandwidth::bandwidth;
use crate::cli::Device;

/// What of it matters.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    /// Where is computed, as the engine would choose it.
    pub(super) device: String,
    /// Cores that threads can run on.
    pub(super) cores: usize,
    /// Bytes that are free where is computed, if that is known.
    pub(super) free: Option<u64>,
    /// Bytes that memory gives in a second, if that is known.
    pub(super) bandwidth: Option<f64>,
    /// Whether that was measured now.
    pub(super) measured: bool,
}

impl Machine {
    /// `free` of 0 and a `bandwidth` of `None` ask this machine.
    pub(super) fn look(device: Device, free: u64, bandwidth_given: Option<f64>) -> anyhow::Result<Self> {
        let engine = Engine::start(EngineOptions { device: device.into(), ..EngineOptions::default() })?;
        let (device, here) = (engine.device_description(), engine.free_memory());
        drop(engine);
        // The cores' bandwidth says nothing of a GPU's own memory.
        let measured = bandwidth_given.is_none() && device.starts_with("CPU");
        let bandwidth = bandwidth_given.or_else(|| measured.then(|| bandwidth(here.unwrap_or(u64::MAX) / 4)));
        Ok(Self {
            device,
            cores: thread::available_parallelism().map_or(1, usize::from),
            free: if free == 0 { here } else { Some(free) },
            bandwidth,
            measured,
        })
    }
}
