//! `hearth serve`: the handler, the engine and the listener in one process.

use std::{collections::BTreeMap, ffi::OsString, io::Write, net::SocketAddr, sync::Arc, time::Duration};

use hearth_config::Failure;
use hearth_engine::Engine;
use hearth_server::{Options, Tls, bind, log, metrics, notify, shutdown_signal};

use crate::{
    cli::{KeysMode, ServeArgs, models_dir, state_dir},
    config::{self, Service},
    engine::{self, Load},
    ports::{Handler, Ports, Settings},
    reload::{self, Live, Reload},
    select::{Selected, all_here, select},
    state,
};

/// What is logged on standard error where nobody says it.
const LEVEL: &str = "warn,hearth::reload=info";

/// Serves until a signal ends it. `arguments` are the whole command line, which a reload reads again.
pub(crate) fn run(arguments: Vec<OsString>) -> anyhow::Result<()> {
    let service = config::load(&arguments).map_err(|failure| match failure {
        Failure::CommandLine(error) => error.exit(),
        Failure::Problems(problems) => problems,
    })?;
    let state = state_dir(service.args.state_dir.clone()).ok();
    let log = log::begin(&service.args.observe, LEVEL, state.map(|folder| folder.join("logs/service.log")))?;
    metrics::install(hearth_engine::HISTOGRAMS);
    for warning in &service.resolved.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(service.args.worker_threads()).enable_all().build()?;
    let served = runtime.block_on(serve(arguments, service, log));
    // A model that is still being read must not hold up an end that was asked for.
    runtime.shutdown_background();
    served
}

async fn serve(arguments: Vec<OsString>, service: Service, log: log::Log) -> anyhow::Result<()> {
    // A reload that is asked for while the server starts must not end it.
    #[cfg(unix)]
    let hangups = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    let Service { args, resolved } = service;
    let args = Arc::new(args);
    args.server.check_exposure(args.listen, args.needs_keys())?;
    // The port first: it costs nothing to find out that it is taken.
    let listener = bind(args.listen).await?;
    let address = listener.local_addr()?;
    let master_key = config::master_key(&args, &resolved)?;
    let tls = args.server.tls(address, || state_dir(args.state_dir.clone()))?;
    anyhow::ensure!(
        !args.no_models || args.models.is_empty() && args.fallback_url.is_some(),
        "--no-models goes with --fallback-url, the server that has models, and without --model"
    );
    let models = if args.no_models {
        Vec::new()
    } else if args.models.is_empty() && args.engine.quantize.is_none() {
        all_here()?
    } else {
        select(&args.models, args.engine.quantize)?
    };
    // A folder that cannot be written is an error at the start, and not one of each request; a Redis that cannot be reached may come back. Keys are in the store as well.
    let is_kept = !args.no_store || args.keys == KeysMode::Required || args.redis_url.is_some();
    let kept = if is_kept { Some(state::open(&args)?) } else { None };
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
    let fixed = Fixed {
        models: models.iter().map(|model| model.name.clone()).collect::<Vec<_>>().join(","),
        store_responses: !args.no_store,
        master_key,
    };
    let settings = Settings::default();
    settings.replace(fixed.with(&args));
    let has_store = kept.is_some();
    let store = kept.as_ref().map(|kept| kept.store.clone());
    let handler = Arc::new(Handler(Ports::new(engine.clone(), store, settings.clone())?));
    // Every chat that may run or wait has its request, and some are left for lists and pages.
    let requests = args.sequences.saturating_add(args.queue).saturating_add(64);
    let state = state_dir(args.state_dir.clone()).ok().filter(|_| has_store);
    let folders = state.map(|folder| ("state", folder)).into_iter().chain(models_dir().ok().map(|folder| ("models", folder))).collect();
    let options = Options {
        tls: tls.clone(),
        notice: Duration::from_secs(args.observe.drain_notice),
        observe: args.observe.observe(folders)?,
        ..args.server.options(requests)
    };
    // Requests are taken while models load: they are told so (503), and /health turns 200 at the right moment.
    let serving = hearth_server::serve(listener, handler, shutdown_signal(), options);
    let reload = Reload::new(arguments, resolved, live(log, settings, fixed, has_store));
    let announced = async {
        announce(&engine, &models, at_start, address, tls.as_ref()).await?;
        std::future::pending::<anyhow::Result<()>>().await
    };
    #[cfg(unix)]
    let reloaded = reload.at_signals(hangups);
    #[cfg(not(unix))]
    let reloaded = std::future::pending::<()>();
    tokio::select! {
        served = serving => Ok(served?),
        failed = announced => failed,
        () = reloaded => Ok(()),
    }
}

/// The handler's settings that a restart alone changes.
struct Fixed {
    models: String,
    store_responses: bool,
    master_key: Option<String>,
}

impl Fixed {
    /// All settings of the handler.
    fn with(&self, args: &ServeArgs) -> BTreeMap<&'static str, String> {
        let keys = match args.keys {
            KeysMode::None => "none",
            KeysMode::Required => "required",
        };
        let mut settings = BTreeMap::from([
            ("models", self.models.clone()),
            ("store_responses", self.store_responses.to_string()),
            ("store_days", args.store_days.to_string()),
            ("keys", keys.to_owned()),
            ("limit_requests_per_minute", args.limit_requests_per_minute.to_string()),
            ("limit_tokens_per_minute", args.limit_tokens_per_minute.to_string()),
            ("limit_concurrent", args.limit_concurrent.to_string()),
            ("response_cache", args.response_cache.to_string()),
            ("fallback_timeout", args.fallback_timeout.to_string()),
        ]);
        settings.extend(args.fallback_url.clone().map(|url| ("fallback_url", url)));
        settings.extend(args.fallback_key.as_ref().map(|key| ("fallback_key", key.reveal().to_owned())));
        settings.extend(self.master_key.clone().map(|key| ("master_key", key)));
        settings.extend(args.api_key.as_ref().map(|key| ("api_key", key.reveal().to_owned())));
        settings
    }
}

/// What of a configuration a running server takes over.
fn live(log: log::Log, settings: Settings, fixed: Fixed, has_store: bool) -> Vec<Live> {
    let fixed = Arc::new(fixed);
    let log = move |new: &Service| Ok(Box::new(log.at(new.args.observe.log_level.as_deref())?) as reload::Commit);
    let handler = move |new: &Service| {
        // With the address that is listened on, which the new one need not be: that one needs a restart, and is checked then.
        new.args.server.check_exposure(new.args.listen, new.args.needs_keys())?;
        anyhow::ensure!(
            has_store || new.args.keys == KeysMode::None,
            "keys are in the store, which the server was started without: start it anew"
        );
        let (settings, values) = (settings.clone(), fixed.with(&new.args));
        Ok(Box::new(move || settings.replace(values)) as reload::Commit)
    };
    vec![Live { keys: reload::LOG, prepare: Box::new(log) }, Live { keys: reload::HANDLER, prepare: Box::new(handler) }]
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
    if models.is_empty() {
        lines += "  model   none here: all are of the server that --fallback-url names\n";
    }
    let (scheme, tls) = tls.map_or(("http", String::new()), |tls| ("https", format!("  TLS     {}\n", tls.describe())));
    let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    notify::ready(&format!("serving {} at {scheme}://{address}", names.join(", ")));
    let text = format!("Hearth is ready at {scheme}://{address}\n{lines}{tls}  device  {}\n", engine.device_description());
    let mut out = std::io::stdout().lock();
    // A reader that went away is no reason to stop serving.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(())
}
