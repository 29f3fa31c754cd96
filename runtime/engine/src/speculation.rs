//! Guesses at how sequences go on. They are computed in the same step as the last certain token, and kept as far as the sampler, drawing as if nothing had been
//! guessed, chooses the same (the verification of Leviathan et al., "Fast inference from transformers via speculative decoding", 2023, in its exact form). So a
//! text never depends on guesses; only rows are spent, and steps are saved.

use std::fmt::Debug;

use crate::sequence::SequenceId;

/// Whoever guesses: [`crate::lookup`] looks into the sequences' own tokens, [`crate::draft`] asks a small model beside the large one.
pub(crate) trait Drafter: Debug + Send {
    /// Fills in each want's draft. All of a step come together, so that a model can compute them as a batch.
    ///
    /// # Errors
    /// What the device said.
    fn draft(&mut self, wants: &mut [Want<'_>]) -> Result<(), String>;

    /// A sequence has ended.
    fn forget(&mut self, _id: SequenceId) {}

    /// A step failed: what is kept between steps may be anything.
    fn reset(&mut self) {}
}

/// A sequence that would like guesses.
#[derive(Debug)]
pub(crate) struct Want<'a> {
    pub(crate) id: SequenceId,
    /// All its tokens, at least one.
    pub(crate) tokens: &'a [u32],
    /// How many guesses at most; at least one.
    pub(crate) most: usize,
    /// The tokens that may come next, in order. Left empty where nothing suggests any.
    pub(crate) draft: Vec<u32>,
}

/// What a sequence's guesses were worth lately: where they are right their number grows, where they fail it stops guessing for a while, longer each time.
#[derive(Debug, Default)]
pub(crate) struct Guessing {
    /// How many to guess next, once one has failed or not all were right.
    most: Option<usize>,
    /// Steps still to go without.
    rest: usize,
    /// Failures since the last guess that was right.
    failures: u32,
}

impl Guessing {
    /// The longest time without guesses, in steps, as a power of two.
    const LONGEST_REST: u32 = 6;

    /// How many to guess in this step, at most `limit`.
    pub(crate) fn next(&mut self, limit: usize) -> usize {
        if self.rest > 0 {
            self.rest -= 1;
            return 0;
        }
        self.most.map_or(limit, |most| most.min(limit))
    }

    /// Of `guessed` tokens that were computed the first `accepted` were right.
    pub(crate) fn learn(&mut self, guessed: usize, accepted: usize) {
        if guessed == 0 {
            return;
        }
        if accepted == 0 {
            self.failures += 1;
            self.rest = 1 << self.failures.min(Self::LONGEST_REST);
            self.most = Some(2);
        } else {
            self.failures = 0;
            self.most = Some(if accepted == guessed { 2 * guessed } else { accepted + 1 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_guesses_make_more_and_wrong_ones_fewer_until_it_rests() {
        let mut guessing = Guessing::default();
        assert_eq!(guessing.next(8), 8, "it begins with all that may be");
        guessing.learn(8, 3);
        assert_eq!(guessing.next(8), 4);
        guessing.learn(4, 4);
        assert_eq!((guessing.next(8), guessing.next(5)), (8, 5));
        guessing.learn(5, 0);
        assert_eq!([guessing.next(8), guessing.next(8), guessing.next(8)], [0, 0, 2]);
        guessing.learn(2, 0);
        assert_eq!([0; 5].map(|_| guessing.next(8)), [0, 0, 0, 0, 2]);
        guessing.learn(2, 1);
        assert_eq!(guessing.next(8), 2);
        guessing.learn(0, 0);
        assert_eq!(guessing.next(8), 2, "where nothing was guessed nothing is learnt");
        for _ in 0..100 {
            guessing.learn(1, 0);
        }
        assert_eq!((0..1000).take_while(|_| guessing.next(8) == 0).count(), 64, "a rest has its bound");
    }
}
