//! The log on standard error, whose filter can change.

use std::io::IsTerminal;

use anyhow::anyhow;
use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// The filter of the log.
#[derive(Debug, Clone)]
pub(crate) struct Log(reload::Handle<EnvFilter, Registry>);

/// What is logged where nobody says it.
const LEVEL: &str = "warn,hearth::reload=info";

/// Begins the log of this process.
///
/// # Errors
/// When `level` is no filter.
pub(crate) fn begin(level: Option<&str>) -> anyhow::Result<Log> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).with_target(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
    Ok(Log(handle))
}

/// A filter of this level, or of the usual one.
///
/// # Errors
/// When it is none.
pub(crate) fn filter(level: Option<&str>) -> anyhow::Result<EnvFilter> {
    let level = level.unwrap_or(LEVEL);
    let cure = "write error, warn, info, debug or trace, or a filter such as warn,hearth_server=debug";
    EnvFilter::try_new(level).map_err(|error| anyhow!("`log-level` cannot be `{level}`: {error}; {cure}"))
}

impl Log {
    /// Takes another filter from now on.
    pub(crate) fn set(&self, filter: EnvFilter) {
        if let Err(error) = self.0.reload(filter) {
            tracing::error!(%error, "the log's level cannot be changed");
        }
    }
}
