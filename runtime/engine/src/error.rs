//! Errors as wasi-nn carries them: a standard code, and data that says what happened and what would cure it.

/// wasi-nn's `error-code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ErrorCode {
    InvalidArgument,
    InvalidEncoding,
    Timeout,
    RuntimeError,
    UnsupportedOperation,
    TooLarge,
    NotFound,
    Security,
    Unknown,
}

/// What kind of failure, as `docs/wasi-nn.md` lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ErrorKind {
    InvalidRequest,
    ContextLength { prompt_tokens: usize, context_length: usize },
    ModelNotFound,
    Loading,
    LoadFailed,
    QueueFull,
    OutOfMemory,
    ModelTooLarge,
    UnsupportedEncoding,
    Timeout,
    ShuttingDown,
    Internal,
}

/// A failure at the engine's door.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The kind.
    pub kind: ErrorKind,
    /// For a person: the thing, the limit, the cure.
    pub message: String,
}

impl Error {
    /// The standard code that carries this kind.
    pub fn code(&self) -> ErrorCode {
        todo!()
    }

    /// The JSON document that wasi-nn's `error.data()` returns.
    pub fn data(&self) -> String {
        todo!()
    }
}
