//! What can be typed.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use hearth_engine::Quantization;

use crate::{
    backup::{BackupArgs, RestoreArgs},
    bench::BenchArgs,
    capacity::CapacityArgs,
    manual::{CompletionsArgs, ManualArgs},
};

mod admin;
mod serve;

pub(crate) use admin::{ConfigArgs, ConfigCommand, DoctorArgs, InitArgs, KeyArgs, KeysArgs, KeysCommand};
pub(crate) use serve::{KeysMode, SERVE, ServeArgs};

/// A self-hosted chat-model service.
#[derive(Debug, Parser)]
#[command(
    name = "hearth",
    version,
    about = "Hearth: chat models on your own machine, over HTTP or in the terminal",
    after_help = "Examples:
  hearth pull                     fetch and verify the default model (98 MB)
  hearth chat                     chat with it in the terminal
  hearth serve                    serve it at http://127.0.0.1:18789, as OpenAI's API and as a page to chat
  hearth models                   what else there is

  hearth init                     for a service: a configuration, a master key and the first keys
  hearth doctor                   what is wrong with it, and the cure

Models lie in $HEARTH_MODELS, by default ~/.local/share/hearth/models.
HEARTH_LOG=info (or debug) says more on standard error.",
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve models over HTTP: OpenAI's API and a page to chat
    #[command(after_help = "Examples:
  hearth serve
  hearth serve --listen 0.0.0.0:8080 --model smollm2-135m-instruct --model ./other.gguf
  hearth serve --model ./Llama-3.2-1B-Instruct --quantize q8_0        a folder as Hugging Face has them
  hearth serve --config ./hearth.toml                                     each flag is a key of it: docs/configuration.md
  curl http://127.0.0.1:18789/v1/chat/completions -d '{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}'

SIGHUP reads the configuration again and takes over what can change in a running service. It ends on SIGINT or SIGTERM after the answers under way; a second signal ends it at once.")]
    Serve(Box<ServeArgs>),
    /// Chat with a model in the terminal
    #[command(after_help = "Examples:
  hearth chat
  hearth chat --system 'You answer in one sentence.' --verbose
  echo 'What is the capital of France?' | hearth chat

Each line is a message; lines between two lines of \"\"\" are one. Ctrl-C stops an answer, at the prompt it ends the chat. /help lists the commands.")]
    Chat(ChatArgs),
    /// Fetch a model and verify it; resumes what was interrupted
    #[command(after_help = "Examples:
  hearth pull                                                   the default model
  hearth pull gemma-3-270m                                      a model of the catalog (hearth models)
  hearth pull ./my.gguf --sha256 HEX --name mine                a file of this machine
  hearth pull https://example.com/my.gguf --sha256 HEX          an address

A file gets its name only after its hash fits. HF_ENDPOINT and HF_TOKEN are honoured for sources on the hub; the token is sent to that host alone.")]
    Pull(PullArgs),
    /// Compute the hashes of models again and compare them
    #[command(after_help = "Examples:
  hearth verify                   all that are here
  hearth verify gemma-3-270m")]
    Verify(VerifyArgs),
    /// List the models: what they are for, what is here, sizes, licences
    #[command(after_help = "Examples:
  hearth models
  hearth models --path smollm2-135m-instruct      where its file lies")]
    Models(ModelsArgs),
    /// Measure a model on this machine, or a server under load
    #[command(after_help = "Examples:
  hearth bench                                       the default model: prefill, decode, batches, start, memory
  hearth bench gemma-3-270m --threads 2 --batch 1,8  some of it
  hearth bench --file ./my.gguf --json               for scripts
  hearth bench --url http://127.0.0.1:18789 --clients 1,8,50,200

Figures are the median, least and most of --repeat measurements after a warm-up. Prefill has no tokenizing and no sampling in it; decoding samples greedily, as a chat at
temperature 0 does.")]
    Bench(Box<BenchArgs>),
    /// What a model needs for so many chats of such a length, and what this machine has of it
    #[command(after_help = "Examples:
  hearth capacity --model gemma-3-270m --context 8192 --sequences 8
  hearth capacity --model ./my.gguf --memory 3584 --bandwidth 20       for a machine that is not this one
  hearth capacity --json                                               for scripts

