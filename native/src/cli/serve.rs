//! The flags of `hearth serve`, which are the keys of its configuration.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use hearth_config::Secret;
use hearth_server::{ObserveArgs, ServerArgs};

use super::{EngineArgs, at_least_one};

/// The command's name.
pub(crate) const SERVE: &str = "serve";
/// Threads of the server at most where nobody says how many.
const WORKERS_MAX: usize = 64;

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Configuration file: TOML, or JSON (.json) or INI (.ini). Without it the first of ./hearth.toml, ~/.config/hearth/hearth.toml, /etc/hearth/hearth.toml
    #[arg(long, value_name = "FILE", env = "HEARTH_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:18789", env = "HEARTH_LISTEN")]
    pub(crate) listen: SocketAddr,
    /// The address alone, in place of that of --listen
    #[arg(long, value_name = "ADDRESS", env = "HEARTH_HOST", value_parser = host)]
    pub(crate) host: Option<IpAddr>,
    /// The port alone, in place of that of --listen; 0 takes a free one
    #[arg(long, value_name = "PORT", env = "HEARTH_PORT")]
    pub(crate) port: Option<u16>,
    /// Threads that take requests: sockets, TLS, JSON, streaming. They bound neither the chats at once (--sequences, --queue) nor the threads that compute (--threads). By
    /// default twice the cores, at most 64
    #[arg(long, value_name = "N", env = "HEARTH_WORKERS", alias = "max-workers", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,
    /// A model of the catalog (`hearth models`), the path of a GGUF file or a Hugging Face folder, or NAME=PATH; can be repeated, the first is the default. Without
    /// one: the catalog's default, and all others that were pulled
    #[arg(long = "model", value_name = "NAME|PATH", env = "HEARTH_MODEL", alias = "model-path")]
    pub(crate) models: Vec<String>,
    /// Serve no model of its own: all are those of --fallback-url
    #[arg(long, env = "HEARTH_NO_MODELS")]
    pub(crate) no_models: bool,
    /// Another Hearth that computes what is not here, and what the queue here refuses, as https://gpu.example.com: docs/edge.md
    #[arg(long, value_name = "URL", env = "HEARTH_FALLBACK_URL", value_parser = origin, help_heading = "Another server")]
    pub(crate) fallback_url: Option<String>,
    /// This server's key there. A client's own goes nowhere
    #[arg(long, value_name = "KEY", env = "HEARTH_FALLBACK_KEY", hide_env_values = true, help_heading = "Another server")]
    pub(crate) fallback_key: Option<Secret>,
    /// Seconds until an answer from there has to begin; its queue is waited for
    #[arg(long, value_name = "SECONDS", default_value_t = 150, env = "HEARTH_FALLBACK_TIMEOUT", help_heading = "Another server", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) fallback_timeout: u32,
    /// Load all models at the start and keep them. Otherwise only the first is; the others are loaded when they are first asked for
    #[arg(long, env = "HEARTH_PRELOAD")]
    pub(crate) preload: bool,
    /// Seconds after which a model that nobody has used is unloaded, the first aside; 0 keeps it until another needs its memory
    #[arg(long, value_name = "SECONDS", default_value_t = 300, env = "HEARTH_UNLOAD_AFTER")]
    pub(crate) unload_after: u64,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// Chats computed together; further ones wait
    #[arg(long, value_name = "N", default_value_t = 32, env = "HEARTH_SEQUENCES", value_parser = at_least_one)]
    pub(crate) sequences: usize,
    /// Chats that may wait; further ones are answered 503
    #[arg(long, value_name = "N", default_value_t = 128, env = "HEARTH_QUEUE")]
    pub(crate) queue: usize,
    /// Seconds that a chat may wait for its turn before it is answered 503; 0 lets it wait
    #[arg(long, value_name = "SECONDS", default_value_t = 120, env = "HEARTH_MAX_WAIT")]
    pub(crate) max_wait: u64,
    /// Folder for what outlives the server: keys, responses and conversations. By default ~/.local/share/hearth/state
    #[arg(long, value_name = "FOLDER", env = "HEARTH_STATE_DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Keep all that in Redis instead, which several instances share, the counts of limits included: redis://HOST[:PORT][/DATABASE], rediss:// with TLS
    #[arg(long, value_name = "URL", env = "HEARTH_REDIS_URL", hide_env_values = true)]
    pub(crate) redis_url: Option<Secret>,
    /// Keep no responses and no conversations, whatever --state-dir says: nothing that is said is written anywhere
    #[arg(long, env = "HEARTH_NO_STORE")]
    pub(crate) no_store: bool,
    /// Days that a response is kept; 0 keeps it until it is deleted. Conversations are kept until they are
    #[arg(long, value_name = "DAYS", default_value_t = 30, env = "HEARTH_STORE_DAYS")]
    pub(crate) store_days: u64,
    /// Whether requests need a key (`hearth keys`)
    #[arg(long, value_enum, default_value = "none", env = "HEARTH_KEYS", help_heading = "Keys and secrets")]
    pub(crate) keys: KeysMode,
    /// One key beside those of `hearth keys`; where it is set, requests need a key
    #[arg(long, value_name = "KEY", env = "HEARTH_API_KEY", hide_env_values = true, help_heading = "Keys and secrets")]
    pub(crate) api_key: Option<Secret>,
    /// 32 bytes in base64 that wrap the keys with which responses and conversations are encrypted
    #[arg(long, value_name = "BASE64", env = "HEARTH_MASTER_KEY", hide_env_values = true, help_heading = "Keys and secrets")]
    pub(crate) master_key: Option<Secret>,
    /// A command of the shell that prints the master key, as of a password store
    #[arg(long, value_name = "COMMAND", env = "HEARTH_MASTER_KEY_COMMAND", help_heading = "Keys and secrets")]
    pub(crate) master_key_command: Option<String>,
    /// Requests a minute of a key that has no limit of its own; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 0, env = "HEARTH_LIMIT_REQUESTS_PER_MINUTE", help_heading = "Keys and secrets")]
    pub(crate) limit_requests_per_minute: u32,
    /// Tokens a minute of such a key, prompts and answers together; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 0, env = "HEARTH_LIMIT_TOKENS_PER_MINUTE", help_heading = "Keys and secrets")]
    pub(crate) limit_tokens_per_minute: u32,
    /// Answers at the same time of such a key; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 0, env = "HEARTH_LIMIT_CONCURRENT", help_heading = "Keys and secrets")]
    pub(crate) limit_concurrent: u32,
    /// Answers to requests whose answer is always the same (temperature 0, or a seed) that are kept for the same request to come again; 0 keeps none
    #[arg(long, value_name = "N", default_value_t = 0, env = "HEARTH_RESPONSE_CACHE")]
    pub(crate) response_cache: u32,
    #[command(flatten)]
    pub(crate) observe: ObserveArgs,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// `--keys`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeysMode {
    /// Requests need none, unless there is an --api-key
    None,
    /// Every request but those for the pages and the health needs one
    Required,
}

impl ServeArgs {
    /// Whether the handler asks for keys.
    pub(crate) fn needs_keys(&self) -> bool {
        self.keys == KeysMode::Required || self.api_key.is_some()
    }

    /// Threads that take requests.
    pub(crate) fn worker_threads(&self) -> usize {
        self.workers.map_or_else(
            || std::thread::available_parallelism().map_or(2, std::num::NonZero::get).saturating_mul(2).min(WORKERS_MAX),
            usize::from,
        )
    }
}

/// An address without a path, as a manifest's allowed_outbound_hosts has it too.
fn origin(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    let plain = url.filter(|url| url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty());
    plain
        .map(|_| text.to_owned())
        .ok_or_else(|| "it is a scheme, a host and a port, as https://gpu.example.com or http://10.0.0.2:18789".to_owned())
}

fn host(text: &str) -> Result<IpAddr, String> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.parse().map_err(|_| "it is an IP address, as 127.0.0.1 or 0.0.0.0, or localhost".to_owned())
}
