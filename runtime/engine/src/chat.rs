//! A model's chats: its template and its dialect, the prompts that they make of messages, and what reads an answer.

use std::sync::Arc;

use hearth_models::{
    dialect::{Dialect, Parser, Piece, Tool},
    template::ChatTemplate,
    tokenizer::{Tokenizer, TokenizerError},
};
use serde_json::{Map, Value};

use crate::Error;

/// What a model for chats has. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Chat {
    template: ChatTemplate,
    dialect: Dialect,
    /// Control tokens that mean something to the dialect: their text is part of an answer's.
    marks: Arc<[u32]>,
}

/// A conversation as the model sees it.
#[derive(Debug)]
pub(crate) struct Prompt {
    pub(crate) text: String,
    pub(crate) tokens: Vec<u32>,
}

/// What reads an answer, and the control tokens that are text to it.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) parser: Parser,
    pub(crate) marks: Arc<[u32]>,
}

impl Chat {
    pub(crate) fn new(template: ChatTemplate, tokenizer: &Tokenizer) -> Self {
        let dialect = Dialect::of(&template);
        let marks = dialect.markers().flat_map(|marker| tokenizer.control_tokens(marker)).map(|(_, token)| token);
        // An end is never text.
        let mut marks: Vec<u32> = marks.filter(|token| !tokenizer.is_end(*token)).collect();
        marks.sort_unstable();
        marks.dedup();
        Self { template, dialect, marks: marks.into() }
    }

    pub(crate) fn template(&self) -> &ChatTemplate {
        &self.template
    }

    pub(crate) fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// The prompt of `messages` with `tools` (null or an array), and further template variables. Control tokens that are written out in either are text: whoever writes a
    /// message must not be able to end it and begin one of another role.
    pub(crate) fn prompt(
        &self,
        tokenizer: &Tokenizer,
        messages: &Value,
        tools: &Value,
        variables: &Map<String, Value>,
        add_generation_prompt: bool,
    ) -> Result<Prompt, Error> {
        let tools = match tools {
            Value::Array(tools) if tools.is_empty() => &Value::Null,
            tools => tools,
        };
        let mark = free_mark([messages, tools])?;
        let [messages, tools] = [messages, tools].map(|value| marked(value, tokenizer, mark));
        let (messages, tools) = self.dialect.conversation(&messages, &tools);
        let text = self.template.render(&messages, &tools, add_generation_prompt, variables);
        let text = text.map_err(|error| Error::invalid(error.to_string()).about("messages"))?;
        let tokens = once_begun(tokenizer, tokenizer.encode_marked(&text, true, mark)).map_err(|error| error.about("messages"))?;
        Ok(Prompt { text: text.replace(mark, ""), tokens })
    }

    /// What reads an answer that may call `tools`; `None` where an answer is nothing but text.
    pub(crate) fn reader(&self, tools: Vec<Tool>, thinks: bool) -> Option<Reader> {
        let reads = !tools.is_empty() || self.dialect.reasons();
        reads.then(|| Reader { parser: self.dialect.parser(tools.into(), thinks, true), marks: self.marks.clone() })
    }
}

/// `text` parted at the control tokens that are written out in it.
pub(crate) fn pieces(tokenizer: &Tokenizer, text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for (range, token) in tokenizer.control_tokens(text) {
        pieces.push(Piece::Text(text[from..range.start].into()));
        pieces.push(Piece::Token(token));
        from = range.end;
    }
    pieces.push(Piece::Text(text[from..].into()));
    pieces.retain(|piece| *piece != Piece::Text(String::new()));
    pieces
}

/// The tokens of a text that is a prompt as it stands.
pub(crate) fn plain_prompt(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, Error> {
    once_begun(tokenizer, tokenizer.encode(text, true, true)).map_err(|error| error.about("prompt"))
}

/// The first of the characters that Unicode leaves to programs' own use which `values` don't have.
fn free_mark(values: [&Value; 2]) -> Result<char, Error> {
    let texts = values.map(Value::to_string);
    let free = ('\u{fdd0}'..='\u{fdef}').find(|mark| !texts.iter().any(|text| text.contains(*mark)));
    free.ok_or_else(|| {
        Error::invalid("the messages have every character from U+FDD0 to U+FDEF, which are not for interchange: leave one out")
            .about("messages")
    })
}

/// `value` with the control tokens that are written out in its texts marked.
fn marked(value: &Value, tokenizer: &Tokenizer, mark: char) -> Value {
    match value {
        Value::String(text) => Value::String(tokenizer.mark(text, mark).into_owned()),
        Value::Array(values) => values.iter().map(|value| marked(value, tokenizer, mark)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (tokenizer.mark(name, mark).into_owned(), marked(value, tokenizer, mark))).collect()
        }
        other => other.clone(),
    }
}

/// A prompt's tokens with one begin token: many templates write it themselves, and the tokenizer adds it too.
fn once_begun(tokenizer: &Tokenizer, tokens: Result<Vec<u32>, TokenizerError>) -> Result<Vec<u32>, Error> {
    let mut tokens = tokens.map_err(|error| Error::invalid(error.to_string()))?;
    if let (Some(bos), [first, second, ..]) = (tokenizer.bos(), &tokens[..])
        && *first == bos
        && *second == bos
    {
        tokens.remove(0);
    }
    Ok(tokens)
}
