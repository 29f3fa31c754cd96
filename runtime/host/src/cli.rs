//! The command line: the flags that `spin up` passes on, and those of our own.

use std::{net::SocketAddr, path::PathBuf};

use clap::{ArgAction, CommandFactory, Parser, ValueEnum};
use hearth_engine::{DeviceChoice, KvType, Quantization};
use hearth_server::{ObserveArgs, ServerArgs};

/// Where a plain run listens.
pub const LISTEN: &str = "127.0.0.1:18789";
/// Where `spin up` users expect an application.
pub const LISTEN_SPIN: &str = "127.0.0.1:3000";

/// Serves the nn-http triggers of a Spin application: components that answer HTTP and run models through wasi-nn.
///
/// `spin up` calls it as a plugin. Without Spin: trigger-nn-http --from path/to/spin.toml
#[derive(Debug, Parser)]
#[command(name = "trigger-nn-http", version, disable_help_subcommand = true)]
pub struct Cli {
    /// Run this manifest directly, without Spin. Without it and outside of `spin up`: ./spin.toml.
    #[arg(long, value_name = "SPIN.TOML")]
    pub from: Option<PathBuf>,

    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:18789, under `spin up` 127.0.0.1:3000].
    #[arg(long, env = "SPIN_HTTP_LISTEN_ADDR", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// A model to serve: a name of the catalog (see `hearth models`), a .gguf file, a Hugging Face folder, or NAME=PATH. May be repeated; the first is the default. Without it: the
    /// variable `models`, if it is set; then `model` of the trigger in spin.toml; then the default of the variable `models`.
    #[arg(long = "model", value_name = "NAME")]
    pub models: Vec<String>,

    /// Serve no model here: the application asks another server for all of them (docs/edge.md).
    #[arg(long, conflicts_with = "models")]
    pub no_models: bool,

    /// Where to compute. `auto` takes a GPU when there is one, else the CPU, and says which and why.
    #[arg(long, value_enum, default_value = "auto")]
    pub device: Device,

    /// Threads for computing on the CPU; 0 takes the physical cores.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,

    /// Load all models at the start and keep them. Otherwise only the first is; the others are loaded when they are first asked for.
    #[arg(long)]
    pub preload: bool,

    /// Seconds after which a model that nobody has used is unloaded, the first aside; 0 keeps it until another needs its memory.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub unload_after: u64,

    /// Longest conversation, in tokens; 0 takes the model's own. Less needs less memory.
    #[arg(long, default_value_t = 0, value_name = "TOKENS")]
    pub context: usize,

    /// Answers computed together; further requests wait in the queue.
    #[arg(long, default_value_t = 32)]
    pub sequences: usize,

    /// Requests that may wait; further ones get a 503.
    #[arg(long, default_value_t = 128)]
    pub queue: usize,

    /// Seconds that a request may wait for its turn before it gets a 503; 0 lets it wait.
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    pub max_wait: u64,

    /// Tokens to guess ahead of each answer from what its conversation said before; 0 guesses none. No answer depends on it. Worth it where answers repeat their prompt
    /// (editing, extraction, code) and few run at once: 4 to 8 are usual.
    #[arg(long, default_value_t = 0, value_name = "TOKENS")]
    pub speculation: usize,

    /// A small model of the same family that guesses ahead in place of that: a name of the catalog, or a .gguf file. It guesses 4 tokens unless --speculation says how many.
    #[arg(long, value_name = "NAME")]
    pub draft_model: Option<String>,

    /// Quantize the weights of Hugging Face folders as they are loaded: q8_0 halves them, q4_k leaves a quarter and costs some quality. GGUF files come quantized.
    #[arg(long, value_name = "q8_0|q4_k")]
    pub quantize: Option<Quantization>,

    /// Memory for conversations under way (the KV cache), in MiB; 0 lets the engine choose from what is free.
    #[arg(long, default_value_t = 0, value_name = "MIB")]
    pub cache_memory: u64,

    /// How the KV cache keeps numbers. `q8_0` has room for almost twice as many tokens, at a small loss of precision, and works on the CPU alone.
    #[arg(long, value_enum, default_value = "f16")]
    pub kv_cache: KvCache,

    /// Set a variable of the application. NAME=@FILE takes the value from a file, which keeps a secret out of the list of processes; SPIN_VARIABLE_<NAME> in the
    /// environment does so too.
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = pair)]
    pub variables: Vec<(String, String)>,

    /// Set a key of the `default` key-value store at the start.
    #[arg(long = "key-value", value_name = "KEY=VALUE", value_parser = pair)]
    pub key_values: Vec<(String, String)>,

    /// Folder for what must outlive the process, such as the key-value store [default: .hearth beside the manifest, under `spin up` .spin in the application's folder].
    #[arg(long, value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,

    /// Keep stores in Redis instead, which several instances share: redis://HOST[:PORT][/DATABASE], rediss:// with TLS. An address with a password belongs into the environment
    /// or a file.
    #[arg(long, value_name = "URL", env = "HEARTH_REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,

    /// A file whose first line is the address of Redis.
    #[arg(long, value_name = "FILE", env = "HEARTH_REDIS_URL_FILE")]
    pub redis_url_file: Option<PathBuf>,

    /// Write what components print to files in this folder instead of standard error.
    #[arg(long, short = 'L', value_name = "FOLDER")]
    pub log_dir: Option<PathBuf>,

    /// Begin the files in --log-dir empty.
    #[arg(long)]
    pub truncate_logs: bool,

    /// Print this component's output here, even with --quiet or --log-dir. May be repeated.
    #[arg(long, value_name = "COMPONENT")]
    pub follow: Vec<String>,

    /// Print errors only, and nothing of what components print.
    #[arg(long, short = 'q', alias = "sh")]
    pub quiet: bool,

    /// Memory that one instance of a component may have, in bytes.
    #[arg(long, default_value_t = 512 << 20, value_name = "BYTES")]
    pub max_instance_memory: usize,

    /// Instances that run at once, over all components: as many requests are answered at the same time.
    #[arg(long, default_value_t = 256, value_name = "COUNT")]
    pub max_instances: usize,

    /// Largest model that a component may bring by itself (wasi-nn's load), in bytes.
    #[arg(long, default_value_t = 256 << 20, value_name = "BYTES")]
    pub max_load: u64,

    /// Seconds that one request may take from its arrival to the end of its response.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    pub request_timeout: u64,

    /// Seconds that a component may compute without sending anything or calling a model or store, before it is stopped.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub spin_timeout: u64,

    /// Logs, metrics and traces.
    #[command(flatten)]
    pub observe: ObserveArgs,

    /// Allocate instances one by one instead of from a pool: slower, for systems that limit the address space.
    #[arg(long)]
    pub disable_pooling: bool,

    /// Compile components at each start instead of keeping them compiled in ~/.cache/hearth.
    #[arg(long)]
    pub disable_cache: bool,

    /// Let components write to the folders that they mount.
    #[arg(long)]
    pub allow_transient_write: bool,

    /// Spin's runtime configuration. This trigger reads none and refuses it, rather than pass over what it says.
    #[arg(long, env = "RUNTIME_CONFIG_FILE", value_name = "FILE")]
    pub runtime_config_file: Option<PathBuf>,

    /// TLS, limits and ends: the same as those of `hearth serve`.
    #[command(flatten)]
    pub server: ServerArgs,

    #[arg(long, hide = true, action = ArgAction::SetTrue)]
    help_args_only: bool,

    #[arg(long, hide = true, action = ArgAction::SetTrue)]
    launch_metadata_only: bool,
}

