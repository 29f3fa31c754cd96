//! Chat templates: Jinja as Hugging Face's `apply_chat_template` renders it, bounded in steps and output.
//!
//! The engine is minijinja with blocks trimmed as there. What templates take from Python is added here: methods and tests (`python`), `tojson` as `json.dumps` writes
//! it (`json`), `strftime_now` (`clock`) and `raise_exception`. A template is part of a downloaded file and so not trusted: it computes text and reaches nothing else.

mod clock;
mod json;
mod python;

use std::{borrow::Cow, io, sync::Arc, time::SystemTime};

use fancy_regex::Regex;
use minijinja::{Environment, Error, ErrorKind, Value, syntax::SyntaxConfig, value::Serde};

/// Steps of a rendering; 64 bytes of text handled count as one. A conversation of a megabyte with tools takes a tenth of it.
const FUEL: u64 = 5_000_000;
/// Macros within macros, includes and the like.
const RECURSION: usize = 120;
/// Bytes of a rendered prompt: far above any context's worth.
const MAX_OUTPUT: usize = 16 << 20;
/// Bytes of a template. The longest known one has 30 thousand.
const MAX_SOURCE: usize = 1 << 20;
/// The name of the only template in its environment.
const NAME: &str = "chat";

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
pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    source: Arc<str>,
    bos: Value,
    eos: Value,
}

impl ChatTemplate {
    /// Compiles `source`, with the texts of the begin and end tokens that templates refer to.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`]
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self, TemplateError> {
        if source.len() > MAX_SOURCE {
            return Err(TemplateError::Syntax(format!("it has {} bytes, at most {MAX_SOURCE} are read", source.len())));
        }
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(|error| TemplateError::Syntax(describe(&error)))?;
        environment.set_syntax(syntax);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION);
        environment.add_function("raise_exception", raise_exception);
        environment.add_filter("tojson", json::tojson);
        python::extend(&mut environment);
        let rendered = without_generation_marks(source);
        environment.add_template_owned(NAME, rendered.into_owned()).map_err(|error| TemplateError::Syntax(describe(&error)))?;
        Ok(Self { environment: Arc::new(environment), source: source.into(), bos: bos.into(), eos: eos.into() })
    }

    /// The source that it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Renders `messages` (OpenAI's shape) and `tools` (null or an array) into the prompt; `extra` are further template variables (an object).
    ///
    /// # Errors
    /// [`TemplateError::Render`]
    pub fn render(
        &self,
        messages: &serde_json::Value,
        tools: &serde_json::Value,
        add_generation_prompt: bool,
        extra: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<String, TemplateError> {
        self.render_at(messages, tools, add_generation_prompt, extra, SystemTime::now())
    }

    /// [`Self::render`] at another time than now, which templates can ask for with `strftime_now`.
    ///
    /// # Errors
    /// [`TemplateError::Render`]
    pub fn render_at(
        &self,
        messages: &serde_json::Value,
        tools: &serde_json::Value,
        add_generation_prompt: bool,
        extra: &serde_json::Map<String, serde_json::Value>,
        now: SystemTime,
    ) -> Result<String, TemplateError> {
        let known = [
            ("messages", Value::from(Serde(messages))),
            ("tools", Value::from(Serde(tools))),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(add_generation_prompt)),
            ("bos_token", self.bos.clone()),
            ("eos_token", self.eos.clone()),
            ("strftime_now", Value::from_function(move |format: &str| clock::format(now, format))),
        ];
        let extra = extra.iter().map(|(name, value)| (name.as_str(), Value::from(Serde(value))));
        // The last of a name counts: `extra` may set what is known.
        let context = Value::from_pairs(known.into_iter().chain(extra));

        let mut output = Output(Vec::new());
        let refuse = |error: Error| TemplateError::Render(describe(&error));
        self.environment.get_template(NAME).map_err(refuse)?.render_captured_to(context, &mut output).map_err(refuse)?;
        String::from_utf8(output.0).map_err(|error| TemplateError::Render(error.to_string()))
    }
}

/// What `raise_exception` was given: the template author's own words, which the caller shall read without the engine's.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

fn raise_exception(message: &Value) -> Result<Value, Error> {
    let message = message.to_string();
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
}

/// The error's text: what the template raised, or else what went wrong and where.
fn describe(error: &Error) -> String {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(Raised(message)) = cause.downcast_ref() {
            return message.clone();
        }
        source = cause.source();
    }
    match error.kind() {
        ErrorKind::OutOfFuel => format!("it takes more than {FUEL} steps"),
        ErrorKind::WriteFailure => format!("its output exceeds {MAX_OUTPUT} bytes"),
        _ => error.to_string().replace(&format!(" (in {NAME}:"), " (line ").replace("(line )", ""),
    }
}

/// `{% generation %}` marks the assistant's parts for training and renders what it encloses, in a scope of its own: so does `{% with %}`.
fn without_generation_marks(source: &str) -> Cow<'_, str> {
    if !source.contains("generation") {
        return source.into();
    }
    let Ok(mark) = Regex::new(r"(\{%[-+]?\s*)(end)?generation(\s*[-+]?%\})") else { return source.into() };
    mark.replace_all(source, "${1}${2}with${3}")
}

/// Text of at most [`MAX_OUTPUT`] bytes.
struct Output(Vec<u8>);

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
