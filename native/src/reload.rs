//! SIGHUP: the configuration is read again. What a running server can take over is; of the rest it is said that it needs a restart; and where anything is wrong, all stays as it
//! is.

use std::ffi::OsString;

use hearth_config::Resolved;

use crate::config::{self, Service};

/// Takes a prepared change over.
pub(crate) type Commit = Box<dyn FnOnce() + Send>;
/// Looks whether a change can be taken over.
type Prepare = Box<dyn Fn(&Service) -> anyhow::Result<Commit> + Send>;

/// Keys that one part of the server takes over while it runs.
pub(crate) struct Live {
    /// Their names.
    pub(crate) keys: &'static [&'static str],
    /// Nothing changes before all parts have prepared.
    pub(crate) prepare: Prepare,
}

/// The log's keys.
pub(crate) const LOG: &[&str] = &["log-level"];
/// The handler's.
pub(crate) const HANDLER: &[&str] = &[
    "keys",
    "api-key",
    "api-key-file",
    "store-days",
    "limit-requests-per-minute",
    "limit-tokens-per-minute",
    "limit-concurrent",
    "response-cache",
    "fallback-url",
    "fallback-key",
    "fallback-key-file",
    "fallback-timeout",
];

/// All keys that a running server takes over, for the documentation.
#[cfg(test)]
pub(crate) fn live_keys() -> Vec<&'static str> {
    [LOG, HANDLER].concat()
}

/// What a reload came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reloaded {
    /// Keys with another value that counts from now on.
    pub(crate) taken_over: Vec<String>,
    /// Keys with another value that counts after a restart.
    pub(crate) need_restart: Vec<String>,
}

/// The configuration of a running server.
pub(crate) struct Reload {
    arguments: Vec<OsString>,
    current: Resolved,
    live: Vec<Live>,
}

impl Reload {
    /// Of a server that was started with these arguments and came to this configuration.
    pub(crate) fn new(arguments: Vec<OsString>, current: Resolved, live: Vec<Live>) -> Self {
        Self { arguments, current, live }
    }

    /// Reads it again.
    ///
    /// # Errors
    /// What is wrong with it; then nothing has changed.
    pub(crate) fn again(&mut self) -> anyhow::Result<Reloaded> {
        let new = config::load(&self.arguments)?;
        let changed = |name: &str| match (self.current.setting(name), new.resolved.setting(name)) {
            (Some(old), Some(new)) => old.differs(new),
            _ => false,
        };
        let is_live = |name: &str| self.live.iter().any(|live| live.keys.contains(&name));
        let touched = self.live.iter().filter(|live| live.keys.iter().any(|key| changed(key)));
        let commits = touched.map(|live| (live.prepare)(&new)).collect::<anyhow::Result<Vec<Commit>>>()?;
        let all = self.current.settings.iter().map(|setting| setting.name.clone()).filter(|name| changed(name));
        let (taken_over, need_restart): (Vec<String>, Vec<String>) = all.partition(|name| is_live(name));
        for commit in commits {
            commit();
        }
        // The others stay as the server has them, and are told again the next time.
        for setting in &mut self.current.settings {
            if let Some(new) = new.resolved.setting(&setting.name).filter(|_| taken_over.contains(&setting.name)) {
                *setting = new.clone();
            }
        }
        for warning in &new.resolved.warnings {
            tracing::warn!("{warning}");
        }
        Ok(Reloaded { taken_over, need_restart })
    }

    /// Reads it again at each SIGHUP; never ends.
    #[cfg(unix)]
    pub(crate) async fn at_signals(mut self, mut signals: tokio::signal::unix::Signal) {
        while signals.recv().await.is_some() {
            // Secrets may lie in files, and a master key behind a command: all small, but not the runtime's to wait for.
            match tokio::task::block_in_place(|| self.again()) {
                Ok(Reloaded { taken_over, need_restart }) => {
                    if taken_over.is_empty() && need_restart.is_empty() {
                        tracing::info!("the configuration was read again: nothing has changed");
                    }
                    if !taken_over.is_empty() {
                        tracing::info!("the configuration was read again: {} changed", taken_over.join(", "));
                    }
                    if !need_restart.is_empty() {
                        tracing::warn!("the configuration was read again: {} changed, which needs a restart", need_restart.join(", "));
                    }
                }
                Err(error) => tracing::error!("the configuration was read again and is not taken, all stays as it was: {error:#}"),
            }
        }
        std::future::pending().await
    }
}
