//! What is seen of each request: its access line, its measures and its span, all of one [`Exchange`] that begins with the request's head and ends with its answer's body.
//!
//! A handler tells what only it knows in header fields and trailers named `hearth-log-…` ([`Told`]); they end here and never reach a client. Nothing of a conversation is in
//! any of it.

mod args;
mod body;
mod exchange;
mod last_word;
mod told;

use std::path::PathBuf;

pub use args::{LogFile, LogFormat, ObserveArgs};
pub(crate) use body::Observed;
pub(crate) use exchange::{Exchange, Outcome};
pub(crate) use told::Told;

use crate::trace::Traces;

/// What a server tells of itself, and to whom.
#[derive(Debug, Clone, Default)]
pub struct Observe {
    /// Networks that may read `/metrics`, beside this machine.
    pub metrics_allow: Vec<ipnet::IpNet>,
    /// Folders whose free room is measured, with what they are for.
    pub folders: Vec<(&'static str, PathBuf)>,
    /// Where spans go.
    pub traces: Option<Traces>,
}
