//! The flags of logs, metrics and traces, the same in both shapes.

use std::{convert::Infallible, path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};
use ipnet::IpNet;

use super::Observe;
use crate::trace::{TraceError, Traces};

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// A JSON document a line
    Json,
}

/// `--log-file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogFile {
    /// No file.
    None,
    /// This one.
    Path(PathBuf),
}

impl FromStr for LogFile {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "none" { Self::None } else { Self::Path(text.into()) })
    }
}

/// Logs, metrics and traces.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logs, metrics and traces")]
pub struct ObserveArgs {
    /// How log lines are written
    #[arg(long, value_enum, default_value = "text", env = "HEARTH_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug or trace, or a filter such as warn,access=info. By default warn, and info in a file. HEARTH_LOG and RUST_LOG say it too
    #[arg(long, value_name = "LEVEL", env = "HEARTH_LOG_LEVEL")]
    pub log_level: Option<String>,
    /// A file for the log, with a line for each request; `none` for no file. By default none, and logs/service.log in the state folder where systemd runs the service
    #[arg(long, value_name = "PATH|none", env = "HEARTH_LOG_FILE")]
    pub log_file: Option<LogFile>,
    /// The size in MiB at which a log file is put aside and the next one begun
    #[arg(long, value_name = "MIB", default_value_t = 50, env = "HEARTH_LOG_FILE_SIZE", value_parser = clap::value_parser!(u64).range(1..))]
    pub log_file_size: u64,
    /// The age in hours at which that happens in any case; 0 for no age
    #[arg(long, value_name = "HOURS", default_value_t = 24, env = "HEARTH_LOG_FILE_AGE")]
    pub log_file_age: u64,
    /// Log files that are kept beside the one that is written
    #[arg(long, value_name = "N", default_value_t = 7, env = "HEARTH_LOG_FILES", value_parser = clap::value_parser!(u32).range(..=1000))]
    pub log_files: u32,
    /// Networks that may read /metrics, beside this machine, as 10.0.0.0/8
    #[arg(long, value_name = "CIDR", env = "HEARTH_METRICS_ALLOW", value_delimiter = ',', value_parser = network)]
    pub metrics_allow: Vec<IpNet>,
    /// An OpenTelemetry collector to send traces to, by OTLP over HTTP with JSON, as http://127.0.0.1:4318
    #[arg(long, value_name = "URL", env = "HEARTH_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// Seconds after a signal to end in which connections are still taken while /health/ready says 503, for a load balancer that has to notice
    #[arg(long, value_name = "SECONDS", default_value_t = 0, env = "HEARTH_DRAIN_NOTICE")]
    pub drain_notice: u64,
}

impl ObserveArgs {
    /// What a server takes of them. Starts the thread that sends traces, if they are sent.
    ///
    /// # Errors
    /// An endpoint that is no address.
    pub fn observe(&self, folders: Vec<(&'static str, PathBuf)>) -> Result<Observe, TraceError> {
        let traces = self.otlp_endpoint.as_deref().map(Traces::start).transpose()?;
        Ok(Observe { metrics_allow: self.metrics_allow.clone(), folders, traces })
    }
}

/// A network, or the one address that it is.
fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| format!("`{text}` is neither an address nor a network: write 10.0.0.0/8 or fd00::/8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_addresses_too() {
        assert_eq!(network("10.1.2.3").unwrap(), "10.1.2.3/32".parse().unwrap());
        assert!(network("fd00::/8").is_ok());
        assert!(network("10.0.0.0/40").unwrap_err().contains("10.0.0.0/8"));
    }
}
