//! The wasm runtime that all components of one host share: wasmtime's engine with pooling and epochs, and the linker with all that guests may import.

use std::{sync::Arc, time::Duration};

use hearth_server::Outgoing;
use tokio::sync::Semaphore;
use wasmtime::{
    Config, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{HasSelf, Linker},
};

use super::{
    keyvalue::Keyvalue,
    nn::{Ml, SharedEngine},
    options::GuestOptions,
    spin::{HasState, Settings, Spin},
    state::State,
};

/// One epoch: how long a guest computes before it lets others in, and the grain of its spin timeout.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Idle instances that one component keeps for reuse.
pub(crate) const IDLE_MAX: usize = 32;

/// Runs guests. Clones share it.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) engine: wasmtime::Engine,
    pub(crate) linker: Arc<Linker<State>>,
    pub(crate) nn: SharedEngine,
    pub(crate) options: Arc<GuestOptions>,
    pub(crate) outgoing: Outgoing,
    /// One permit for each instance at work.
    pub(crate) permits: Arc<Semaphore>,
}

impl Runtime {
    /// A runtime for `components` components over `engine`.
    ///
    /// # Errors
    /// When wasmtime cannot be set up on this machine.
    pub fn new(engine: hearth_engine::Engine, options: GuestOptions, components: usize) -> wasmtime::Result<Self> {
        let permits = Arc::new(Semaphore::new(options.instances));
        let wasm = if options.pooling {
            wasmtime::Engine::new(&config(Some(pool(&options, components)))).or_else(|error| {
                tracing::warn!("instances are allocated one by one: the pool cannot be reserved ({error:#}); fewer --max-instances need less address space");
                wasmtime::Engine::new(&config(None))
            })?
        } else {
            wasmtime::Engine::new(&config(None))?
        };
        let linker = linker(&wasm)?;
        tick(&wasm)?;
        Ok(Self {
            engine: wasm,
            linker: Arc::new(linker),
            nn: SharedEngine::new(engine),
            options: Arc::new(options),
            outgoing: Outgoing::default(),
            permits,
        })
    }
}

fn config(pool: Option<PoolingAllocationConfig>) -> Config {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    config.epoch_interruption(true);
    if let Some(pool) = pool {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

fn pool(options: &GuestOptions, components: usize) -> PoolingAllocationConfig {
    // A component has several core modules: its own, the adapter's and the shims between them; only the first has a memory of its own.
    let slots = u32::try_from(options.instances.saturating_add(components.saturating_mul(IDLE_MAX))).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(8))
        .total_memories(slots.saturating_mul(2))
        .total_tables(slots.saturating_mul(8))
        .total_stacks(slots.saturating_mul(4))
        .max_memory_size(options.instance_memory);
    pool
}

fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    Ml::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    Spin::add_to_linker::<State, HasState>(&mut linker, |state| state)?;
    Settings::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    Keyvalue::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    Ok(linker)
}

/// Advances the epoch from a thread of the system: a guest that never yields would hold every thread of the async runtime.
fn tick(engine: &wasmtime::Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new().name("epochs".into()).spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    })?;
    Ok(())
}
