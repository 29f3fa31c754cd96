//! A streamed answer of `POST /v1/messages`: named events, from `message_start` to `message_stop`.

use serde::Serialize;
use serde_json::json;

use super::{
    answer::{Block, Head, Message, SIGNATURE, Stop, Usage, call_id},
    error::Envelope,
    thinking::Thinking,
};
use crate::{
    generate::{Chunk, Event, stream::Frames},
    wire::{ApiError, sse},
};

/// An event.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Document<'a> {
    MessageStart { message: Message<'a> },
    Ping,
    ContentBlockStart { index: usize, content_block: Block<'a> },
    ContentBlockDelta { index: usize, delta: Delta<'a> },
    ContentBlockStop { index: usize },
    MessageDelta { delta: Stop<'a>, usage: Usage },
    MessageStop,
}

/// What a block goes on with.
#[derive(Debug, Serialize)]
#[serde(tag = "type")]
enum Delta<'a> {
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'static str },
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
}

impl Document<'_> {
    fn write(&self, frame: &mut Vec<u8>) {
        let name = match self {
            Self::MessageStart { .. } => "message_start",
            Self::Ping => "ping",
            Self::ContentBlockStart { .. } => "content_block_start",
            Self::ContentBlockDelta { .. } => "content_block_delta",
            Self::ContentBlockStop { .. } => "content_block_stop",
            Self::MessageDelta { .. } => "message_delta",
            Self::MessageStop => "message_stop",
        };
        sse::named(frame, name, self);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Thinking,
    Text,
    Call,
}

/// Writes the events.
pub(super) struct Writer {
    head: Head,
    /// What the last block is, unless it has ended.
    open: Option<Open>,
    /// How many blocks have begun.
    blocks: usize,
    /// The block of each call.
    calls: Vec<usize>,
}

impl Writer {
    pub(super) fn new(head: Head) -> Self {
        Self { head, open: None, blocks: 0, calls: Vec::new() }
    }

    /// Begins a block, and ends the one before it.
    fn begin_block(&mut self, frame: &mut Vec<u8>, what: Open, content_block: Block<'_>) {
        self.end_block(frame);
        Document::ContentBlockStart { index: self.blocks, content_block }.write(frame);
        self.open = Some(what);
        self.blocks += 1;
    }

    fn end_block(&mut self, frame: &mut Vec<u8>) {
        let Some(open) = self.open.take() else { return };
        let index = self.blocks - 1;
        if open == Open::Thinking {
            Document::ContentBlockDelta { index, delta: Delta::Signature { signature: SIGNATURE } }.write(frame);
        }
        Document::ContentBlockStop { index }.write(frame);
    }

    fn delta(&self, frame: &mut Vec<u8>, delta: Delta<'_>) {
        Document::ContentBlockDelta { index: self.blocks - 1, delta }.write(frame);
    }

    fn event(&mut self, frame: &mut Vec<u8>, event: &Event) {
        match event {
            Event::Reasoning(thinking) => {
                if self.head.thinking != Thinking::Untold && self.open != Some(Open::Thinking) {
                    self.begin_block(frame, Open::Thinking, Block::Thinking { thinking: "", signature: "" });
                }
                match self.head.thinking {
                    Thinking::Told => self.delta(frame, Delta::Thinking { thinking }),
                    // A word that the answer is still coming, also for who has gone: it is noticed when something is written.
                    Thinking::Omitted | Thinking::Untold => Document::Ping.write(frame),
                }
            }
            Event::Text(text) => {
                if self.open != Some(Open::Text) {
                    self.begin_block(frame, Open::Text, Block::Text { text: "" });
                }
                self.delta(frame, Delta::Text { text });
            }
            Event::CallBegin { name, .. } => {
                self.begin_block(frame, Open::Call, Block::ToolUse { id: call_id(), name, input: json!({}) });
                self.calls.push(self.blocks - 1);
            }
            Event::CallArguments { index, text } => {
                if let Some(&index) = self.calls.get(*index) {
                    Document::ContentBlockDelta { index, delta: Delta::InputJson { partial_json: text } }.write(frame);
                }
            }
        }
    }
}

impl Frames for Writer {
    fn begin(&mut self, frame: &mut Vec<u8>) {
        Document::MessageStart { message: Message::begin(&self.head) }.write(frame);
        Document::Ping.write(frame);
    }

    fn chunk(&mut self, frame: &mut Vec<u8>, _: usize, chunk: Chunk) {
        for event in &chunk.events {
            self.event(frame, event);
        }
        if let Some(ending) = &chunk.ending {
            self.end_block(frame);
            let (delta, usage) = (Stop::new(ending, self.head.max_tokens), Usage::from(&ending.usage));
            Document::MessageDelta { delta, usage }.write(frame);
        }
    }

    fn end(&mut self, frame: &mut Vec<u8>) {
        Document::MessageStop.write(frame);
    }

    /// The missing `message_stop` says that the answer is not whole.
    fn fail(&mut self, frame: &mut Vec<u8>, error: &ApiError) {
        sse::named(frame, "error", &Envelope::new(error));
    }
}
