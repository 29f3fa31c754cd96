//! The flags of the commands by which a service is run.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hearth_function::keys::Scope;

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check it: every unknown key, wrong value and unreadable file
    Check {
        /// The file; without it the one that `hearth serve` would read
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Show each value and where it came from; secrets are masked
    Show {
        /// The file; without it the one that `hearth serve` would read
        #[arg(long = "config", value_name = "FILE")]
        file: Option<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The file to write [default: ~/.config/hearth/hearth.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder for what outlives the server [default: ~/.local/share/hearth/state]
    #[arg(long, value_name = "FOLDER", env = "HEARTH_STATE_DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    /// The configuration that says where the keys are; without it the one that `hearth serve` would read
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// As JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key and print its secret, once
    Create(KeyArgs),
    /// All keys, the oldest first; no secrets
    List,
    /// Give a key another secret; the old one is no good from now on
    Rotate {
        /// Its id
        id: String,
    },
    /// Make a key no good for ever
    Revoke {
        /// Its id
        id: String,
    },
    /// Make another data key and write all responses and conversations anew under it
    RotateDataKey,
    /// Wrap the data keys in another master key; the configuration has the present one
    RotateMasterKey {
        /// File with the new one, 32 bytes in base64
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// What people call it
    pub(crate) name: String,
    /// What it lets its holder do: admin, chat or read; can be repeated
    #[arg(long, value_name = "SCOPE", default_value = "chat", value_delimiter = ',')]
    pub(crate) scope: Vec<Scope>,
    /// A model that it is for; can be repeated. Without one: all
    #[arg(long = "model", value_name = "NAME", value_delimiter = ',')]
    pub(crate) models: Vec<String>,
    /// Requests a minute; without it what the configuration says for all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) requests_per_minute: Option<u32>,
    /// Tokens a minute, prompts and answers together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tokens_per_minute: Option<u32>,
    /// Answers at the same time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) concurrent: Option<u32>,
    /// Days until it is no good any more
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=36500))]
    pub(crate) expires_in: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The configuration to check; without it the one that `hearth serve` would read
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A running server to ask, as http://127.0.0.1:18789 or the address that its clients use; without it the one of the configuration, if it runs
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Hash every byte of the models again
    #[arg(long)]
    pub(crate) deep: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}
