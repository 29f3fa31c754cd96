//! Which rows the next step computes: a pure function of what arrived. No tensor, no clock, no channel.
//!
//! The rule is one: **the oldest sequences that want rows have them**. Each step takes the oldest `sequences` of those that want any, secures their blocks in order
//! of arrival, gives one row to each that decodes and what is left of the row budget to prompts, again in order of arrival. From this follows that
//! - no sequence starves: whoever is older finishes within its context, and the oldest can always take the blocks of the younger;
//! - a long prompt stalls the others by no more than one chunk, as decoding rows come first and the budget has room for all of them;
//! - a paused sequence (its reader is slow) or an idle one (tensor mode between calls) costs the others nothing: it has no rows, no slot, and its blocks are
//!   the first to be taken when blocks are short.
//!
//! A sequence whose blocks are taken is computed anew from its tokens when its turn comes. As a row's result does not depend on how a prompt was cut into chunks,
//! its output stays the same to the bit. A new sequence is admitted only when the blocks for all its tokens are there, with one to spare for each that
//! decodes: so taking blocks away stays the exception.

use std::collections::BTreeMap;

use crate::{
    blocks::BlockPool,
    sequence::{Sequence, SequenceId},
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
}

/// The sequences of one model and their blocks.
#[derive(Debug)]
pub(crate) struct Scheduler {
    limits: Limits,
    blocks: BlockPool,
    sequences: BTreeMap<SequenceId, Sequence>,
}

impl Scheduler {
    /// `blocks` must hold the longest sequence that will ever be added.
    pub(crate) fn new(limits: Limits, blocks: usize) -> Self {
        let sequences = limits.sequences.max(1);
        let limits = Limits { sequences, rows: limits.rows.max(sequences), ..limits };
        Self { limits, blocks: BlockPool::new(blocks), sequences: BTreeMap::new() }
    }

    /// Takes a sequence of `length` tokens, unless the queue is full; `id` is above all before it.
    pub(crate) fn add(&mut self, id: SequenceId, length: usize) -> bool {
        let room = self.sequences.len() < self.limits.sequences + self.limits.queue;
        if room {
            self.sequences.insert(id, Sequence::new(length));
        }
        room
    }

    /// Adds `count` tokens to a sequence: the one that was sampled, or those of a call in tensor mode.
    pub(crate) fn append(&mut self, id: SequenceId, count: usize) {
        if let Some(sequence) = self.sequences.get_mut(&id) {
            sequence.length += count;
        }
    }

    /// A paused sequence gets no rows until it is resumed.
    pub(crate) fn pause(&mut self, id: SequenceId, paused: bool) {
        if let Some(sequence) = self.sequences.get_mut(&id) {
            sequence.paused = paused;
        }
    }

    /// Forgets a sequence and frees its blocks.
    pub(crate) fn remove(&mut self, id: SequenceId) {
        self.evict(id);
        self.sequences.remove(&id);
    }

    /// Takes the blocks of all: the cache's content is lost.
    pub(crate) fn evict_all(&mut self) {
        let ids: Vec<SequenceId> = self.sequences.keys().copied().collect();
        for id in ids {
            self.evict(id);
        }
    }

    /// The rows of the next step; empty when none is wanted. [`Self::commit`] says that they were computed.
    pub(crate) fn schedule(&mut self) -> Vec<Slice> {
        let window = self.window();
        let mut admitting = true;
        let mut secured = Vec::with_capacity(window.len());
        for &id in &window {
            let fresh = self.sequences[&id].table.is_empty();
            let has_blocks = if fresh { admitting && self.admit(id, &window) } else { self.grow(id, &window) };
            // A younger one never overtakes: it would take the blocks that the older waits for.
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
                let count = sequence.pending().min(rows);
                if decoding(sequence) == first && count > 0 {
                    slices.push(Slice { id, from: sequence.computed, count, last: count == sequence.pending() });
                    rows -= count;
                }
            }
        }
        slices
    }

    /// The rows of `slices` are in the cache now.
    pub(crate) fn commit(&mut self, slices: &[Slice]) {
        for slice in slices {
            if let Some(sequence) = self.sequences.get_mut(&slice.id) {
                debug_assert_eq!(sequence.computed, slice.from);
                sequence.computed += slice.count;
            }
        }
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

    pub(crate) fn blocks(&self) -> &BlockPool {
        &self.blocks
    }

    /// The oldest sequences that want rows, in order of arrival, as many as are computed together.
    fn window(&self) -> Vec<SequenceId> {
        let wanting = self.sequences.iter().filter(|(_, sequence)| sequence.wants_rows());
        wanting.map(|(id, _)| *id).take(self.limits.sequences).collect()
    }

    /// Gives a sequence without blocks those for all its tokens, if that leaves one for each that has begun. Takes none from those in the window.
    fn admit(&mut self, id: SequenceId, window: &[SequenceId]) -> bool {
        let headroom = window.iter().filter(|id| !self.sequences[id].table.is_empty()).count();
        self.secure(id, headroom, |scheduler| scheduler.victims(window, |_| false))
    }

    /// Gives a sequence that has begun the blocks that its tokens still lack, if need be those of younger ones.
    fn grow(&mut self, id: SequenceId, window: &[SequenceId]) -> bool {
        self.secure(id, 0, |scheduler| scheduler.victims(window, |other| other > id))
    }

    /// Sequences whose blocks may be taken, in the order of taking: those that want no rows, those beyond the window, then those of the window that `takes` says;
    /// of each the youngest first.
    fn victims(&self, window: &[SequenceId], takes: impl Fn(SequenceId) -> bool) -> Vec<SequenceId> {
        let rank = |id: SequenceId, sequence: &Sequence| match (sequence.wants_rows(), window.contains(&id)) {
            (false, _) => Some(0),
            (true, false) => Some(1),
            (true, true) => takes(id).then_some(2),
        };
        let holding = self.sequences.iter().rev().filter(|(_, sequence)| !sequence.table.is_empty());
        let mut victims: Vec<(u8, SequenceId)> = holding.filter_map(|(id, sequence)| Some((rank(*id, sequence)?, *id))).collect();
        victims.sort_by_key(|(rank, _)| *rank);
        victims.into_iter().map(|(_, id)| id).collect()
    }

    /// Gives a sequence the blocks that its tokens lack, all or none, with `headroom` more left free; takes those of `victims` as far as needed.
    fn secure(&mut self, id: SequenceId, headroom: usize, victims: impl Fn(&Self) -> Vec<SequenceId>) -> bool {
        let sequence = &self.sequences[&id];
        let lacking = sequence.length.div_ceil(self.limits.block_len) - sequence.table.len();
        if lacking == 0 {
            return true;
        }
        let mut free = self.blocks.free();
        let mut taken = Vec::new();
        if free < lacking + headroom {
            for victim in victims(self) {
                free += self.sequences[&victim].table.len();
                taken.push(victim);
                if free >= lacking + headroom {
                    break;
                }
            }
        }
        if free < lacking + headroom {
            return false;
        }
        for victim in taken {
            self.evict(victim);
        }
        let blocks: Vec<u32> = (0..lacking).map_while(|_| self.blocks.allocate()).collect();
        self.sequences.get_mut(&id).expect("looked up above").table.extend(blocks);
        true
    }

    /// Takes the blocks of a sequence: it will be computed anew from its tokens.
    fn evict(&mut self, id: SequenceId) {
        if let Some(sequence) = self.sequences.get_mut(&id) {
            sequence.computed = 0;
            for block in sequence.table.drain(..) {
                self.blocks.release(block);
            }
        }
    }
}

#[cfg(test)]
mod tests;
