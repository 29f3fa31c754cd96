//! Who has which blocks: admission with what the cache knows already, growth, and whose blocks are taken when they are short.

use std::collections::HashMap;

use super::Scheduler;
use crate::sequence::SequenceId;

impl Scheduler {
    /// Gives a sequence without blocks the known ones that it begins with and empty ones for all its other tokens, if that leaves one for each that has begun. Takes none
    /// from those in the window.
    pub(super) fn admit(&mut self, id: SequenceId, window: &[SequenceId]) -> bool {
        let headroom = window.iter().filter(|id| !self.sequences[id].table.is_empty()).count();
        let found = self.find(id);
        for &block in &found {
            self.blocks.share(block);
        }
        let admitted = self.secure(id, found.len(), headroom, |scheduler| scheduler.victims(window, |_| false));
        if !admitted {
            // In this order its last blocks go before its first; and as it is about to come, both are better kept than what others left earlier.
            for &block in found.iter().rev() {
                self.blocks.release(block);
            }
            return false;
        }
        let sequence = self.sequences.get_mut(&id).expect("it is in the window");
        sequence.computed = found.len() * self.limits.block_len;
        sequence.table.splice(..0, found);
        if !sequence.begun {
            sequence.begun = true;
            self.lookups.tokens += sequence.length as u64;
            self.lookups.found += sequence.computed as u64;
        }
        self.round = self.round.max(sequence.turn);
        true
    }

    /// Gives a sequence that has begun the blocks that its tokens still lack, if need be those of ones behind it.
    pub(super) fn grow(&mut self, id: SequenceId, window: &[SequenceId]) -> bool {
        let place = self.place(id);
        self.secure(id, 0, 0, |scheduler| scheduler.victims(window, |other| scheduler.place(other) > place))
    }

    /// Gives a sequence blocks for `length` tokens as far as nobody needs them: each that has begun could still take one.
    pub(super) fn lend(&mut self, id: SequenceId, length: usize) {
        while self.sequences[&id].table.len() * self.limits.block_len < length && self.blocks.available() > self.running() {
            let Some(block) = self.blocks.allocate() else { return };
            self.sequences.get_mut(&id).expect("looked up above").table.push(block);
        }
    }

    /// Takes the blocks of a sequence, the last ones first: it will be computed anew from its tokens.
    pub(super) fn evict(&mut self, id: SequenceId) {
        if let Some(sequence) = self.sequences.get_mut(&id) {
            sequence.computed = 0;
            for block in sequence.table.drain(..).rev() {
                self.blocks.release(block);
            }
        }
    }

    /// The known blocks that a sequence begins with, the one of its last token left out.
    fn find(&self, id: SequenceId) -> Vec<u32> {
        let sequence = &self.sequences[&id];
        if sequence.all_rows.is_some() {
            return Vec::new();
        }
        let most = (sequence.length - 1) / self.limits.block_len;
        sequence.content.hashes().iter().take(most).map_while(|hash| self.blocks.find(hash)).collect()
    }

    fn place(&self, id: SequenceId) -> (u64, SequenceId) {
        (self.sequences[&id].turn, id)
    }

    /// Sequences whose blocks may be taken, in the order of taking: those that want no rows, those beyond the window, then those of the window that `takes` says;
    /// of each the last in order first.
    fn victims(&self, window: &[SequenceId], takes: impl Fn(SequenceId) -> bool) -> Vec<SequenceId> {
        let rank = |id: SequenceId| match (self.sequences[&id].wants_rows(), window.contains(&id)) {
            (false, _) => Some(0),
            (true, false) => Some(1),
            (true, true) => takes(id).then_some(2),
        };
        let holding = self.order.iter().rev().filter(|(_, id)| !self.sequences[id].table.is_empty());
        let mut victims: Vec<(u8, SequenceId)> = holding.filter_map(|(_, id)| Some((rank(*id)?, *id))).collect();
        victims.sort_by_key(|(rank, _)| *rank);
        victims.into_iter().map(|(_, id)| id).collect()
    }

    /// Appends to a sequence's table the empty blocks that its tokens lack beside `found` ones, all or none, with `headroom` more left for others; takes those of
    /// `victims` as far as needed.
    fn secure(&mut self, id: SequenceId, found: usize, headroom: usize, victims: impl Fn(&Self) -> Vec<SequenceId>) -> bool {
        let sequence = &self.sequences[&id];
        // A table may be longer than it must be: guesses were given a block.
        let lacking = sequence.length.div_ceil(self.limits.block_len).saturating_sub(sequence.table.len() + found);
        if lacking == 0 {
            return true;
        }
        let mut available = self.blocks.available();
        let mut taken = Vec::new();
        if available < lacking + headroom {
            // A shared block comes free with the last of its references.
            let mut returned: HashMap<u32, u32> = HashMap::new();
            for victim in victims(self) {
                for &block in &self.sequences[&victim].table {
                    let count = returned.entry(block).or_default();
                    *count += 1;
                    available += usize::from(*count == self.blocks.references(block));
                }
                taken.push(victim);
                if available >= lacking + headroom {
                    break;
                }
            }
        }
        if available < lacking + headroom {
            return false;
        }
        self.preemptions += taken.len() as u64;
        for victim in taken {
            self.evict(victim);
        }
        let blocks: Vec<u32> = (0..lacking).map_while(|_| self.blocks.allocate()).collect();
        self.sequences.get_mut(&id).expect("looked up above").table.extend(blocks);
        true
    }
}