The model's header is read, not its weights. docs/capacity.md has the formula, and sizes of machines made with it.")]
    Capacity(CapacityArgs),
    /// Back up what outlives the server, while it runs: encrypted, to a folder or a bucket
    #[command(after_help = "Examples:
  hearth backup key --out ./backup.key                            once; keep a copy elsewhere
  hearth backup --place /mnt/backups --key-file ./backup.key      a full one
  hearth backup --place s3://bucket/hearth --key-file ./backup.key --incremental
  hearth backup list|verify|prune|drill --place /mnt/backups --key-file ./backup.key

HEARTH_BACKUP_PLACE and HEARTH_BACKUP_KEY_FILE stand for the two options.")]
    Backup(Box<BackupArgs>),
    /// Put a backup in the place of the state folder, after all of it was verified
    #[command(after_help = "Examples:
  hearth restore --place /mnt/backups --key-file ./backup.key                           the newest
  hearth restore --place /mnt/backups --key-file ./backup.key 20260102T030405Z-full

The server must not be running. What was there before is kept beside.")]
    Restore(RestoreArgs),
    /// Set a service up: a configuration, a folder for its state, a master key and the first keys
    #[command(after_help = "Examples:
  hearth init                                        ~/.config/hearth/hearth.toml, and state where `hearth serve` keeps it
  hearth init --config /etc/hearth/hearth.toml --state-dir /var/lib/hearth

It prints the secrets of three keys (admin, service, read-only) once. Files are for their owner only; none that is there is overwritten.")]
    Init(InitArgs),
    /// Check or show the configuration of `hearth serve`
    #[command(after_help = "Examples:
  hearth config check                  the file that `hearth serve` would read
  hearth config check ./hearth.toml
  hearth config show                   each value and where it came from; secrets are masked
  hearth config show --json            for scripts")]
    Config(ConfigArgs),
    /// Make, list, rotate and revoke the keys of clients
    #[command(after_help = "Examples:
  hearth keys create web --scope chat --requests-per-minute 60
  hearth keys create partner --model smollm2-135m-instruct --expires-in 30
  hearth keys list
  hearth keys rotate ID                another secret for the same key
  hearth keys revoke ID
  hearth keys rotate-data-key          write all that is kept anew, under another key

A secret is printed once and kept as a salted hash only.")]
    Keys(KeysArgs),
    /// Check this machine and the configuration: what is wrong, and the cure
    #[command(after_help = "Examples:
  hearth doctor
  hearth doctor --deep --json                          hash the models again; for scripts
  hearth doctor --url https://chat.example             ask a running server too, through its proxies

It ends with 1 where something is an error. $HEARTH_API_KEY is the key that a server is asked with.")]
    Doctor(DoctorArgs),
    /// Print what a shell completes of this command line
    #[command(after_help = "Examples:
  hearth completions bash > ~/.local/share/bash-completion/completions/hearth
  hearth completions fish > ~/.config/fish/completions/hearth.fish")]
    Completions(CompletionsArgs),
    /// Write the pages of the manual
    #[command(hide = true)]
    Manual(ManualArgs),
}

/// The whole command line. Flags of `serve` are ready to be layers of its configuration.
pub(crate) fn command() -> clap::Command {
    Cli::command().mut_subcommand(SERVE, hearth_config::prepare)
}

