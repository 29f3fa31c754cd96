//! Grammars compiled aside: that may take as long as a prompt, recurses as deep as the grammar does, and nobody else is to wait for it.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use hearth_models::tokenizer::Tokenizer;
use tokio::sync::{Semaphore, oneshot};

use super::{Constraint, Vocabulary};
use crate::{Error, spawner::Spawner};

/// Grammars that are compiled at the same time; further ones wait.
const TOGETHER: usize = 2;
/// A rule that stands for another takes some kilobytes; see `MAX_TEXT_BYTES` and the bounds of `schema`. Only what is used of it is ever there.
const STACK_BYTES: usize = 256 << 20;

/// What compiles the grammars of a model. Clones share it.
#[derive(Clone)]
pub(crate) struct Compiler {
    tokenizer: Tokenizer,
    /// Made for the first grammar.
    vocabulary: Arc<OnceLock<Result<Vocabulary, Error>>>,
    permits: Arc<Semaphore>,
    spawner: Spawner,
}

impl fmt::Debug for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiler").field("permits", &self.permits).finish_non_exhaustive()
    }
}

/// A constraint that is being compiled once it is polled; can be polled anew after a wait was given up.
pub(crate) struct Compiled(Pin<Box<dyn Future<Output = Result<Constraint, Error>> + Send>>);

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compiled")
    }
}

impl Compiled {
    /// The constraint. Cancel-safe, until it has come.
    ///
    /// # Errors
    /// What `make` said.
    pub(crate) async fn wait(&mut self) -> Result<Constraint, Error> {
        (&mut self.0).await
    }
}

impl Compiler {
    pub(crate) fn new(tokenizer: Tokenizer, spawner: Spawner) -> Self {
        Self { tokenizer, vocabulary: Arc::default(), permits: Arc::new(Semaphore::new(TOGETHER)), spawner }
    }

    /// What `make` makes of the model's vocabulary, beside the engine's steps.
    pub(crate) fn compile(&self, make: impl FnOnce(&Vocabulary) -> Result<Constraint, Error> + Send + 'static) -> Compiled {
        let Self { tokenizer, vocabulary, permits, spawner } = self.clone();
        Compiled(Box::pin(async move {
            let permit = permits.acquire_owned().await.map_err(|_| Error::shutting_down())?;
            let (done, made) = oneshot::channel();
            spawner.start("hearth-grammar", Some(STACK_BYTES), move || {
                let vocabulary = vocabulary.get_or_init(|| Vocabulary::new(&tokenizer));
                let constraint = vocabulary.as_ref().map_err(Clone::clone).and_then(make);
                drop(permit);
                // Whoever asked may be gone.
                let _ = done.send(constraint);
            })?;
            made.await.unwrap_or_else(|_| Err(Error::internal("compiling the grammar panicked")))
        }))
    }
}
