//! One component of the application, compiled and checked, with its idle instances.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use wasmtime::{
    Store, UpdateDeadline,
    component::{Component as Wasm, ResourceTable},
    format_err,
};
use wasmtime_wasi::{
    FsPerms, WasiCtx, WasiCtxBuilder,
    cli::{OutputFile, StdoutStream, stderr},
};
use wasmtime_wasi_http::{
    WasiHttpCtx,
    handler::{Proxy, ProxyPre},
};

use super::{
    nn::Held,
    options::{GuestOptions, Output},
    outbound::Outbound,
    runtime::{IDLE_MAX, Runtime, TICK},
    spin::Stores,
    state::{Memory, Progress, Shared, State},
};
use crate::{app::Component, cache::Cache};

/// Bytes of a wasm file at most.
const WASM_MAX: u64 = 256 << 20;
/// Requests that one instance serves before it makes room for a fresh one: what a guest leaks does not grow for ever.
const SERVED_MAX: usize = 1000;
/// Host resources of one instance at most; a guest beyond traps.
const TABLE_MAX: usize = 16 * 1024;

/// Why a component cannot serve.
#[derive(Debug, thiserror::Error)]
#[error("component '{component}': {reason}")]
pub struct ComponentError {
    /// Its name in the application.
    pub component: String,
    /// What is wrong, and the cure.
    pub reason: String,
}

/// A component that can serve requests.
pub(crate) struct Guest {
    pub(crate) runtime: Runtime,
    pub(crate) shared: Arc<Shared>,
    pre: ProxyPre<State>,
    description: Component,
    streams: Streams,
    idle: Mutex<Vec<Instance>>,
}

/// One instance with its store.
pub(crate) struct Instance {
    pub(crate) store: Store<State>,
    pub(crate) proxy: Proxy,
    served: usize,
}

impl Guest {
    /// Reads, compiles and checks a component. Takes seconds for a large one and blocks meanwhile.
    pub(crate) fn load(
        runtime: &Runtime,
        description: &Component,
        variables: BTreeMap<String, String>,
        store: Option<hearth_store::Store>,
    ) -> Result<Self, ComponentError> {
        let refuse = |reason: String| ComponentError { component: description.id.clone(), reason };
        let bytes = read(&description.source).map_err(refuse)?;
        let wasm =
            compile(runtime, &bytes).map_err(|error| refuse(format!("{} does not compile: {error:#}", description.source.display())))?;
        drop(bytes);
        let pre = link(runtime, &wasm).map_err(refuse)?;
        let streams = Streams::open(&runtime.options, &description.id).map_err(refuse)?;
        let shared = Shared {
            id: description.id.clone(),
            nn: runtime.nn.clone(),
            tensor_bytes_max: runtime.options.instance_memory,
            key_value_stores: description.key_value_stores.clone(),
            store,
            variables,
        };
        let guest = Self {
            runtime: runtime.clone(),
            shared: Arc::new(shared),
            pre,
            description: description.clone(),
            streams,
            idle: Mutex::default(),
        };
        // Once at the start, so that a folder that is not there is an error now and not of every request.
        guest.wasi().map_err(refuse)?;
        Ok(guest)
    }

    /// An idle instance, or a fresh one.
    pub(crate) async fn instance(&self) -> wasmtime::Result<Instance> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut instance = match idle {
            Some(instance) => instance,
            None => self.instantiate().await?,
        };
        instance.store.data().progressed();
        instance.store.set_epoch_deadline(1);
        Ok(instance)
    }

    /// Takes back an instance that finished its request. Only those of WASI 0.3 are kept: 0.2's handlers were written for an instance each.
    pub(crate) fn give_back(&self, mut instance: Instance) {
        instance.served += 1;
        let leaks = instance.store.data().held.contexts > 0;
        if leaks || instance.served >= SERVED_MAX || matches!(instance.proxy, Proxy::P2(_)) {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(instance);
        }
    }

    async fn instantiate(&self) -> wasmtime::Result<Instance> {
        let options = &self.runtime.options;
        let mut table = ResourceTable::new();
        table.set_max_capacity(TABLE_MAX);
        let state = State {
            table,
            wasi: self.wasi().map_err(|reason| format_err!("{reason}"))?,
            http: WasiHttpCtx::new(),
            outbound: Outbound {
                component: self.description.id.clone(),
                allowed: self.description.allowed_outbound_hosts.clone(),
                outgoing: self.runtime.outgoing.clone(),
            },
            memory: Memory::new(options.instance_memory),
            held: Held::default(),
            stores: Stores::default(),
            progress: Progress::default(),
            shared: self.shared.clone(),
        };
        let mut store = Store::new(&self.runtime.engine, state);
        store.limiter(|state| &mut state.memory);
        // Bytes that one call may hand over: a model, or the largest value of a store, and what goes with it.
        let largest = usize::try_from(options.load_cap).unwrap_or(usize::MAX).max(hearth_store::VALUE_MAX);
        store.set_hostcall_fuel(largest.saturating_add(1 << 20));
        let seconds = options.spin_timeout.as_secs();
        let ticks = u32::try_from(options.spin_timeout.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |context| {
            if context.data().progress.tick() > ticks {
                return Err(format_err!(
                    "it computed for {seconds} s without sending anything or calling a model or store, and was stopped (--spin-timeout)"
                ));
            }
            Ok(UpdateDeadline::Yield(1))
        });
        let proxy = self.pre.instantiate_async(&mut store).await?;
        Ok(Instance { store, proxy, served: 0 })
    }

    fn wasi(&self) -> Result<WasiCtx, String> {
        let mut wasi = WasiCtxBuilder::new();
        for (name, value) in &self.description.environment {
            wasi.env(name, value);
        }
        // No socket: what a guest may call goes through HTTP, where the manifest says which hosts.
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        self.streams.set(&mut wasi);
        let permissions = if self.runtime.options.writable_mounts { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        for mount in &self.description.mounts {
            if !mount.source.is_dir() {
                return Err(format!("it mounts {}, which is not a folder; only folders are mounted", mount.source.display()));
            }
            wasi.preopened_dir(&mount.source, &mount.destination, permissions)
                .map_err(|error| format!("the folder {} cannot be mounted: {error}", mount.source.display()))?;
        }
        Ok(wasi.build())
    }
}

