//! A streamed answer of `POST /v1/responses`: events with names and numbers, the last of which has the whole response in it.

use serde::Serialize;
use serde_json::Value;

use super::{
    answer::Response,
    item::{Item, Part, Status},
    output::{Change, Output},
    turn::Turn,
};
use crate::{
    generate::{Chunk, Ending, stream::Frames},
    ports::Ports,
    wire::{ApiError, sse},
};

/// An event. Each has the fields that OpenAI's of its name has.
#[derive(Debug, Default, Serialize)]
struct Event<'a> {
    r#type: &'static str,
    sequence_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a Response>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<&'a Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'a Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<&'a [Value]>,
}

/// Writes the events, and keeps the response before it says that it is whole.
pub(super) struct Writer<P> {
    ports: P,
    turn: Turn,
    response: Response,
    output: Output,
    ending: Option<Ending>,
    numbers: Numbers,
}

/// Numbers events as they are written.
struct Numbers(u64);

impl Numbers {
    fn write(&mut self, frame: &mut Vec<u8>, r#type: &'static str, event: Event<'_>) {
        sse::named(frame, r#type, &Event { r#type, sequence_number: self.0, ..event });
        self.0 += 1;
    }
}

impl<P: Ports> Writer<P> {
    pub(super) fn new(ports: P, turn: Turn, response: Response, output: Output) -> Self {
        Self { ports, turn, response, output, ending: None, numbers: Numbers(0) }
    }

    fn write_response(&mut self, frame: &mut Vec<u8>, r#type: &'static str) {
        self.numbers.write(frame, r#type, Event { response: Some(&self.response), ..Event::default() });
    }

    fn write_change(&mut self, frame: &mut Vec<u8>, change: &Change) {
        let (Change::Opened(index, _) | Change::Grown(index, ..) | Change::Closed(index)) = change;
        let item = if let Change::Opened(_, item) = change { item } else { &self.output.items()[*index] };
        let at = || Event { item_id: Some(item.id()), output_index: Some(*index), ..Event::default() };
        let within = || Event { content_index: Some(0), ..at() };
        let whole = || Event { output_index: Some(*index), item: Some(item), ..Event::default() };
        let numbers = &mut self.numbers;
        match (change, item, item.parts()) {
            (Change::Opened(..), Item::FunctionCall { .. }, _) => numbers.write(frame, "response.output_item.added", whole()),
            (Change::Opened(..), _, parts) => {
                let mut bare = item.clone();
                bare.clear();
                numbers.write(frame, "response.output_item.added", Event { item: Some(&bare), ..whole() });
                numbers.write(frame, "response.content_part.added", Event { part: parts.first(), ..within() });
            }
            (Change::Grown(_, delta, _), Item::FunctionCall { .. }, _) => {
                numbers.write(frame, "response.function_call_arguments.delta", Event { delta: Some(delta), ..at() });
            }
            (Change::Grown(_, delta, logprobs), Item::Message { .. }, _) => {
                numbers.write(frame, "response.output_text.delta", Event { delta: Some(delta), logprobs: Some(logprobs), ..within() });
            }
            (Change::Grown(_, delta, _), ..) => {
                numbers.write(frame, "response.reasoning_text.delta", Event { delta: Some(delta), ..within() });
            }
            (Change::Closed(_), Item::FunctionCall { name, arguments, .. }, _) => {
                let done = Event { name: Some(name), arguments: Some(arguments), ..at() };
                numbers.write(frame, "response.function_call_arguments.done", done);
                numbers.write(frame, "response.output_item.done", whole());
            }
            (Change::Closed(_), _, parts) => {
                let part = parts.first();
                match part {
                    Some(Part::OutputText { text, logprobs, .. }) => {
                        let done = Event { text: Some(text), logprobs: Some(logprobs), ..within() };
                        numbers.write(frame, "response.output_text.done", done);
                    }
                    other => numbers.write(frame, "response.reasoning_text.done", Event { text: other.map(Part::text), ..within() }),
                }
                numbers.write(frame, "response.content_part.done", Event { part, ..within() });
                numbers.write(frame, "response.output_item.done", whole());
            }
        }
    }
}

impl<P: Ports> Frames for Writer<P> {
    fn begin(&mut self, frame: &mut Vec<u8>) {
        self.write_response(frame, "response.created");
        self.write_response(frame, "response.in_progress");
    }

    fn chunk(&mut self, frame: &mut Vec<u8>, _: usize, chunk: Chunk) {
        self.ending = chunk.ending.clone();
        for change in self.output.add(chunk) {
            self.write_change(frame, &change);
        }
    }

    async fn settle(&mut self) -> Result<(), ApiError> {
        if let Some(ending) = &self.ending {
            self.response.end(self.output.items().to_vec(), ending);
        }
        self.turn.keep(&self.ports, &self.response).await
    }

    fn end(&mut self, frame: &mut Vec<u8>) {
        let whole = self.response.status() == Status::Completed;
        self.write_response(frame, if whole { "response.completed" } else { "response.incomplete" });
    }

    fn fail(&mut self, frame: &mut Vec<u8>, error: &ApiError) {
        self.response.fail(self.output.items().to_vec(), error);
        self.write_response(frame, "response.failed");
    }
}