/// `--device`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Device {
    /// A GPU when there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU; an error where there is none.
    Gpu,
}

impl From<Device> for DeviceChoice {
    fn from(device: Device) -> Self {
        match device {
            Device::Auto => Self::Auto,
            Device::Cpu => Self::Cpu,
            Device::Gpu => Self::Gpu,
        }
    }
}

/// `--kv-cache`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum KvCache {
    /// 16 bits each.
    F16,
    /// Eight bits each, with a scale for every 32.
    #[value(name = "q8_0")]
    Q8_0,
}

impl From<KvCache> for KvType {
    fn from(cache: KvCache) -> Self {
        match cache {
            KvCache::F16 => Self::F16,
            KvCache::Q8_0 => Self::Q8_0,
        }
    }
}

/// `NAME=VALUE`, or `NAME=@FILE` for the contents of a file without its last line break.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE or NAME=@FILE")?;
    let Some(file) = value.strip_prefix('@') else { return Ok((name.to_owned(), value.to_owned())) };
    let value = std::fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    let value = value.strip_suffix('\n').map_or(value.as_str(), |value| value.strip_suffix('\r').unwrap_or(value));
    Ok((name.to_owned(), value.to_owned()))
}

/// What one of Spin's two hidden questions asks for, if this is one: text for standard output, or for standard error.
pub enum SpinAnswer {
    /// `--help-args-only`: the options, for `spin up --help`.
    Help(String),
    /// `--launch-metadata-only`: the flags that this trigger takes.
    Metadata(String),
}