fn compile(runtime: &Runtime, bytes: &[u8]) -> wasmtime::Result<Wasm> {
    let Some(folder) = &runtime.options.cache else { return Wasm::new(&runtime.engine, bytes) };
    match Cache::open(folder) {
        Ok(cache) => cache.component(&runtime.engine, bytes),
        Err(error) => {
            tracing::warn!("compiled components are not kept: {error}");
            Wasm::new(&runtime.engine, bytes)
        }
    }
}

/// The bytes of a component; a core module or anything else is refused with the cure.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let cure = "build it first (`spin build`, or the command under [component.….build] of spin.toml)";
    let metadata = std::fs::metadata(path).map_err(|error| format!("{} cannot be read: {error}; {cure}", path.display()))?;
    if metadata.len() > WASM_MAX {
        return Err(format!("{} has {} bytes; a component has at most {WASM_MAX}", path.display(), metadata.len()));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', 0x0d, 0, 1, 0]) => Ok(bytes),
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => Err(format!(
            "{} is a core module, not a component: make one of it with `wasm-tools component new --adapt wasi_snapshot_preview1=ADAPTER.wasm`, \
             or build with `cargo xtask component`",
            path.display()
        )),
        _ => Err(format!("{} is not a WebAssembly component", path.display())),
    }
}

/// Checks every import against what the host offers, and finds the handler.
fn link(runtime: &Runtime, wasm: &Wasm) -> Result<ProxyPre<State>, String> {
    let pre = runtime.linker.instantiate_pre(wasm).map_err(|error| {
        let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
        format!("this host cannot satisfy an import: {}. Remove it, or compose a component that provides it", chain.join(": "))
    })?;
    match wasmtime_wasi_http::p3::bindings::ServicePre::new(pre.clone()) {
        Ok(service) => Ok(ProxyPre::P3(service)),
        Err(newer) => wasmtime_wasi_http::p2::bindings::ProxyPre::new(pre).map(ProxyPre::P2).map_err(|older| {
            format!("it exports no HTTP handler: neither wasi:http/handler@0.3 ({newer:#}) nor wasi:http/incoming-handler@0.2 ({older:#})")
        }),
    }
}

/// Where one component's prints go.
enum Streams {
    Inherit,
    Discard,
    Files { out: OutputFile, err: OutputFile },
}

impl Streams {
    fn open(options: &GuestOptions, component: &str) -> Result<Self, String> {
        let (path, truncate) = match &options.output {
            _ if options.follow.iter().any(|name| name == component) => return Ok(Self::Inherit),
            Output::Inherit => return Ok(Self::Inherit),
            Output::Discard => return Ok(Self::Discard),
            Output::Folder { path, truncate } => (path, truncate),
        };
        // A component's name is a name of a file here: nothing else may come of it.
        let name: String = component.chars().map(|c| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect();
        let open = |stream: &str| -> Result<OutputFile, String> {
            let file: PathBuf = path.join(format!("{name}_{stream}.txt"));
            let mut file_options = std::fs::OpenOptions::new();
            file_options.create(true).append(!truncate).write(true).truncate(*truncate);
            let file = file_options.open(&file).map_err(|error| format!("its log {} cannot be written: {error}", file.display()))?;
            Ok(OutputFile::new(file))
        };
        std::fs::create_dir_all(path).map_err(|error| format!("the log folder {} cannot be made: {error}", path.display()))?;
        Ok(Self::Files { out: open("stdout")?, err: open("stderr")? })
    }

    fn set(&self, wasi: &mut WasiCtxBuilder) {
        match self {
            // Standard output is this process's own: it says there that it is ready.
            Self::Inherit => both(wasi, stderr),
            Self::Discard => both(wasi, tokio::io::empty),
            Self::Files { out, err } => {
                wasi.stdout(out.clone()).stderr(err.clone());
            }
        }
    }
}

fn both<S: StdoutStream + 'static>(wasi: &mut WasiCtxBuilder, stream: impl Fn() -> S) {
    wasi.stdout(stream()).stderr(stream());
}
