//! The items of an answer, as they grow from its chunks.

use serde_json::Value;

use super::item::{Item, Names, Part, Speaker, Status};
use crate::{
    generate::{Chunk, Event, FinishReason, TokenLogprob},
    ident,
    openai::logprobs,
};

/// The items of an answer.
pub(super) struct Output {
    names: Names,
    items: Vec<Item>,
    /// Whether more may come of the last.
    open: bool,
    /// Of each call, which of the items it is.
    calls: Vec<usize>,
    /// Of tokens of the text that said nothing yet, such as a half of a character.
    logprobs: Vec<TokenLogprob>,
}

/// What has changed in the items. The number is that of the item.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    /// It is new, and this is all of it.
    Opened(usize, Item),
    /// It has grown by a text, which tokens of these log-probabilities are behind.
    Grown(usize, String, Vec<Value>),
    /// Nothing more comes.
    Closed(usize),
}

impl Output {
    pub(super) fn new(names: Names) -> Self {
        Self { names, items: Vec::new(), open: false, calls: Vec::new(), logprobs: Vec::new() }
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// Adds what a chunk says.
    pub(super) fn add(&mut self, chunk: Chunk) -> Vec<Change> {
        let mut changes = Vec::new();
        // What is told are the text's tokens, and a chunk without events is a piece of a token of whatever is open.
        let is_text = |event: &Event| matches!(event, Event::Text(_));
        if chunk.events.is_empty() || chunk.events.iter().any(is_text) {
            self.logprobs.extend(chunk.logprobs);
        } else {
            self.logprobs.clear();
        }
        for event in chunk.events {
            match event {
                Event::Reasoning(text) => {
                    if !(self.open && matches!(self.items.last(), Some(Item::Reasoning { .. }))) {
                        let part = Part::ReasoningText { text: String::new() };
                        let id = self.names.next("rs_");
                        let item = Item::Reasoning { id, summary: Vec::new(), content: vec![part], status: Status::InProgress };
                        self.open(item, &mut changes);
                    }
                    self.grow(self.items.len() - 1, text, &mut changes);
                }
                Event::Text(text) => {
                    if !(self.open && matches!(self.items.last(), Some(Item::Message { .. }))) {
                        self.open_message(&mut changes);
                    }
                    self.grow(self.items.len() - 1, text, &mut changes);
                }
                Event::CallBegin { name, .. } => {
                    let (id, call_id) = (self.names.next("fc_"), ident::random("call_"));
                    self.open(Item::FunctionCall { id, call_id, name, arguments: String::new(), status: Status::InProgress }, &mut changes);
                    self.calls.push(self.items.len() - 1);
                }
                Event::CallArguments { index, text } => {
                    if let Some(&item) = self.calls.get(index) {
                        self.grow(item, text, &mut changes);
                    }
                }
            }
        }
        if let Some(ending) = chunk.ending {
            if self.items.is_empty() {
                self.open_message(&mut changes);
            }
            let status = if ending.finish_reason == FinishReason::Length { Status::Incomplete } else { Status::Completed };
            self.close(status, &mut changes);
        }
        changes
    }

    fn open_message(&mut self, changes: &mut Vec<Change>) {
        let id = self.names.next("msg_");
        let content = vec![Part::output(String::new())];
        self.open(Item::Message { id, status: Status::InProgress, role: Speaker::Assistant, content }, changes);
    }

    fn open(&mut self, item: Item, changes: &mut Vec<Change>) {
        self.close(Status::Completed, changes);
        changes.push(Change::Opened(self.items.len(), item.clone()));
        self.items.push(item);
        self.open = true;
    }

    fn close(&mut self, status: Status, changes: &mut Vec<Change>) {
        if std::mem::take(&mut self.open)
            && let Some(item) = self.items.last_mut()
        {
            item.set_status(status);
            changes.push(Change::Closed(self.items.len() - 1));
        }
    }

    fn grow(&mut self, index: usize, more: String, changes: &mut Vec<Change>) {
        let mut told = Vec::new();
        match &mut self.items[index] {
            Item::FunctionCall { arguments, .. } => arguments.push_str(&more),
            item => match item.parts_mut() {
                [Part::OutputText { text, logprobs, .. }] => {
                    told = logprobs::tokens(&std::mem::take(&mut self.logprobs));
                    text.push_str(&more);
                    logprobs.extend(told.iter().cloned());
                }
                [Part::ReasoningText { text }] => text.push_str(&more),
                _ => {}
            },
        }
        changes.push(Change::Grown(index, more, told));
    }
}