/// Answers Spin's hidden questions. They come alone, without the environment of a start.
pub fn spin_answer(arguments: impl IntoIterator<Item = String>) -> Option<SpinAnswer> {
    for argument in arguments.into_iter().skip(1) {
        match argument.as_str() {
            "--help-args-only" => {
                let help = Cli::command().help_template("{all-args}").render_long_help();
                return Some(SpinAnswer::Help(help.to_string()));
            }
            "--launch-metadata-only" => return Some(SpinAnswer::Metadata(metadata())),
            _ => {}
        }
    }
    None
}

fn metadata() -> String {
    let mut command = Cli::command();
    command.build();
    let flags: Vec<_> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set())
        .map(|argument| {
            let mut flag = serde_json::Map::new();
            if let Some(short) = argument.get_short() {
                flag.insert("short".into(), format!("-{short}").into());
            }
            if let Some(long) = argument.get_long() {
                flag.insert("long".into(), format!("--{long}").into());
            }
            serde_json::Value::Object(flag)
        })
        .collect();
    serde_json::json!({ "all_flags": flags }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(argument: &str) -> Option<SpinAnswer> {
        spin_answer(["trigger-nn-http", argument].map(str::to_owned))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_hidden_questions_are_answered() {
        let Some(SpinAnswer::Help(help)) = ask("--help-args-only") else { panic!() };
        assert!(help.contains("--listen") && !help.contains("--help-args-only") && !help.contains("Usage"), "{help}");
        let Some(SpinAnswer::Metadata(json)) = ask("--launch-metadata-only") else { panic!() };
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let flags = json["all_flags"].as_array().unwrap();
        assert!(flags.contains(&serde_json::json!({"short": "-L", "long": "--log-dir"})));
        assert!(flags.contains(&serde_json::json!({"long": "--listen"})));
        assert!(ask("--listen").is_none());
    }

    #[test]
    fn pairs_come_from_the_line_or_a_file() {
        assert_eq!(pair("a=b=c").unwrap(), ("a".into(), "b=c".into()));
        assert!(pair("a").is_err());
        let file = std::env::temp_dir().join(format!("hearth-pair-{}", std::process::id()));
        std::fs::write(&file, "secret\n").unwrap();
        assert_eq!(pair(&format!("key=@{}", file.display())).unwrap().1, "secret");
        std::fs::remove_file(&file).unwrap();
        assert!(pair(&format!("key=@{}", file.display())).unwrap_err().contains("cannot read"));
    }
}
