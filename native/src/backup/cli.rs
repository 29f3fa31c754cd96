//! What can be typed about backups.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hearth_store::{RedisUrl, Store, StoreError};

/// `hearth backup`: takes one, unless a subcommand asks for something else.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BackupArgs {
    #[command(subcommand)]
    pub(super) command: Option<BackupCommand>,
    #[command(flatten)]
    pub(super) take: TakeArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum BackupCommand {
    /// Make a key for backups. Keep a copy of it where the backups are not: without it nobody reads them
    Key {
        /// The file to write it to, which must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// List the backups, oldest first
    List(PlaceArgs),
    /// Read a backup and compare all hashes, without restoring it
    Verify {
        #[command(flatten)]
        place: PlaceArgs,
        /// Which one; without a name the newest
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// All of them
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
    /// Remove old backups: all but the newest of each of so many days and hours. The newest of all stays in any case
    Prune {
        #[command(flatten)]
        place: PlaceArgs,
        /// Days of which the newest is kept
        #[arg(long, value_name = "N", default_value_t = 30)]
        keep_daily: usize,
        /// Hours of which the newest is kept
        #[arg(long, value_name = "N", default_value_t = 48)]
        keep_hourly: usize,
    },
    /// Restore the newest backup into a scratch folder, start a server there, ask it something, compare, and report
    Drill {
        #[command(flatten)]
        place: PlaceArgs,
        /// The model to ask; without one, the first of the backup that is on this machine
        #[arg(long, value_name = "NAME|PATH")]
        model: Option<String>,
        /// A running server to ask the same: the answers must be equal
        #[arg(long, value_name = "URL")]
        against: Option<String>,
        /// Where to restore to; by default the system's folder for temporary files. What is made there is removed at the end
        #[arg(long, value_name = "FOLDER")]
        scratch: Option<PathBuf>,
    },
}

/// Where backups are, and what opens them. Both are needed: that is looked at in [`super::place`], as taking a backup has no word of its own after which they could be.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// A folder, or s3://BUCKET[/PREFIX] with the credentials in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION)
    #[arg(long, value_name = "FOLDER|s3://BUCKET/PREFIX", env = "HEARTH_BACKUP_PLACE")]
    pub(super) place: Option<String>,
    /// The file with the key (`hearth backup key`)
    #[arg(long, value_name = "FILE", env = "HEARTH_BACKUP_KEY_FILE")]
    pub(super) key_file: Option<PathBuf>,
    /// The address of an S3-compatible service; without one, Amazon's in AWS_REGION
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL")]
    pub(super) endpoint: Option<String>,
}

/// The Redis that keeps a service's records, where one does. The address has a password: it comes from the environment or a file.
#[derive(Args)]
pub(crate) struct RedisArgs {
    /// The Redis that `hearth serve` keeps its records in, where it does: it is copied from, and an empty one restored to
    #[arg(long, value_name = "URL", env = "HEARTH_REDIS_URL", hide_env_values = true)]
    redis_url: Option<String>,
    /// A file with that address
    #[arg(long, value_name = "FILE", env = "HEARTH_REDIS_URL_FILE")]
    redis_url_file: Option<PathBuf>,
}

impl std::fmt::Debug for RedisArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisArgs").finish_non_exhaustive()
    }
}

impl RedisArgs {
    /// The store there; `None` where records are kept in the state folder.
    pub(super) fn store(&self) -> Result<Option<Store>, StoreError> {
        let url = RedisUrl::given(self.redis_url.as_deref(), self.redis_url_file.as_deref(), "HEARTH_REDIS_URL")?;
        url.map(|url| Store::redis(&url)).transpose()
    }
}

#[derive(Debug, Args)]
pub(super) struct TakeArgs {
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    #[command(flatten)]
    pub(super) redis: RedisArgs,
    /// Folder of what outlives the server, as `hearth serve` was told. By default ~/.local/share/hearth/state
    #[arg(long, value_name = "FOLDER", env = "HEARTH_STATE_DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// Trust what is there already and write only what changed. Otherwise all that is needed is read again, and written again where it is damaged
    #[arg(long)]
    pub(super) incremental: bool,
    /// The files of the models too, not their hashes alone
    #[arg(long)]
    pub(super) with_models: bool,
    /// One more file, as the configuration or the master key; can be repeated
    #[arg(long = "include", value_name = "FILE")]
    pub(super) included: Vec<PathBuf>,
}

/// `hearth restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    // Where there is one, records go into it, and it has to be empty.
    #[command(flatten)]
    pub(super) redis: RedisArgs,
    /// Which backup (`hearth backup list`); without a name the newest
    #[arg(value_name = "NAME")]
    pub(super) name: Option<String>,
    /// The state folder to put it in the place of. By default ~/.local/share/hearth/state
    #[arg(long, value_name = "FOLDER", env = "HEARTH_STATE_DIR")]
    pub(super) state_dir: Option<PathBuf>,
}
