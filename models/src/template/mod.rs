//! Chat templates: Jinja as Hugging Face's `apply_chat_template` renders it, bounded in steps and output.

/// Why a template did not compile or render.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The template's source is not valid.
    #[error("the chat template does not compile: {0}")]
    Syntax(String),
    /// It raised an exception or failed on this conversation.
    #[error("the chat template refused the conversation: {0}")]
    Render(String),
}

/// A compiled chat template. Clones share it.
#[derive(Debug, Clone)]
pub struct ChatTemplate {}

impl ChatTemplate {
    /// Compiles `source`, with the texts of the begin and end tokens that templates refer to.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`]
    pub fn new(_source: &str, _bos: &str, _eos: &str) -> Result<Self, TemplateError> {
        todo!()
    }

    /// Renders `messages` (OpenAI's shape) and `tools` (null or an array) into the prompt; `extra` are further template variables (an object).
    ///
    /// # Errors
    /// [`TemplateError::Render`]
    pub fn render(
        &self,
        _messages: &serde_json::Value,
        _tools: &serde_json::Value,
        _add_generation_prompt: bool,
        _extra: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<String, TemplateError> {
        todo!()
    }
}
