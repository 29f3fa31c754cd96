//! The log: lines for people or documents for machines, on standard error and in a file that is put aside in time; and the access line of each request.

mod access;
mod file;
mod id;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    time::Duration,
};

use tracing_subscriber::{EnvFilter, Layer, Registry, filter::LevelFilter, fmt, fmt::MakeWriter, layer::SubscriberExt, reload};

pub(crate) use access::access;
use file::{Rotation, Shared};
pub(crate) use id::{REQUEST_ID, request_id};

use crate::{LogFile, LogFormat, ObserveArgs, notify};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is malformed.
    #[error("--log-level {filter}: {reason}; write error, warn, info, debug or trace, or a filter such as warn,access=info")]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be written.
    #[error("--log-file {path}: {source}; name a file that can be written, or `none`")]
    File {
        /// Where it should be.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// There is another already.
    #[error("the log was begun twice")]
    Twice,
}

/// Begins the log of this process: with `level` on standard error where neither a flag nor the environment says another, and for a service in `service_file` unless the flags
/// say where.
///
/// # Errors
/// [`LogError`]
pub fn begin(args: &ObserveArgs, level: &str, service_file: Option<PathBuf>) -> Result<Log, LogError> {
    let file = match &args.log_file {
        Some(LogFile::None) => None,
        Some(LogFile::Path(path)) => Some(path.clone()),
        None => service_file.filter(|_| notify::is_service()),
    };
    let usual = if file.is_some() { "info" } else { level }.to_owned();
    let (filter, handle) = reload::Layer::new(chosen(args.log_level.as_deref(), &usual)?);
    let is_terminal = io::stderr().is_terminal();
    let layers = match file {
        None => vec![lines(args.log_format, io::stderr, is_terminal).with_filter(filter).boxed()],
        Some(path) => {
            let rotation = Rotation {
                bytes: args.log_file_size.saturating_mul(1 << 20),
                age: Some(args.log_file_age).filter(|hours| *hours > 0).map(|hours| Duration::from_secs(hours.saturating_mul(3600))),
                kept: args.log_files,
            };
            let file = Shared::open(&path, rotation).map_err(|source| LogError::File { path, source })?;
            let file = lines(args.log_format, file, false).with_filter(filter);
            // What is in the file need not be told twice; what goes wrong is for whoever looks on.
            let errors = lines(args.log_format, io::stderr, is_terminal).with_filter(LevelFilter::WARN);
            // Beside each other: put one on the other, the file would have the lines alone that the errors' filter lets through.
            vec![file.boxed(), errors.boxed()]
        }
    };
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layers)).map_err(|_| LogError::Twice)?;
    Ok(Log { handle, usual })
}

/// The log of this process, whose level can change.
#[derive(Debug, Clone)]
pub struct Log {
    handle: reload::Handle<EnvFilter, Registry>,
    usual: String,
}

impl Log {
    /// What changes the level to this one, or to the usual where there is none.
    ///
    /// # Errors
    /// [`LogError::Filter`]
    pub fn at(&self, level: Option<&str>) -> Result<impl FnOnce() + Send + use<>, LogError> {
        let (handle, filter) = (self.handle.clone(), chosen(level, &self.usual)?);
        Ok(move || {
            if let Err(error) = handle.reload(filter) {
                tracing::error!(%error, "the log's level cannot be changed");
            }
        })
    }
}

/// The filter that was given, by a flag before the environment, or else the usual one.
fn chosen(given: Option<&str>, usual: &str) -> Result<EnvFilter, LogError> {
    let given = given.map(str::to_owned).or_else(|| environment("HEARTH_LOG")).or_else(|| environment("RUST_LOG"));
    filter(given.as_deref().unwrap_or(usual))
}

/// A filter of levels by where things come from.
fn filter(text: &str) -> Result<EnvFilter, LogError> {
    let refused = |reason: String| LogError::Filter { filter: text.to_owned(), reason };
    // A word that is no level would be taken for a module's name, and the log be silent.
    if text.is_empty() || (!text.contains(['=', ',', '[']) && text.parse::<LevelFilter>().is_err()) {
        return Err(refused("there is no such level".to_owned()));
    }
    EnvFilter::try_new(text).map_err(|error| refused(error.to_string()))
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Lines of a format to a writer.
fn lines<W>(format: LogFormat, writer: W, colours: bool) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(colours);
    match format {
        LogFormat::Text => layer.with_target(false).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_filters_are_taken_and_other_words_refused() {
        for good in ["warn", "INFO", "off", "warn,access=info", "hearth_engine=debug"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for wrong in ["loud", "", "access=loud"] {
            let said = filter(wrong).unwrap_err().to_string();
            assert!(said.contains("--log-level") && said.contains("warn,access=info"), "{said}");
        }
    }
}
