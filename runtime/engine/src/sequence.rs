//! A sequence as the scheduler sees it: lengths and blocks, no tokens and no channel.

/// The number of a sequence within its model; a smaller one arrived earlier.
pub(crate) type SequenceId = u64;

/// One sequence of a model.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    /// Tokens that it has.
    pub(crate) length: usize,
    /// Tokens whose keys and values are in its blocks: the first `computed` of `length`.
    pub(crate) computed: usize,
    /// Its KV-cache blocks in order of position.
    pub(crate) table: Vec<u32>,
    /// It wants no rows for now: its reader is slow, so its channel is full.
    pub(crate) paused: bool,
}

impl Sequence {
    pub(crate) fn new(length: usize) -> Self {
        Self { length, ..Self::default() }
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
