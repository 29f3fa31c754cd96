//! One run of the trigger: from the application's description to serving it, until a signal.

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use hearth_engine::{Engine, EngineOptions, ModelFile};
use hearth_store::{Kept, RedisUrl};

use crate::{
    GuestOptions, Output, Runtime, Service,
    app::{
        App, locked, spin_toml,
        variables::{self, Given},
    },
    cli::{Cli, LISTEN, LISTEN_SPIN},
    models::{self, Served},
};

/// Instances beyond those for requests: the server lets health probes in when it is full.
const PROBES: usize = 8;

/// Where the application's description comes from.
enum Origin {
    /// `spin up`: a locked application.
    Spin(String),
    /// A manifest that is read directly.
    Manifest(PathBuf),
}

impl Origin {
    fn choose(cli: &Cli) -> Self {
        match (&cli.from, env::var("SPIN_LOCKED_URL")) {
            (Some(path), _) if path.is_dir() => Self::Manifest(path.join("spin.toml")),
            (Some(path), _) => Self::Manifest(path.clone()),
            (None, Ok(url)) => Self::Spin(url),
            (None, Err(_)) => Self::Manifest("spin.toml".into()),
        }
    }

    fn read(&self) -> Result<App> {
        match self {
            Self::Spin(url) => Ok(locked::read(url)?),
            Self::Manifest(path) => spin_toml::read(path).map_err(|error| match error {
                crate::app::AppError::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                    anyhow::anyhow!(
                        "there is no {}: name a manifest with --from path/to/spin.toml, or run `spin up` in its folder",
                        path.display()
                    )
                }
                error => error.into(),
            }),
        }
    }

    /// The folder for what must outlive the process.
    fn state_dir(&self, app: &str) -> PathBuf {
        match self {
            Self::Manifest(path) => path.parent().unwrap_or(Path::new("")).join(".hearth"),
            Self::Spin(_) => match env::var_os("SPIN_LOCAL_APP_DIR") {
                // Empty for a plain `spin up` in the application's own folder.
                Some(folder) => Path::new(&folder).join(".spin"),
                None => {
                    let data = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
                    let data = data.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".local/state")));
                    let name: String = app.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).collect();
                    data.unwrap_or_default().join("hearth").join(name)
                }
            },
        }
    }
}

/// Serves the application until a signal.
///
/// # Errors
/// A message for a person: what is wrong, and the cure.
pub async fn run(cli: Cli) -> Result<()> {
    if let Some(path) = &cli.runtime_config_file {
        bail!("--runtime-config-file {}: this trigger reads no runtime configuration; --help shows its options", path.display());
    }
    let origin = Origin::choose(&cli);
    let mut app = origin.read()?;
    let given = Given::collect(&app, cli.variables.iter().cloned(), |name| env::var(name).ok())?;
    let models = if cli.no_models { Vec::new() } else { models::wanted(&app, &cli.models, &given) };
    let names: Vec<String> = models.iter().map(|name| models::name_of(name).map_err(anyhow::Error::msg)).collect::<Result<_>>()?;
    let values = variables::resolve(&app, &given, Some(&names))?;
    variables::fill_hosts(&mut app, &given)?;
    let served: Vec<Served> = models.iter().map(|name| models::locate(name).map_err(anyhow::Error::msg)).collect::<Result<_>>()?;

    let default = if matches!(origin, Origin::Spin(_)) { LISTEN_SPIN } else { LISTEN };
    let address = cli.listen.map_or_else(|| default.parse(), Ok).context("the default address")?;
    // The server cannot know whether a component asks for keys.
    cli.server.check_exposure(address, false)?;
    let tls = cli.server.tls(address, || anyhow::Ok(state_dir(&cli, &origin, &app)))?;
    let listener = hearth_server::bind(address).await?;
    let address = listener.local_addr().context("the address that is listened on")?;

    // Held until the end: nobody may put another state folder in its place meanwhile.
    let kept = open_store(&cli, &origin, &app)?;
    let store = kept.as_ref().map(|kept| kept.store.clone());
    let engine = Engine::start(engine_options(&cli)?)?;
    let at_start = if cli.preload { served.len() } else { 1 };
    for (at, Served { name, path, sha256 }) in served.iter().enumerate() {
        if at < at_start {
            engine.add_model(name, path.clone(), sha256.clone());
        } else {
            engine.offer_model(name, path.clone(), sha256.clone());
        }
    }
    let runtime = Runtime::new(engine.clone(), guest_options(&cli), app.components.len())
        .map_err(|error| anyhow::anyhow!("the wasm runtime cannot be set up: {error:#}"))?;
    let state = state_dir(&cli, &origin, &app);
    // The models load meanwhile, on the engine's thread.
    let service = tokio::task::spawn_blocking(move || Service::load(&app, &runtime, values, store.as_ref())).await??;
    for failure in service.failures() {
        tracing::error!("{failure}");
    }
    if service.is_dead() {
        bail!("no component can serve: {}", service.failures().map(ToString::to_string).collect::<Vec<_>>().join("; "));
    }

    let folders = std::iter::once(("state", state)).chain(hearth_engine::catalog::models_dir().map(|folder| ("models", folder)));
    let options = hearth_server::Options {
        tls: tls.clone(),
        notice: Duration::from_secs(cli.observe.drain_notice),
        observe: cli.observe.observe(folders.collect())?,
        ..cli.server.options(cli.max_instances)
    };
    let ready = async {
        for name in names.iter().take(at_start) {
            engine.ready(name).await.with_context(|| format!("the model '{name}' cannot be served"))?;
        }
        let scheme = if tls.is_some() { "https" } else { "http" };
        hearth_server::notify::ready(&format!("serving {} at {scheme}://{address}", names.join(", ")));
        announce(&cli, address, tls.as_ref(), &names, &engine.device_description())
    };
    let serve = hearth_server::serve(listener, Arc::new(service), hearth_server::shutdown_signal(), options);
    tokio::pin!(ready, serve);
    tokio::select! {
        ended = &mut serve => return Ok(ended?),
        ready = &mut ready => ready?,
    }
    Ok(serve.await?)
}

