//! Configuration in layers over the flags of a command: defaults < a file < the environment < the command line.
//!
//! There is no list of keys. The keys are the flags of a [`clap::Command`], with their names, aliases, defaults, parsers and environment names; a new flag is a key of
//! the file by itself, and what the layers say comes out as the command's own [`clap::ArgMatches`], for the type that the flags are derived into. Used by the native
//! binary. Knows no key by name, no engine and no server.
//!
//! What a flag tells this crate about itself: `hide_env_values` makes it a secret ([`keys`]).

mod file;
mod format;
mod keys;
mod layers;
mod problem;
mod secret;
mod show;

pub use file::{BYTES_MAX, File, Search, Trust};
pub use format::{Entry, Format, Scalar, parse};
pub use keys::{Key, Keys, bare, prepare};
pub use layers::{Environment, Layers, PlainName, Rank, Resolved, Setting, Source};
pub use problem::{Failure, Problem, Problems};
pub use secret::Secret;
pub use show::{json, table, text};
