//! A sequence as its model's thread serves it: its tokens, what is wanted of its logits, and whom that goes to.

use std::time::Instant;

use hearth_kernels::{Answer, Ask};
use hearth_models::tokenizer::Tokenizer;

use crate::{
    Error,
    delivery::{Delivery, Event},
    generation::{Generation, Progress},
    sequence::Client,
};

/// A sequence's tokens and work.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) client: Client,
    pub(crate) tokens: Vec<u32>,
    /// The first this many tokens were given, not generated.
    pub(crate) given: usize,
    /// Tokens guessed to follow in the step at hand.
    pub(crate) draft: Vec<u32>,
    pub(crate) work: Work,
    pub(crate) delivery: Delivery,
    /// When it was asked for.
    pub(crate) asked: Instant,
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
    pub(crate) fn new(client: Client, tokens: Vec<u32>, work: Work, delivery: Delivery) -> Self {
        Self { client, given: tokens.len(), tokens, draft: Vec::new(), work, delivery, asked: Instant::now() }
    }

    /// What it wants of the logits after its last token and then the first `guessed` of its guesses.
    pub(crate) fn ask(&self, guessed: usize) -> Ask {
        match &self.work {
            Work::Tensor => Ask::Logits,
            Work::Generate(generation) => Ask::Token(generation.rule(&self.draft[..guessed])),
        }
    }

    /// Does with the answer after its last token what its mode asks for.
    pub(crate) fn deliver(&mut self, answer: Answer, tokenizer: &Tokenizer) -> Outcome {
        let (mut token, mut generated) = (None, false);
        let goes_on = match (&mut self.work, answer) {
            (Work::Tensor, Answer::Logits(logits)) => self.delivery.send(Event::Logits(self.tokens.len(), logits)),
            (Work::Generate(generation), Answer::Token(Some(chosen))) => match generation.advance(chosen, tokenizer) {
                Progress::Continues(sampled, chunk) => {
                    (token, generated) = (Some(sampled), true);
                    self.tokens.push(sampled);
                    chunk.is_none_or(|chunk| self.delivery.send(Event::Chunk(chunk)))
                }
                Progress::Ends(chunk, result) => {
                    generated = true;
                    self.delivery.send(Event::End(chunk, result));
                    false
                }
            },
            (_, answer) => {
                let message = match answer {
                    Answer::Token(None) => "the model's logits are not numbers: its weights are damaged, or its numbers overflowed",
                    _ => "the model answered something else than was asked for",
                };
                self.delivery.send(Event::Failed(Error::internal(message)));
                false
            }
        };
        let next = match goes_on {
            false => Next::Ends,
            true if self.delivery.must_pause() => Next::Pauses,
            true => Next::Continues,
        };
        Outcome { token, generated, next }
    }
}
