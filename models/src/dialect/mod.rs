//! What a chat model's family writes between the words: calls of tools and thinking. Text only: knows no tokens, no tensors and no engine.
//!
//! A model's [`Dialect`] is found by what its chat template does with a conversation that has a call (`habits`), read by each known form (`format`). It turns messages into
//! what the template takes (`conversation`), gives the grammar that holds an answer to the tools' schemas (`grammar`), and takes an answer apart (`parser`).

mod conversation;
mod format;
mod grammar;
mod habits;
mod matching;
mod parser;
mod reasoning;
mod scanner;
mod tags;
mod types;

use std::sync::Arc;

use serde_json::Value;

use crate::template::ChatTemplate;

pub use grammar::{Piece, Wanted};
pub use parser::Parser;

use format::Format;
use habits::Habits;
use reasoning::Reasoning;

/// A tool as an answer may call it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tool {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// The JSON schema of its arguments, an object.
    pub parameters: Value,
}

/// What an answer tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Text for the user.
    Text(String),
    /// Text of the model's thinking.
    Reasoning(String),
    /// A call begins, the `index`-th of the answer.
    CallBegin {
        /// Its number.
        index: usize,
        /// The tool's name.
        name: String,
    },
    /// The next part of its arguments' JSON text.
    Arguments(String),
    /// Its arguments are whole.
    CallEnd,
}

/// How a model writes calls and thinking, and what its template makes of conversations that have them.
#[derive(Debug, Clone)]
pub struct Dialect {
    format: &'static Format,
    reasoning: Option<&'static Reasoning>,
    habits: Habits,
}

impl Dialect {
    /// The dialect of a model with this chat template. Every model has one: where nothing is known of calls, they are described in the system message.
    pub fn of(template: &ChatTemplate) -> Self {
        let habits::Findings { format, reasoning, habits } = habits::of(template);
        Self { format, reasoning, habits }
    }

    /// The name of the form of its calls.
    pub fn name(&self) -> &'static str {
        self.format.name
    }

    /// Whether it may think before it answers.
    pub fn reasons(&self) -> bool {
        self.reasoning.is_some()
    }

    /// Whether a prompt ends within the model's thinking.
    pub fn thinks_after(&self, prompt: &str) -> bool {
        self.reasoning.is_some_and(|reasoning| reasoning.opened_by(prompt))
    }

    /// Whether calls begin with a mark of their own, and not as JSON that an answer could be as well.
    pub fn marks_calls(&self) -> bool {
        !self.format.marker.is_empty()
    }

    /// The texts in which control tokens of the vocabulary may mean something to [`Parser`].
    pub fn markers(&self) -> impl Iterator<Item = &'static str> {
        self.format.markers().chain(self.reasoning.into_iter().flat_map(|reasoning| [reasoning.open, reasoning.close]))
    }

    /// `messages` and `tools` (null or an array), in OpenAI's shape, as the template takes them.
    pub fn conversation(&self, messages: &Value, tools: &Value) -> (Value, Value) {
        conversation::prepare(self, messages, tools)
    }

    /// What reads an answer with these tools, none where it must have no calls. `thinks`: the prompt ends within the thinking. `held_to_grammar`: [`Self::grammar`] holds
    /// the answer.
    pub fn parser(&self, tools: Arc<[Tool]>, thinks: bool, held_to_grammar: bool) -> Parser {
        Parser::new(Some(self.format), self.reasoning, tools, thinks, held_to_grammar)
    }
}
