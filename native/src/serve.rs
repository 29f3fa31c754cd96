//! `hearth serve`: the handler, the engine and the listener in one process.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use hearth_engine::Engine;
use hearth_server::{Options, SocketOptions, bind, log, metrics, notify, shutdown_signal};
use hearth_store::Store;

use crate::{
    cli::{ServeArgs, models_dir, state_dir},
    engine::{self, Load},
    ports::{Handler, Ports},
    select::{Selected, all_here, select},
};

/// Serves until a signal ends it.
pub(crate) fn run(args: ServeArgs) -> anyhow::Result<()> {
    let state = state_dir(args.state_dir.clone()).ok();
    log::begin(&args.observe, "warn", state.map(|folder| folder.join("logs/service.log")))?;
    metrics::install(hearth_engine::HISTOGRAMS);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(args));
    // A model that is still being read must not hold up an end that was asked for.
    runtime.shutdown_background();
    served
}

async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    // The port first: it costs nothing to find out that it is taken.
    let listener = bind(args.listen).await?;
    let address = listener.local_addr()?;
    let models =
        if args.models.is_empty() && args.engine.quantize.is_none() { all_here()? } else { select(&args.models, args.engine.quantize)? };
    let store = open_store(&args)?;
    let load = Load {
        sequences: args.sequences,
        queue: args.queue,
        max_wait: Duration::from_secs(args.max_wait),
        unload_after: Duration::from_secs(args.unload_after),
    };
    let engine = engine::start(&args.engine, load)?;
    let at_start = if args.preload { models.len() } else { 1 };
    for (at, Selected { name, path, sha256 }) in models.iter().enumerate() {
        if at < at_start {
            engine.add_model(name, path.clone(), sha256.clone());
        } else {
            engine.offer_model(name, path.clone(), sha256.clone());
        }
    }
    let names: Vec<String> = models.iter().map(|model| model.name.clone()).collect();
    let handler = Arc::new(Handler(Ports::new(engine.clone(), &names, store, args.store_days)?));
    let state = state_dir(args.state_dir).ok().filter(|_| !args.no_store);
    let folders = state.map(|folder| ("state", folder)).into_iter().chain(models_dir().ok().map(|folder| ("models", folder))).collect();
    // Every chat that may run or wait has its request, and some are left for lists and pages.
    let requests = args.sequences.saturating_add(args.queue).saturating_add(64);
    let options = Options {
        requests,
        connections: requests.saturating_mul(2).max(1024),
        notice: Duration::from_secs(args.observe.drain_notice),
        drain: Duration::from_secs(args.drain),
        observe: args.observe.observe(folders)?,
        socket: SocketOptions { origins: args.allow_origin, ..SocketOptions::default() },
        ..Options::default()
    };
    // Requests are taken while models load: they are told so (503), and /health turns 200 at the right moment.
    let serving = hearth_server::serve(listener, handler, shutdown_signal(), options);
    let announced = async {
        announce(&engine, &models, at_start, address).await?;
        std::future::pending::<anyhow::Result<()>>().await
    };
    tokio::select! {
        served = serving => Ok(served?),
        failed = announced => failed,
    }
}

/// What outlives the server. A folder that cannot be written is an error at the start, and not one of each request.
fn open_store(args: &ServeArgs) -> anyhow::Result<Option<Store>> {
    if args.no_store {
        return Ok(None);
    }
    // The file's name and the store's are the plugin's, so that the two shapes can take over from each other.
    let path = state_dir(args.state_dir.clone())?.join("key-value.redb");
    let store = Store::open(path).context("responses and conversations cannot be kept (--state-dir says where, --no-store keeps none)")?;
    Ok(Some(store))
}

/// Says that all is ready; fails when one of the first `at_start` models does not load, for a service that can never answer should not look like one.
async fn announce(engine: &Engine, models: &[Selected], at_start: usize, address: SocketAddr) -> anyhow::Result<()> {
    let mut lines = String::new();
    for (at, Selected { name, .. }) in models.iter().enumerate() {
        let state = if at < at_start {
            let default = if at == 0 && models.len() > 1 { ", the default" } else { "" };
            format!("{} tokens of context{default}", engine.ready(name).await?.context_length())
        } else {
            "loaded when it is asked for".to_owned()
        };
        lines += &format!("  model   {name} ({state})\n");
    }
    notify::ready(&format!(
        "serving {} at http://{address}",
        models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ")
    ));
    println!("Hearth is ready at http://{address}\n{lines}  device  {}", engine.device_description());
    Ok(())
}
