//! The bounds that guests live in.

use std::{path::PathBuf, time::Duration};

/// Bounds and choices for guests. All have working defaults.
#[derive(Debug, Clone)]
pub struct GuestOptions {
    /// Bytes of memory that one instance may have.
    pub instance_memory: usize,
    /// Instances that run at once over all components.
    pub instances: usize,
    /// How long one request may take from its arrival to the end of its response's body.
    pub request_timeout: Duration,
    /// How long a guest may compute without doing anything that others can see, before it counts as spinning and is stopped.
    pub spin_timeout: Duration,
    /// Bytes of a model that a guest may pass to wasi-nn's `load`.
    pub load_cap: u64,
    /// Whether instances come from a pool that is reserved at the start (fast), or are allocated one by one.
    pub pooling: bool,
    /// Whether guests may write to the folders that they see.
    pub writable_mounts: bool,
    /// Whether compiled components are kept on disk, and where; `None` keeps none.
    pub cache: Option<PathBuf>,
    /// Where what guests print goes.
    pub output: Output,
    /// Components whose prints go to standard error whatever `output` says.
    pub follow: Vec<String>,
}

/// Where what guests print goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// To this process's standard error.
    Inherit,
    /// Nowhere.
    Discard,
    /// To `<component>_stdout.txt` and `<component>_stderr.txt` in a folder.
    Folder {
        /// The folder.
        path: PathBuf,
        /// Whether the files begin empty at each start.
        truncate: bool,
    },
}

impl Default for GuestOptions {
    fn default() -> Self {
        Self {
            instance_memory: 512 << 20,
            instances: 256,
            request_timeout: Duration::from_secs(600),
            spin_timeout: Duration::from_secs(10),
            load_cap: 256 << 20,
            pooling: true,
            writable_mounts: false,
            cache: None,
            output: Output::Inherit,
            follow: Vec::new(),
        }
    }
}