/// How the engine computes.
#[derive(Debug, Clone, Args)]
pub(crate) struct EngineArgs {
    /// Where to compute; `auto` takes a GPU when there is one
    #[arg(long, value_enum, default_value = "auto", env = "HEARTH_DEVICE")]
    pub(crate) device: Device,
    /// Threads of the CPU kernels; 0 takes the physical cores
    #[arg(long, value_name = "N", default_value_t = 0, env = "HEARTH_THREADS")]
    pub(crate) threads: usize,
    /// The longest context of a chat in tokens, prompt and answer together; 0 takes the model's own
    #[arg(long, value_name = "TOKENS", default_value_t = 0, env = "HEARTH_CONTEXT")]
    pub(crate) context: usize,
    /// Memory for chats under way (the KV cache) in MiB; 0 chooses from what is free
    #[arg(long, value_name = "MIB", default_value_t = 0, env = "HEARTH_CACHE_MEMORY")]
    pub(crate) cache_memory: u64,
    /// How the KV cache keeps numbers; `q8_0` has room for almost twice as many tokens, at a small loss of precision, and works on the CPU alone
    #[arg(long, value_enum, default_value = "f16", env = "HEARTH_KV_CACHE")]
    pub(crate) kv_cache: KvCache,
    /// Tokens to guess ahead of each answer from what its conversation said before; 0 guesses none. No answer depends on it. Worth it where answers repeat their prompt
    /// (editing, extraction, code) and few run at once: 4 to 8 are usual
    #[arg(long, value_name = "TOKENS", default_value_t = 0, env = "HEARTH_SPECULATION")]
    pub(crate) speculation: usize,
    /// A small model of the same family that guesses ahead in place of that: a name of the catalog or a path. It guesses 4 tokens unless --speculation says how many
    #[arg(long, value_name = "NAME|PATH", env = "HEARTH_DRAFT_MODEL")]
    pub(crate) draft_model: Option<String>,
    /// Quantize the weights of a Hugging Face folder as it is loaded: q8_0 halves them, q4_k leaves a quarter and costs some quality. A GGUF file comes quantized
    #[arg(long, value_name = "q8_0|q4_k", env = "HEARTH_QUANTIZE")]
    pub(crate) quantize: Option<Quantization>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KvCache {
    F16,
    /// Eight bits each, with a scale for every 32
    #[value(name = "q8_0")]
    Q8_0,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Device {
    /// A GPU when there is one, else the CPU
    Auto,
    Cpu,
    /// A GPU, or an error that says what was probed
    Gpu,
}

#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// A model of the catalog (`hearth models`) or the path of a GGUF file or a Hugging Face folder; without one the default model
    #[arg(value_name = "NAME|PATH")]
    pub(crate) model: Option<String>,
    /// What the model is told before the first message; '' tells it nothing, for models that take no such message
    #[arg(long, value_name = "TEXT", default_value = "You are a helpful assistant.")]
    pub(crate) system: String,
    /// 0 takes the likeliest token each time; higher is more varied
    #[arg(long, value_name = "NUMBER", default_value_t = 0.2)]
    pub(crate) temperature: f64,
    /// The same seed gives the same answers
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
    /// The longest answer in tokens; without it the context is the limit
    #[arg(long, value_name = "TOKENS")]
    pub(crate) max_tokens: Option<usize>,
    /// Show tokens per second after each answer
    #[arg(long, short)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// A model of the catalog, the path of a file, or an address; without one the default model
    #[arg(value_name = "NAME|PATH|URL")]
    pub(crate) what: Option<String>,
    /// The sha256 that the file of a path or address must have
    #[arg(long, value_name = "HEX")]
    pub(crate) sha256: Option<String>,
    /// The name to give it; without one it is made from the file's
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Models to verify; without any, all that are here
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    /// Print only where the file of this model lies
    #[arg(long, value_name = "NAME")]
    pub(crate) path: Option<String>,
    /// The weights folder, for scripts
    #[arg(long, conflicts_with = "path")]
    pub(crate) folder: bool,
}

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1 is needed".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

/// The weights folder.
pub(crate) fn models_dir() -> anyhow::Result<PathBuf> {
    hearth_engine::catalog::models_dir()
        .ok_or_else(|| anyhow::anyhow!("no home folder is set: say where models lie with HEARTH_MODELS=/some/folder"))
}

/// The folder for what outlives a server.
pub(crate) fn state_dir(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The XDG specification has relative paths ignored.
    let data = || folder("XDG_DATA_HOME").filter(|path| path.is_absolute()).or_else(|| Some(folder("HOME")?.join(".local/share")));
    let state = given.or_else(|| Some(data()?.join("hearth/state")));
    state.ok_or_else(|| {
        anyhow::anyhow!("no home folder is set: say where to keep responses with --state-dir FOLDER, or keep none with --no-store")
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