/// Says that it is ready, in one write.
fn announce(cli: &Cli, address: std::net::SocketAddr, tls: Option<&hearth_server::Tls>, models: &[String], device: &str) -> Result<()> {
    if cli.quiet {
        return Ok(());
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut text = format!(
        "Serving {scheme}://{address}\n  models: {}\n  device: {device}\n",
        if models.is_empty() { "none here".to_owned() } else { models.join(", ") }
    );
    if let Some(tls) = tls {
        text += &format!("  TLS: {}\n", tls.describe());
    }
    let mut out = std::io::stdout().lock();
    // A reader that went away is no reason to stop serving.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(())
}

/// The folder for what must outlive the process.
fn state_dir(cli: &Cli, origin: &Origin, app: &App) -> PathBuf {
    cli.state_dir.clone().unwrap_or_else(|| origin.state_dir(&app.name))
}

/// The key-value store, if the application or the command line uses one.
fn open_store(cli: &Cli, origin: &Origin, app: &App) -> Result<Option<Kept>> {
    let redis = RedisUrl::given(cli.redis_url.as_deref(), cli.redis_url_file.as_deref(), "HEARTH_REDIS_URL")?;
    if cli.key_values.is_empty() && app.components.iter().all(|component| component.key_value_stores.is_empty()) {
        return Ok(None);
    }
    let kept = match redis {
        Some(url) => Kept::redis(&url)?,
        None => Kept::folder(&state_dir(cli, origin, app))?,
    };
    let default = kept.store.namespace("default")?;
    for (key, value) in &cli.key_values {
        default.set(key, value.as_bytes())?;
    }
    Ok(Some(kept))
}

fn engine_options(cli: &Cli) -> Result<EngineOptions> {
    let draft = cli.draft_model.as_deref().map(models::locate).transpose();
    let draft = draft.map_err(anyhow::Error::msg).context("--draft-model")?;
    Ok(EngineOptions {
        device: cli.device.into(),
        threads: cli.threads,
        context: cli.context,
        sequences: cli.sequences,
        queue: cli.queue,
        max_wait: Duration::from_secs(cli.max_wait),
        speculation: cli.speculation,
        draft_model: draft.map(|Served { path, sha256, .. }| ModelFile { path, sha256 }),
        kv_type: cli.kv_cache.into(),
        quantize: cli.quantize,
        kv_bytes: cli.cache_memory << 20,
        load_cap: cli.max_load,
        unload_after: Duration::from_secs(cli.unload_after),
        ..EngineOptions::default()
    })
}

fn guest_options(cli: &Cli) -> GuestOptions {
    GuestOptions {
        instance_memory: cli.max_instance_memory,
        instances: cli.max_instances.saturating_add(PROBES),
        request_timeout: Duration::from_secs(cli.request_timeout),
        spin_timeout: Duration::from_secs(cli.spin_timeout),
        load_cap: cli.max_load,
        pooling: !cli.disable_pooling,
        writable_mounts: cli.allow_transient_write,
        cache: if cli.disable_cache { None } else { crate::cache::Cache::folder_of_user() },
        output: match &cli.log_dir {
            Some(path) => Output::Folder { path: path.clone(), truncate: cli.truncate_logs },
            None if cli.quiet => Output::Discard,
            None => Output::Inherit,
        },
        follow: cli.follow.clone(),
    }
}
