//! A sequence as its model's thread serves it: its tokens, what is wanted of its logits, and whom that goes to.

use std::time::Instant;

use hearth_kernels::{Answer, Ask};
use hearth_models::tokenizer::Tokenizer;

use crate::{
    Error,
    delivery::{Delivery, Event},
    generation::{Generation, Progress},
    grammar::Constraint,
    measures::Ended,
    sequence::Claim,
};

/// Why no token can be chosen.
const NOT_NUMBERS: &str = "the model's logits are not numbers: its weights are damaged, or its numbers overflowed";

/// A sequence's tokens and work.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) claim: Claim,
    pub(crate) tokens: Vec<u32>,
    /// The first this many tokens were given, not generated.
    pub(crate) given: usize,
    /// Tokens guessed to follow in the step at hand.
    pub(crate) draft: Vec<u32>,
    pub(crate) work: Work,
    pub(crate) delivery: Delivery,
    /// When it was asked for.
    pub(crate) asked: Instant,
    /// When it had its last token.
    pub(crate) last: Option<Instant>,
}

/// The two modes of a context.
#[derive(Debug)]
pub(crate) enum Work {
    /// Sample, and go on until the end.
    Generate(Box<Generation>),
    /// Hand the logits over, and wait for more tokens.
    Tensor,
}

/// What an answer led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The token that was sampled and appended.
    pub(crate) token: Option<u32>,
    /// Whether a token was generated: the last one of a generation isn't appended.
    pub(crate) generated: bool,
    pub(crate) next: Next,
    /// How a generation ended.
    pub(crate) ended: Option<Ended>,
}

/// How a sequence goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It may go on at once.
    Continues,
    /// Its reader is slow and will say when to go on.
    Pauses,
    /// It is over.
    Ends,
}

impl Task {
    /// A sequence that is asked for now.
    pub(crate) fn new(claim: Claim, tokens: Vec<u32>, work: Work, delivery: Delivery) -> Self {
        Self { claim, given: tokens.len(), tokens, draft: Vec::new(), work, delivery, asked: Instant::now(), last: None }
    }

    /// What it wants of the logits after its last token and then the first `guessed` of its guesses.
    pub(crate) fn ask(&self, guessed: usize) -> Ask {
        match &self.work {
            Work::Tensor => Ask::Logits,
            Work::Generate(generation) => generation.ask(&self.draft[..guessed]),
        }
    }

    /// What holds its text.
    pub(crate) fn constraint(&mut self) -> Option<&mut Constraint> {
        match &mut self.work {
            Work::Generate(generation) => generation.constraint(),
            Work::Tensor => None,
        }
    }

    /// Whether something of each of its prompt's rows is wanted.
    pub(crate) fn wants_prompt_rows(&mut self) -> bool {
        match &mut self.work {
            Work::Generate(generation) => generation.prompt_logprobs().is_some(),
            Work::Tensor => false,
        }
    }

    /// What it wants of the logits of the rows `from` to `end` beside: the rows, and of each the log-probabilities of the token that follows.
    pub(crate) fn prompt_asks(&mut self, from: usize, end: usize) -> Vec<(usize, Ask)> {
        let Work::Generate(generation) = &mut self.work else { return Vec::new() };
        let Some(wanted) = generation.prompt_logprobs() else { return Vec::new() };
        let top = wanted.top();
        wanted.wanted(from, end).map(|row| (row, Ask::Odds { token: self.tokens[row + 1], top })).collect()
    }

    /// Keeps the answer to the next of those. False when the logits are not numbers.
    pub(crate) fn keep(&mut self, answer: Answer) -> bool {
        match (&mut self.work, answer) {
            (Work::Generate(generation), Answer::Odds(odds)) => {
                if let Some(known) = generation.prompt_logprobs() {
                    known.push(odds);
                }
                true
            }
            _ => {
                self.delivery.send(Event::Failed(Error::internal(NOT_NUMBERS)));
                false
            }
        }
    }

    /// Does with the answer after its last token what its mode asks for.
    pub(crate) fn deliver(&mut self, answer: Answer, tokenizer: &Tokenizer) -> Outcome {
        let (mut token, mut generated, mut ended) = (None, false, None);
        let chosen_nothing = answer == Answer::Nothing;
        let goes_on = match (&mut self.work, answer) {
            (Work::Tensor, Answer::Logits(logits)) => self.delivery.send(Event::Logits(self.tokens.len(), logits)),
            (Work::Generate(generation), answer @ (Answer::Token(Some(_)) | Answer::Odds(_) | Answer::Nothing)) => {
                let progress = match answer {
                    Answer::Token(Some(chosen)) => generation.advance(chosen, None, tokenizer),
                    Answer::Odds(odds) => generation.advance(odds.token, Some(odds), tokenizer),
                    _ => generation.end_at_once(),
                };
                match progress {
                    Progress::Continues(sampled, chunk) => {
                        (token, generated) = (Some(sampled), true);
                        self.tokens.push(sampled);
                        chunk.is_none_or(|chunk| self.delivery.send(Event::Chunk(chunk)))
                    }
                    Progress::Ends(chunk, result, reason) => {
                        generated = !chosen_nothing;
                        ended = Some(Ended::Finished(reason));
                        self.delivery.send(Event::End(chunk, result));
                        false
                    }
                    Progress::Fails(error) => {
                        tracing::error!(%error, "a generation failed");
                        ended = Some(Ended::Failed);
                        self.delivery.send(Event::Failed(error));
                        false
                    }
                }
            }
            (_, answer) => {
                let message = match answer {
                    Answer::Token(None) => NOT_NUMBERS,
                    _ => "the model answered something else than was asked for",
                };
                ended = Some(Ended::Failed);
                self.delivery.send(Event::Failed(Error::internal(message)));
                false
            }
        };
        let next = match goes_on {
            false => Next::Ends,
            true if self.delivery.must_pause() => Next::Pauses,
            true => Next::Continues,
        };
        Outcome { token, generated, next, ended }
    }
}
