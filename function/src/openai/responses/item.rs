//! What a conversation consists of in this API, sent, answered or kept: messages, calls, their outputs, and thinking.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ident;

/// An item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Item {
    /// Something said.
    Message {
        /// `msg_…`
        id: String,
        /// Whether it is whole.
        status: Status,
        /// Who says it.
        role: Speaker,
        /// What is said.
        content: Vec<Part>,
    },
    /// A call of a function that the model makes.
    FunctionCall {
        /// `fc_…`
        id: String,
        /// What its output is known by.
        call_id: String,
        /// The function.
        name: String,
        /// JSON text.
        arguments: String,
        /// Whether it is whole.
        status: Status,
    },
    /// What a function answered.
    FunctionCallOutput {
        /// `fco_…`
        id: String,
        /// The call that it answers.
        call_id: String,
        /// What the function said.
        output: String,
        /// Always [`Status::Completed`].
        status: Status,
    },
    /// What the model thought.
    Reasoning {
        /// `rs_…`
        id: String,
        /// Nothing makes one here; what was sent is kept.
        summary: Vec<Part>,
        /// The thinking itself.
        content: Vec<Part>,
        /// Whether it is whole.
        status: Status,
    },
}

/// Whether an item, or a response, is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// More of it is to come.
    InProgress,
    /// It is whole.
    Completed,
    /// The limit of tokens ended it.
    Incomplete,
    /// It came to nothing; of a response alone.
    Failed,
}

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Speaker {
    User,
    Assistant,
    System,
    Developer,
}

/// A part of an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Part {
    InputText {
        text: String,
    },
    OutputText {
        text: String,
        /// Nothing here makes any.
        annotations: [(); 0],
        /// Of its tokens, where they were asked for. They are not kept.
        logprobs: Vec<Value>,
    },
    Refusal {
        refusal: String,
    },
    ReasoningText {
        text: String,
    },
    SummaryText {
        text: String,
    },
}

impl Part {
    /// A text of the model's.
    pub(super) fn output(text: String) -> Self {
        Self::OutputText { text, annotations: [], logprobs: Vec::new() }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::InputText { text }
            | Self::OutputText { text, .. }
            | Self::ReasoningText { text }
            | Self::SummaryText { text }
            | Self::Refusal { refusal: text } => text,
        }
    }
}

impl Item {
    /// Its name.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Message { id, .. } | Self::FunctionCall { id, .. } | Self::FunctionCallOutput { id, .. } | Self::Reasoning { id, .. } => {
                id
            }
        }
    }

    pub(super) fn parts(&self) -> &[Part] {
        match self {
            Self::Message { content, .. } | Self::Reasoning { content, .. } => content,
            Self::FunctionCall { .. } | Self::FunctionCallOutput { .. } => &[],
        }
    }

    pub(super) fn parts_mut(&mut self) -> &mut [Part] {
        match self {
            Self::Message { content, .. } | Self::Reasoning { content, .. } => content,
            Self::FunctionCall { .. } | Self::FunctionCallOutput { .. } => &mut [],
        }
    }

    /// Takes its parts away.
    pub(super) fn clear(&mut self) {
        if let Self::Message { content, .. } | Self::Reasoning { content, .. } = self {
            content.clear();
        }
    }

    pub(super) fn set_status(&mut self, new: Status) {
        match self {
            Self::Message { status, .. }
            | Self::FunctionCall { status, .. }
            | Self::FunctionCallOutput { status, .. }
            | Self::Reasoning { status, .. } => *status = new,
        }
    }
}

/// Names of items, made from the secret of what they belong to: so that nobody guesses them, and that a response's items lead to it.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    secret: String,
    next: u32,
}

impl Names {
    pub(crate) fn new(secret: String) -> Self {
        Self { secret, next: 0 }
    }

    /// The next item's name, which begins with `prefix`.
    pub(crate) fn next(&mut self, prefix: &str) -> String {
        let name = format!("{prefix}{}{:06x}", self.secret, self.next);
        self.next += 1;
        name
    }

    /// The secret that a name was made from, if it was made here.
    pub(crate) fn secret_of(name: &str) -> Option<&str> {
        let (_, digits) = name.split_once('_')?;
        digits.get(..48).filter(|secret| digits.len() == 54 && ident::is_secret(secret))
    }
}
