//! A sequence as the scheduler sees it: lengths, blocks and their hashes, no tokens and no channel.

use sha2::{Digest, Sha256};

use crate::content::Content;

/// The number of a sequence within its model; a smaller one arrived earlier.
pub(crate) type SequenceId = u64;

/// Whose a sequence is. Those of unnamed clients are one client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Client(u64);

impl Client {
    /// The client of this name. The name itself isn't kept.
    pub(crate) fn named(name: &str) -> Self {
        let hash: [u8; 32] = Sha256::digest(name).into();
        Self(u64::from_le_bytes(std::array::from_fn(|at| hash[at])))
    }
}

/// Whose a sequence is to be, and how many of theirs there may be with it; `None` is any number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) client: Client,
    pub(crate) limit: Option<usize>,
}

impl Claim {
    /// Whether one more may be, where there are `count`.
    pub(crate) fn allows(&self, count: usize) -> bool {
        self.limit.is_none_or(|limit| count < limit)
    }
}

/// One sequence of a model.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) client: Client,
    /// Its place in the order of all; see [`crate::scheduler`].
    pub(crate) turn: u64,
    /// Tokens that it has.
    pub(crate) length: usize,
    /// Tokens whose keys and values are in its blocks: the first `computed` of `length`.
    pub(crate) computed: usize,
    /// What its tokens are; empty where blocks aren't shared.
    pub(crate) content: Content,
    /// Its KV-cache blocks in order of position.
    pub(crate) table: Vec<u32>,
    /// It wants no rows for now: its reader is slow, so its channel is full.
    pub(crate) paused: bool,
    /// It has had blocks before.
    pub(crate) begun: bool,
    /// All its rows are to be computed, at most this many in a step; so it takes no known blocks.
    pub(crate) all_rows: Option<usize>,
}

impl Sequence {
    pub(crate) fn new(client: Client, turn: u64) -> Self {
        Self {
            client,
            turn,
            length: 0,
            computed: 0,
            content: Content::default(),
            table: Vec::new(),
            paused: false,
            begun: false,
            all_rows: None,
        }
    }

    /// Tokens still to be computed.
    pub(crate) fn pending(&self) -> usize {
        self.length - self.computed
    }

    /// Whether a step could do something for it.
    pub(crate) fn wants_rows(&self) -> bool {
        !self.paused && self.pending() > 0
    }
}
