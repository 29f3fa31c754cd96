//! `hearth serve`: the handler, the engine and the listener in one process.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use hearth_engine::Engine;
use hearth_server::{Options, SocketOptions, bind, shutdown_signal};
use hearth_store::{RedisUrl, StateFolder, Store, Temporary};

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
    // The port first: it costs nothing to find out that it is taken.
    let listener = bind(args.listen).await?;
    let address = listener.local_addr()?;
    let models =
        if args.models.is_empty() && args.engine.quantize.is_none() { all_here()? } else { select(&args.models, args.engine.quantize)? };
    let kept = Kept::open(&args)?;
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
    let handler = Arc::new(Handler(Ports::new(engine.clone(), &names, kept.store.clone(), args.store_days)?));
    // Every chat that may run or wait has its request, and some are left for lists and pages.
    let requests = args.sequences.saturating_add(args.queue).saturating_add(64);
    let options = Options {
        requests,
        connections: requests.saturating_mul(2).max(1024),
        drain: Duration::from_secs(args.drain),
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

/// What outlives the server, held until it ends.
struct Kept {
    store: Option<Store>,
    /// The state folder, of which nobody may put another in its place meanwhile, and its temporary files.
    _folder: Option<(StateFolder, Temporary)>,
}

impl Kept {
    /// A folder that cannot be written is an error at the start, and not one of each request; a Redis that cannot be reached may come back.
    fn open(args: &ServeArgs) -> anyhow::Result<Self> {
        let redis = RedisUrl::given(args.redis_url.as_deref(), args.redis_url_file.as_deref(), "HEARTH_REDIS_URL")?;
        if let Some(url) = redis {
            let store = Store::redis(&url)?;
            if let Err(error) = store.check() {
                tracing::warn!("{error}; what it holds is missing until it is back");
            }
            return Ok(Self { store: Some(store), _folder: None });
        }
        if args.no_store {
            return Ok(Self { store: None, _folder: None });
        }
        let path = state_dir(args.state_dir.clone())?;
        let open = || -> Result<Self, hearth_store::StoreError> {
            let folder = StateFolder::open(&path)?;
            let (store, temporary) = (folder.store()?, folder.temporary()?);
            Ok(Self { store: Some(store), _folder: Some((folder, temporary)) })
        };
        open().context("responses and conversations cannot be kept (--state-dir says where, --no-store keeps none)")
    }
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
    println!("Hearth is ready at http://{address}\n{lines}  device  {}", engine.device_description());
    Ok(())
}
