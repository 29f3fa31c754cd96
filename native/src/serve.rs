//! `hearth serve`: the handler, the engine and the listener in one process.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use hearth_engine::Engine;
use hearth_server::{Options, Tls, bind, shutdown_signal};
use hearth_store::{Namespace, Store};

use crate::{
    cli::{ServeArgs, state_dir},
    engine::{self, Load},
    ports::{Handler, Ports},
    select::{Selected, all_here, select},
};

/// Serves until a signal ends it.
pub(crate) fn run(args: ServeArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(args));
    // A model that is still being read must not hold up an end that was asked for.
    runtime.shutdown_background();
    served
}

async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    // The handler asks for no keys.
    args.server.check_exposure(args.listen, false)?;
    let tls = args.server.tls(args.listen, || state_dir(args.state_dir.clone()))?;
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
    let handler = Arc::new(Handler(Ports::new(engine.clone(), &names, store, args.store_days)));
    // Every chat that may run or wait has its request, and some are left for lists and pages.
    let requests = args.sequences.saturating_add(args.queue).saturating_add(64);
    let options = Options { tls: tls.clone(), ..args.server.options(requests) };
    // Requests are taken while models load: they are told so (503), and /health turns 200 at the right moment.
    let serving = hearth_server::serve(listener, handler, shutdown_signal(), options);
    let announced = async {
        announce(&engine, &models, at_start, address, tls.as_ref()).await?;
        std::future::pending::<anyhow::Result<()>>().await
    };
    tokio::select! {
        served = serving => Ok(served?),
        failed = announced => failed,
    }
}

/// What outlives the server. A folder that cannot be written is an error at the start, and not one of each request.
fn open_store(args: &ServeArgs) -> anyhow::Result<Option<Namespace>> {
    if args.no_store {
        return Ok(None);
    }
    // The file's name and the store's are the plugin's, so that the two shapes can take over from each other.
    let path = state_dir(args.state_dir.clone())?.join("key-value.redb");
    let store = Store::open(path).context("responses and conversations cannot be kept (--state-dir says where, --no-store keeps none)")?;
    Ok(Some(store.namespace("default")?))
}

/// Says that all is ready; fails when one of the first `at_start` models does not load, for a service that can never answer should not look like one.
async fn announce(engine: &Engine, models: &[Selected], at_start: usize, address: SocketAddr, tls: Option<&Tls>) -> anyhow::Result<()> {
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
    let scheme = if tls.is_some() { "https" } else { "http" };
    lines += &format!("  device  {}", engine.device_description());
    if let Some(tls) = tls {
        lines += &format!("\n  TLS     {}", tls.describe());
    }
    println!("Hearth is ready at {scheme}://{address}\n{lines}");
    Ok(())
}
