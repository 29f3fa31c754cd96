//! Which rows the next step computes: a pure function of what arrived. No tensor, no clock, no channel.
//!
//! All sequences stand in one order, and a sequence's place in it is fixed on arrival: by its turn, and among equal turns by its number. A client's sequences have
//! rising turns, each above every turn that was admitted before. So those that wait are taken round robin over clients, in order of arrival within a client, and
//! whoever was admitted stays ahead of all that wait.
//!
//! The rule is one: **the first sequences in that order that want rows have them**. Each step takes the first `sequences` of those that want any, secures their blocks
//! in order, gives one row to each that decodes, what is left of the row budget to prompts, again in order, and what those leave to guesses. From this follows that
//! - no sequence starves: before a waiting sequence each other client has at most one turn more than that one's own client, whoever is ahead finishes within its context,
//!   and the first can always take the blocks of those behind it;
//! - a long prompt stalls the others by no more than one chunk, as decoding rows come first and the budget has room for all of them; guesses stall nobody;
//! - a paused sequence (its reader is slow) or an idle one (tensor mode between calls) costs the others nothing: it has no rows, no slot, and its blocks are
//!   the first to be taken when blocks are short. (An idle one whose blocks were taken wants rows again at once, in its place in the order.)
//!
//! Blocks are shared by prefix. A full block whose rows are computed is entered under the hash of all tokens up to its end; it is never written again. A sequence
//! that is admitted takes the longest run of known blocks that it begins with, but not the one of its last token, whose row must be computed. Blocks that are
//! given back stay known until they are handed out again, a sequence's last ones before its first.
//!
//! A sequence whose blocks are taken is computed anew from its tokens when its turn comes, as far as its blocks have been overwritten. As a row's result does not
//! depend on how a prompt was cut into chunks, its output stays the same to the bit. A new sequence is admitted only when the blocks for all its tokens are there,
//! with one to spare for each that decodes: so taking blocks away stays the exception.
//!
//! A guessed token is computed behind the last certain one. If it turns out to be the next it counts as computed; if not, nothing says that its row was ever
//! there, and the next row is written over it.

mod tables;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    blocks::BlockPool,
    sequence::{Client, Sequence, SequenceId},
};

/// The bounds of a scheduler.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Rows of a step. At least `sequences`, so that each has room to decode.
    pub(crate) rows: usize,
    /// Sequences computed together.
    pub(crate) sequences: usize,
    /// Sequences that may wait beyond those: more are refused, paused and idle ones counted.
    pub(crate) queue: usize,
    /// Positions in a block.
    pub(crate) block_len: usize,
    /// Whether blocks are shared by prefix.
    pub(crate) prefix_cache: bool,
}

/// Consecutive tokens of one sequence, computed in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) id: SequenceId,
    /// Position of the first.
    pub(crate) from: usize,
    /// How many; at least one.
    pub(crate) count: usize,
    /// Whether it ends with the sequence's last token, whose logits are wanted.
    pub(crate) last: bool,
    /// Guessed tokens computed behind the last one, whose logits are wanted too.
    pub(crate) guesses: usize,
}

/// How much of what was admitted the cache had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lookups {
    /// Tokens of the sequences that were admitted for the first time.
    pub(crate) tokens: u64,
    /// Those of them that were in known blocks.
    pub(crate) found: u64,
}

/// The sequences of one model and their blocks.
#[derive(Debug)]
pub(crate) struct Scheduler {
    limits: Limits,
    blocks: BlockPool,
    sequences: BTreeMap<SequenceId, Sequence>,
    /// Turn and number of each sequence: the order of all.
    order: BTreeSet<(u64, SequenceId)>,
    /// The highest turn that was admitted.
    round: u64,
    /// Rows of the last schedule that nobody has.
    spare: usize,
    lookups: Lookups,
    /// Sequences whose blocks were taken for others.
    preemptions: u64,
}

impl Scheduler {
    /// `blocks` must hold the longest sequence that will ever be added.
    pub(crate) fn new(limits: Limits, blocks: usize) -> Self {
        let sequences = limits.sequences.max(1);
        let limits = Limits { sequences, rows: limits.rows.max(sequences), ..limits };
        Self {
            limits,
            blocks: BlockPool::new(blocks),
            sequences: BTreeMap::new(),
            order: BTreeSet::new(),
            round: 0,
            spare: 0,
            lookups: Lookups::default(),
            preemptions: 0,
        }
    }

    /// Takes a sequence of `tokens`, unless the queue is full; `id` is above all before it.
    pub(crate) fn add(&mut self, id: SequenceId, client: Client, tokens: &[u32]) -> bool {
        let room = self.sequences.len() < self.limits.sequences + self.limits.queue;
        if room {
            let own = self.sequences.values().filter(|sequence| sequence.client == client).map(|sequence| sequence.turn).max();
            let turn = own.unwrap_or(0).max(self.round) + 1;
            self.sequences.insert(id, Sequence::new(client, turn));
            self.order.insert((turn, id));
            self.append(id, tokens);
        }
        room
    }

    /// Sequences of a client, waiting and paused ones counted.
    pub(crate) fn of_client(&self, client: Client) -> usize {
        self.sequences.values().filter(|sequence| sequence.client == client).count()
    }

    /// Adds tokens to a sequence: the one that was sampled, or those of a call in tensor mode.
    pub(crate) fn append(&mut self, id: SequenceId, tokens: &[u32]) {
        if let Some(sequence) = self.sequences.get_mut(&id) {
            sequence.length += tokens.len();
            if self.limits.prefix_cache {
                sequence.content.extend(tokens, self.limits.block_len);
            }
        }
    }

