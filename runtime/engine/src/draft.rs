//! A small model that guesses for a large one (Leviathan et al., "Fast inference from transformers via speculative decoding", 2023). It reads the same tokens and guesses
//! greedily; all sequences of a step are computed as one batch, guess after guess.

use std::collections::{BTreeMap, HashSet};

use hearth_kernels::{Answer, Ask, Batch, KvCache, Rule};

use crate::{
    runner::Runner,
    sequence::SequenceId,
    speculation::{Drafter, Want},
};

/// What a small model can do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Tokens that it can take, guesses included.
    pub(crate) context: usize,
    /// Rows of a step at most. A longer prompt is caught up with over several steps, in which nothing is guessed for it.
    pub(crate) rows: usize,
    /// Tokens below this are known to both models.
    pub(crate) vocabulary: usize,
}

/// The small model, with a KV cache of its own.
#[derive(Debug)]
pub(crate) struct DraftModel {
    runner: Runner,
    bounds: Bounds,
    free: Vec<u32>,
    sequences: BTreeMap<SequenceId, Known>,
    /// Counts the calls, for who has waited longest.
    calls: u64,
}

/// What the small model knows of a sequence.
#[derive(Debug, Default)]
struct Known {
    /// The tokens whose keys and values are in its blocks; the last ones may be guesses that were wrong.
    tokens: Vec<u32>,
    table: Vec<u32>,
    /// The call that it was last wanted in.
    used: u64,
}

impl DraftModel {
    /// `blocks` is how many the runner's cache has.
    pub(crate) fn new(runner: Runner, blocks: usize, bounds: Bounds) -> Self {
        Self { runner, bounds, free: all_blocks(blocks), sequences: BTreeMap::new(), calls: 0 }
    }

    /// Leaves of what is known of a sequence what `tokens` begin with, but not their last one, whose logits are wanted; secures blocks for `most` guesses behind them.
    /// False where there is no room, or a token that the small model doesn't know.
    fn prepare(&mut self, want: &Want<'_>, wanted: &HashSet<SequenceId>) -> bool {
        let end = want.tokens.len() + want.most;
        if end > self.bounds.context {
            return false;
        }
        let known = self.sequences.entry(want.id).or_default();
        let same = known.tokens.iter().zip(want.tokens).take_while(|(known, token)| known == token).count();
        known.tokens.truncate(same.min(want.tokens.len() - 1));
        known.used = self.calls;
        if want.tokens[known.tokens.len()..].iter().any(|token| *token as usize >= self.bounds.vocabulary) {
            return false;
        }
        let need = end.div_ceil(KvCache::BLOCK_LEN);
        while self.sequences[&want.id].table.len() < need {
            let Some(block) = self.free.pop() else {
                // The sequence that has waited longest begins anew when it comes again.
                let idle = self.sequences.iter().filter(|(id, known)| !wanted.contains(id) && !known.table.is_empty());
                let Some(id) = idle.min_by_key(|(_, known)| known.used).map(|(id, _)| *id) else { return false };
                self.forget(id);
                continue;
            };
            self.sequences.get_mut(&want.id).expect("entered above").table.push(block);
        }
        true
    }

    /// Computes the next `tokens` of each sequence and returns the likeliest token after them.
    fn compute(&mut self, rows: &[(SequenceId, Vec<u32>)]) -> Result<Vec<Option<u32>>, String> {
        let mut batch = Batch::default();
        for (number, (id, tokens)) in rows.iter().enumerate() {
            let known = self.sequences.get_mut(id).expect("a prepared sequence is known");
            let from = known.tokens.len();
            known.tokens.extend_from_slice(tokens);
            batch.tokens.extend_from_slice(tokens);
            batch.positions.extend((from..known.tokens.len()).map(|position| position as u32));
            batch.sequences.extend(std::iter::repeat_n(number as u32, tokens.len()));
            batch.tables.push(known.table.clone());
            batch.outputs.push(batch.tokens.len() as u32 - 1);
        }
        let greedy = Rule { penalties: Vec::new(), temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, uniform: 0.0, odds: None };
        let answers = self.runner.run(&batch, vec![Ask::Token(greedy); rows.len()], Vec::new)?;
        Ok(answers.into_iter().map(|answer| if let Answer::Token(token) = answer { token } else { None }).collect())
    }

    /// Catches up with the wants of `ready` and guesses for those that it has caught up with.
    fn guess(&mut self, wants: &mut [Want<'_>], ready: &[usize]) -> Result<(), String> {
        let mut budget = self.bounds.rows;
        let mut rows = Vec::new();
        let mut guessing = Vec::new();
        for &at in ready {
            let Want { id, tokens, .. } = &wants[at];
            let rest = &tokens[self.sequences[id].tokens.len()..];
            let count = rest.len().min(budget);
            if count > 0 {
                budget -= count;
                rows.push((*id, rest[..count].to_vec()));
                guessing.push((count == rest.len()).then_some(at));
            }
        }
        while !rows.is_empty() {
            let next = self.compute(&rows)?;
            rows.clear();
            let mut going_on = Vec::new();
            for (at, token) in guessing.into_iter().zip(next) {
                let (Some(at), Some(token)) = (at, token) else { continue };
                if token as usize >= self.bounds.vocabulary {
                    continue;
                }
                let want = &mut wants[at];
                want.draft.push(token);
                if want.draft.len() < want.most {
                    rows.push((want.id, vec![token]));
                    going_on.push(Some(at));
                }
            }
            guessing = going_on;
        }
        Ok(())
    }
}

impl Drafter for DraftModel {
    fn draft(&mut self, wants: &mut [Want<'_>]) -> Result<(), String> {
        self.calls += 1;
        let wanted = wants.iter().map(|want| want.id).collect();
        let ready: Vec<usize> = (0..wants.len()).filter(|at| self.prepare(&wants[*at], &wanted)).collect();
        self.guess(wants, &ready)
    }

    fn forget(&mut self, id: SequenceId) {
        if let Some(known) = self.sequences.remove(&id) {
            self.free.extend(known.table);
        }
    }

    fn reset(&mut self) {
        let blocks = self.free.len() + self.sequences.values().map(|known| known.table.len()).sum::<usize>();
        self.sequences.clear();
        self.free = all_blocks(blocks);
        self.runner.reset();
    }
}

fn all_blocks(blocks: usize) -> Vec<u32> {
    (0..u32::try_from(blocks).expect("block numbers are 32 bits wide")).rev().collect()
}
