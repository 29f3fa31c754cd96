//! A loaded model as its users hold it: what can be answered without the engine's thread, and the way to it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
    mpsc::Sender,
};

use hearth_models::{Facts, tokenizer::Tokenizer};

use crate::{
    Context, Error,
    chat::Chat,
    grammar::Compiler,
    sequence::SequenceId,
    worker::{Command, GraphId},
};

/// A loaded model. Clones share it.
#[derive(Debug, Clone)]
pub struct Graph(pub(crate) Arc<GraphShared>);

#[derive(Debug)]
pub(crate) struct GraphShared {
    pub(crate) id: GraphId,
    pub(crate) commands: Sender<Command>,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) grammars: Compiler,
    pub(crate) purpose: Purpose,
    pub(crate) facts: Facts,
    /// Of the file that it was loaded from (hexadecimal), where its host has verified it.
    pub(crate) sha256: Option<String>,
    pub(crate) context_length: usize,
    /// Token ids below this may be computed.
    pub(crate) vocabulary: usize,
    pub(crate) sequences: AtomicU64,
}

/// What a model is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// Continuing sequences, chats among them if it has a template.
    Generates(Option<Chat>),
    /// Embedding texts.
    Embeds,
}

impl Graph {
    /// wasi-nn's `init-execution-context`.
    ///
    /// # Errors
    /// `shutting_down`
    pub fn init_execution_context(&self) -> Result<Context, Error> {
        Ok(Context::new(self.clone()))
    }

    /// The longest sequence that it takes, in tokens.
    pub fn context_length(&self) -> usize {
        self.0.context_length
    }

    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        &self.0.tokenizer
    }

    pub(crate) fn grammars(&self) -> &Compiler {
        &self.0.grammars
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.0.facts
    }

    pub(crate) fn sha256(&self) -> Option<&str> {
        self.0.sha256.as_deref()
    }

    pub(crate) fn purpose(&self) -> &Purpose {
        &self.0.purpose
    }

    /// That the network has a row for each of `tokens`.
    pub(crate) fn check_tokens(&self, tokens: &[u32]) -> Result<(), Error> {
        let vocabulary = self.0.vocabulary;
        match tokens.iter().find(|token| **token as usize >= vocabulary) {
            None => Ok(()),
            Some(token) => {
                Err(Error::invalid(format!("token {} is not in the vocabulary: give 0 to {}", token.cast_signed(), vocabulary - 1)))
            }
        }
    }

    /// A number above all before it.
    pub(crate) fn next_sequence(&self) -> SequenceId {
        self.0.sequences.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends the thread a command for this model.
    pub(crate) fn tell(&self, command: impl FnOnce(GraphId) -> Command) -> Result<(), Error> {
        self.0.commands.send(command(self.0.id)).map_err(|_| Error::shutting_down())
    }
}

impl Drop for GraphShared {
    fn drop(&mut self) {
        // Without an engine there is nothing left to unload.
        let _ = self.commands.send(Command::Unload(self.id));
    }
}