    /// All of a sequence's rows are to be computed, at most `most` in a step: no known blocks will do for it. Said before it is admitted.
    pub(crate) fn want_all_rows(&mut self, id: SequenceId, most: usize) {
        if let Some(sequence) = self.sequences.get_mut(&id) {
            sequence.all_rows = Some(most.max(1));
        }
    }

    /// A paused sequence gets no rows until it is resumed.
    pub(crate) fn pause(&mut self, id: SequenceId, paused: bool) {
        if let Some(sequence) = self.sequences.get_mut(&id) {
            sequence.paused = paused;
        }
    }

    /// Forgets a sequence and gives its blocks back.
    pub(crate) fn remove(&mut self, id: SequenceId) {
        self.evict(id);
        if let Some(sequence) = self.sequences.remove(&id) {
            self.order.remove(&(sequence.turn, id));
        }
    }

    /// The cache's content is lost: takes the blocks of all and forgets what was in any.
    pub(crate) fn lose_cache(&mut self) {
        let ids: Vec<SequenceId> = self.sequences.keys().copied().collect();
        for id in ids {
            self.evict(id);
        }
        self.blocks.forget();
    }

    /// The rows of the next step; empty when none is wanted. [`Self::guess`] may add to them, and [`Self::commit`] says that they were computed.
    pub(crate) fn schedule(&mut self) -> Vec<Slice> {
        let window = self.window();
        let mut admitting = true;
        let mut secured = Vec::with_capacity(window.len());
        for &id in &window {
            let fresh = self.sequences[&id].table.is_empty();
            let has_blocks = if fresh { admitting && self.admit(id, &window) } else { self.grow(id, &window) };
            // One behind never overtakes: it would take the blocks that the one ahead waits for.
            admitting &= has_blocks || !fresh;
            if has_blocks {
                secured.push(id);
            }
        }
        let mut rows = self.limits.rows;
        let mut slices = Vec::with_capacity(secured.len());
        let decoding = |sequence: &Sequence| sequence.pending() == 1;
        for first in [true, false] {
            for &id in &secured {
                let sequence = &self.sequences[&id];
                let count = sequence.pending().min(rows).min(sequence.all_rows.unwrap_or(usize::MAX));
                if decoding(sequence) == first && count > 0 {
                    slices.push(Slice { id, from: sequence.computed, count, last: count == sequence.pending(), guesses: 0 });
                    rows -= count;
                }
            }
        }
        self.spare = rows;
        slices
    }

    /// Rows of the last schedule that are left for guesses.
    pub(crate) fn spare(&self) -> usize {
        self.spare
    }

    /// Gives a slice of the last schedule, one that ends with its sequence's last token, rows for up to `wanted` guessed tokens, as many as rows and blocks are
    /// left over; the slice says how many.
    pub(crate) fn guess(&mut self, slice: &mut Slice, wanted: usize) {
        debug_assert!(slice.last && slice.guesses == 0);
        let end = slice.from + slice.count;
        let wanted = wanted.min(self.spare);
        self.lend(slice.id, end + wanted);
        let room = self.sequences[&slice.id].table.len() * self.limits.block_len - end;
        slice.guesses = wanted.min(room);
        self.spare -= slice.guesses;
    }

    /// The rows of `slices` are in the cache now, their guesses left out.
    pub(crate) fn commit(&mut self, slices: &[Slice]) {
        for slice in slices {
            debug_assert!(self.sequences.get(&slice.id).is_none_or(|sequence| sequence.computed == slice.from));
            self.advance(slice.id, slice.count);
        }
    }

    /// The token that was just appended had been guessed, and its row is in the cache already.
    pub(crate) fn accept(&mut self, id: SequenceId) {
        self.advance(id, 1);
    }

    /// The blocks of a sequence in order of position.
    pub(crate) fn table(&self, id: SequenceId) -> &[u32] {
        &self.sequences[&id].table
    }

    /// Sequences that have blocks and want rows.
    pub(crate) fn running(&self) -> usize {
        self.sequences.values().filter(|sequence| sequence.wants_rows() && !sequence.table.is_empty()).count()
    }

    /// Sequences that want rows and have no blocks yet.
    pub(crate) fn waiting(&self) -> usize {
        self.sequences.values().filter(|sequence| sequence.wants_rows() && sequence.table.is_empty()).count()
    }

    /// Sequences that were never admitted.
    pub(crate) fn unbegun(&self) -> impl Iterator<Item = SequenceId> {
        self.sequences.iter().filter(|(_, sequence)| !sequence.begun).map(|(id, _)| *id)
    }

    /// What the cache had of the sequences that were admitted since the last call.
    pub(crate) fn take_lookups(&mut self) -> Lookups {
        std::mem::take(&mut self.lookups)
    }

    /// How many sequences' blocks were taken for others since the last call.
    pub(crate) fn take_preemptions(&mut self) -> u64 {
        std::mem::take(&mut self.preemptions)
    }

    pub(crate) fn blocks(&self) -> &BlockPool {
        &self.blocks
    }

    /// The first sequences that want rows, in order, as many as are computed together.
    fn window(&self) -> Vec<SequenceId> {
        let wanting = self.order.iter().filter(|(_, id)| self.sequences[id].wants_rows());
        wanting.map(|(_, id)| *id).take(self.limits.sequences).collect()
    }

    /// `count` more rows of a sequence are in the cache: enters the blocks that are full now.
    fn advance(&mut self, id: SequenceId, count: usize) {
        let Some(sequence) = self.sequences.get_mut(&id) else { return };
        let begin = sequence.computed / self.limits.block_len;
        sequence.computed += count;
        debug_assert!(sequence.computed <= sequence.length);
        let end = sequence.computed / self.limits.block_len;
        for (hash, block) in sequence.content.hashes().iter().zip(&sequence.table).take(end).skip(begin) {
            self.blocks.enter(*block, *hash);
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
