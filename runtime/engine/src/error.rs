//! Errors as wasi-nn carries them: a standard code, and data that says what happened and what would cure it.

/// wasi-nn's `error-code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are wasi-nn's own
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
#[allow(missing_docs)] // the table in `docs/wasi-nn.md` describes them
pub enum ErrorKind {
    InvalidRequest,
    ContextLength { prompt_tokens: usize, context_length: usize },
    ModelNotFound,
    Loading,
    LoadFailed,
    QueueFull,
    ClientBusy,
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
    /// The field of the request that is at fault, where it is one.
    pub param: Option<&'static str>,
}

impl ErrorKind {
    /// The kind's name in `error.data()`.
    fn name(&self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::ContextLength { .. } => "context_length",
            Self::ModelNotFound => "model_not_found",
            Self::Loading => "loading",
            Self::LoadFailed => "load_failed",
            Self::QueueFull => "queue_full",
            Self::ClientBusy => "client_busy",
            Self::OutOfMemory => "out_of_memory",
            Self::ModelTooLarge => "model_too_large",
            Self::UnsupportedEncoding => "unsupported_encoding",
            Self::Timeout => "timeout",
            Self::ShuttingDown => "shutting_down",
            Self::Internal => "internal",
        }
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), param: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message)
    }

    /// With the field of the request that is at fault.
    pub(crate) fn about(self, param: &'static str) -> Self {
        Self { param: Some(param), ..self }
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    pub(crate) fn shutting_down() -> Self {
        Self::new(ErrorKind::ShuttingDown, "the engine has stopped")
    }

    /// The standard code that carries this kind.
    pub fn code(&self) -> ErrorCode {
        match self.kind {
            ErrorKind::InvalidRequest => ErrorCode::InvalidArgument,
            ErrorKind::ContextLength { .. } | ErrorKind::ModelTooLarge => ErrorCode::TooLarge,
            ErrorKind::ModelNotFound => ErrorCode::NotFound,
            ErrorKind::UnsupportedEncoding => ErrorCode::InvalidEncoding,
            ErrorKind::Timeout => ErrorCode::Timeout,
            ErrorKind::Internal => ErrorCode::Unknown,
            ErrorKind::Loading
            | ErrorKind::LoadFailed
            | ErrorKind::QueueFull
            | ErrorKind::ClientBusy
            | ErrorKind::OutOfMemory
            | ErrorKind::ShuttingDown => ErrorCode::RuntimeError,
        }
    }

    /// The JSON document that wasi-nn's `error.data()` returns.
    pub fn data(&self) -> String {
        let mut data = serde_json::json!({"kind": self.kind.name(), "message": self.message});
        if let Some(param) = self.param {
            data["param"] = param.into();
        }
        if let ErrorKind::ContextLength { prompt_tokens, context_length } = self.kind {
            data["prompt_tokens"] = prompt_tokens.into();
            data["context_length"] = context_length.into();
        }
        data.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_names_the_kind_and_for_a_long_prompt_both_numbers() {
        let kind = ErrorKind::ContextLength { prompt_tokens: 9000, context_length: 8192 };
        let error = Error::new(kind, "too long");
        assert_eq!(error.code(), ErrorCode::TooLarge);
        assert_eq!(error.data(), r#"{"kind":"context_length","message":"too long","prompt_tokens":9000,"context_length":8192}"#);
        assert_eq!(Error::invalid("no").data(), r#"{"kind":"invalid_request","message":"no"}"#);
        assert_eq!(Error::invalid("no").about("tools").data(), r#"{"kind":"invalid_request","message":"no","param":"tools"}"#);
    }
}
