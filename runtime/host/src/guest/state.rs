//! What lives in the store of one instance, and what the instances of one component share.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use wasmtime::{ResourceLimiter, component::ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::{
    nn::{Held, SharedEngine},
    outbound::Outbound,
    spin::Stores,
};

/// The data of one instance's store.
pub(crate) struct State {
    pub(crate) table: ResourceTable,
    pub(crate) wasi: WasiCtx,
    pub(crate) http: WasiHttpCtx,
    pub(crate) outbound: Outbound,
    pub(crate) memory: Memory,
    pub(crate) held: Held,
    pub(crate) stores: Stores,
    pub(crate) progress: Progress,
    pub(crate) shared: Arc<Shared>,
}

/// What the instances of one component share.
pub(crate) struct Shared {
    /// The component's name in the application.
    pub(crate) id: String,
    pub(crate) nn: SharedEngine,
    /// Bytes of tensors that one instance may hold.
    pub(crate) tensor_bytes_max: usize,
    pub(crate) key_value_stores: Vec<String>,
    pub(crate) store: Option<hearth_store::Store>,
    pub(crate) variables: BTreeMap<String, String>,
}

/// Epoch ticks that a guest computed since it last did something that others can see: the measure that tells a guest that spins from one that works.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<AtomicU32>);

impl Progress {
    /// One more tick; the count.
    pub(crate) fn tick(&self) -> u32 {
        self.0.fetch_add(1, Relaxed) + 1
    }

    /// It computed a tensor, reached a store or sent a piece of its response.
    pub(crate) fn made(&self) {
        self.0.store(0, Relaxed);
    }
}

/// The bound on an instance's memory.
#[derive(Debug)]
pub(crate) struct Memory {
    max: usize,
    used: usize,
    /// Whether a growth was refused: what a later trap is put down to.
    pub(crate) refused: bool,
}

/// Elements of one table at most.
const TABLE_MAX: usize = 100_000;

impl Memory {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, used: 0, refused: false }
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        // Over all memories of the instance together, not each by itself.
        let used = self.used - current.min(self.used) + desired;
        if used > self.max {
            self.refused = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_MAX)
    }
}

impl State {
    /// See [`Progress::made`].
    pub(crate) fn progressed(&self) {
        self.progress.made();
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}
