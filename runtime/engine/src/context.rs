//! An execution context: one sequence, in tensor mode or in generate mode.

use crate::{Error, NamedTensor};

/// One sequence with its KV cache. Dropping it stops the sequence and frees its blocks.
#[derive(Debug)]
pub struct Context {}

impl Context {
    /// wasi-nn's `compute`: see `docs/wasi-nn.md` for what each mode takes and returns. Cancel-safe: a dropped future loses no chunk.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn compute(&mut self, _inputs: Vec<NamedTensor>) -> Result<Vec<NamedTensor>, Error> {
        todo!()
    }
}
