//! The engine from the command line's words.

use std::time::Duration;

use anyhow::Context;
use hearth_engine::{DeviceChoice, Engine, EngineOptions, KvType, ModelFile};

use crate::{
    cli::{Device, EngineArgs, KvCache},
    select::{Selected, select},
};

/// Of [`Engine::load`], which nothing in this binary calls: models come by path.
const LOAD_CAP: u64 = 0;

/// For how many an engine is, and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Chats computed together.
    pub(crate) sequences: usize,
    /// Chats that may wait.
    pub(crate) queue: usize,
    /// How long one may wait; 0 is for ever.
    pub(crate) max_wait: Duration,
    /// How long a model that is loaded on demand stays without use; 0 is for ever.
    pub(crate) unload_after: Duration,
}

impl Load {
    /// That of one user, who begins so many chats at once.
    pub(crate) fn own(sequences: usize) -> Self {
        Self { sequences, queue: sequences, max_wait: Duration::ZERO, unload_after: Duration::ZERO }
    }
}

impl From<Device> for DeviceChoice {
    fn from(device: Device) -> Self {
        match device {
            Device::Auto => Self::Auto,
            Device::Cpu => Self::Cpu,
            Device::Gpu => Self::Gpu,
        }
    }
}

impl From<KvCache> for KvType {
    fn from(kv_cache: KvCache) -> Self {
        match kv_cache {
            KvCache::F16 => Self::F16,
            KvCache::Q8_0 => Self::Q8_0,
        }
    }
}

/// Starts an engine.
pub(crate) fn start(args: &EngineArgs, load: Load) -> anyhow::Result<Engine> {
    let draft_model = match &args.draft_model {
        Some(word) => select(std::slice::from_ref(word), None).context("--draft-model")?.pop(),
        None => None,
    };
    let Load { sequences, queue, max_wait, unload_after } = load;
    let options = EngineOptions {
        device: args.device.into(),
        threads: args.threads,
        context: args.context,
        sequences,
        queue,
        kv_type: args.kv_cache.into(),
        kv_bytes: args.cache_memory.saturating_mul(1 << 20),
        load_cap: LOAD_CAP,
        max_wait,
        unload_after,
        speculation: args.speculation,
        draft_model: draft_model.map(|Selected { path, sha256, .. }| ModelFile { path, sha256 }),
        quantize: args.quantize,
        ..EngineOptions::default()
    };
    Ok(Engine::start(options)?)
}
