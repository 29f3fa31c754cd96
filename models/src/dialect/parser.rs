//! A model's answer, taken apart as it comes: thinking, text, and calls of tools.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    Event, Tool,
    format::{Arguments, Format},
    matching::{Found, filled, literal, overlap},
    reasoning::Reasoning,
    scanner::{Scan, Scanner},
    tags::{Read, TagReader},
};

/// Bytes from a call's marker to its arguments, or from them to its end.
const MAX_HEADER: usize = 4096;

/// Reads an answer that comes in pieces. What it tells does not depend on where they are parted.
///
/// Whitespace beside a mark or a call is the form's and no text. Where a grammar holds the answer, so that what begins as a call is one, a call is told as it comes;
/// else when it is whole, and what is none after all is text.
#[derive(Debug)]
pub struct Parser {
    format: Option<&'static Format>,
    reasoning: Option<&'static Reasoning>,
    tools: Arc<[Tool]>,
    held_to_grammar: bool,
    state: State,
    /// What has not been taken apart.
    rest: String,
    /// The text of a call that may be none after all, and what would be told of it.
    raw: String,
    pending: Vec<Event>,
    begun: usize,
    whole: usize,
    events: Vec<Event>,
}

#[derive(Debug)]
enum State {
    /// Nothing but whitespace has come.
    Lead,
    /// Within the thinking, and whether some of it has been told.
    Thinking(bool),
    /// Nothing of the answer has come; whether thinking precedes it.
    Begin(bool),
    /// Text in which a call may begin.
    Text,
    /// Text in which none may.
    Plain,
    /// From a call's marker to its arguments.
    Open,
    Json(Scanner),
    Tags(TagReader),
    /// From a call's arguments to its end.
    Close,
    /// Where the next of several calls may follow, or the end of all.
    Between,
    /// Behind calls, where whitespace is no text.
    After,
}

impl Parser {
    pub(super) fn new(
        format: Option<&'static Format>,
        reasoning: Option<&'static Reasoning>,
        tools: Arc<[Tool]>,
        thinks: bool,
        held_to_grammar: bool,
    ) -> Self {
        let state = match reasoning {
            Some(_) if thinks => State::Thinking(false),
            Some(_) => State::Lead,
            None => State::Begin(false),
        };
        Self {
            format: format.filter(|_| !tools.is_empty()),
            reasoning,
            tools,
            held_to_grammar,
            state,
            rest: String::new(),
            raw: String::new(),
            pending: Vec::new(),
            begun: 0,
            whole: 0,
            events: Vec::new(),
        }
    }

    /// Takes the next piece, and returns what is certain by now.
    pub fn push(&mut self, piece: &str) -> Vec<Event> {
        self.rest.push_str(piece);
        while self.step() {}
        std::mem::take(&mut self.events)
    }

    /// What is left at the end of the answer. A call that is not whole is text or, where a grammar holds the answer, stays without an end or, cut before its name is whole,
    /// is left out.
    pub fn finish(&mut self) -> Vec<Event> {
        let rest = std::mem::take(&mut self.rest);
        match std::mem::replace(&mut self.state, State::Plain) {
            State::Open if self.held_to_grammar => {}
            // Nothing but calls follows a call: this is the beginning of one's mark.
            State::Text if self.held_to_grammar && self.whole > 0 && self.format.is_some_and(|format| format.marker.starts_with(&rest)) => {
            }
            State::Thinking(_) => self.tell(Event::Reasoning(rest)),
            State::Lead | State::Begin(_) | State::Text | State::Plain | State::Open => self.tell(Event::Text(rest)),
            State::Json(_) | State::Tags(_) | State::Close if !self.held_to_grammar => {
                self.rest = rest;
                self.give_up();
                let rest = std::mem::take(&mut self.rest);
                self.tell(Event::Text(rest));
            }
            // The rest is the beginning of what would have ended it.
            State::Json(_) | State::Tags(_) | State::Close | State::Between | State::After => {}
        }
        std::mem::take(&mut self.events)
    }

    /// Whether what came last is within the thinking.
    pub fn is_thinking(&self) -> bool {
        matches!(self.state, State::Thinking(_))
    }

    /// How many calls have come to their end.
    pub fn calls(&self) -> usize {
        self.whole
    }

    /// Goes as far as the state leads. False where more must come first.
    fn step(&mut self) -> bool {
        match self.state {
            State::Lead => self.lead(),
            State::Thinking(told) => self.think(told),
            State::Begin(thought) => self.begin(thought),
            State::Text => self.text(),
            State::Plain => {
                let rest = std::mem::take(&mut self.rest);
                self.tell(Event::Text(rest));
                false
            }
            State::Open => self.open(),
            State::Json(_) => self.json(),
            State::Tags(_) => self.tags(),
            State::Close => self.close(),
            State::Between => self.between(),
            State::After => {
                self.trim();
                if self.rest.is_empty() {
                    return false;
                }
                self.state = self.prose();
                true
            }
        }
    }

    fn lead(&mut self) -> bool {
        match literal(&self.rest, self.reasoning.map_or("", |reasoning| reasoning.open)) {
            Found::Whole(end) if end <= MAX_HEADER => {
                self.rest.drain(..end);
                self.state = State::Thinking(false);
            }
            Found::Part if self.rest.len() <= MAX_HEADER => return false,
            _ => self.state = State::Begin(false),
        }
        true
    }

    fn think(&mut self, told: bool) -> bool {
        if !told {
            self.trim();
        }
        let close = self.reasoning.map_or("", |reasoning| reasoning.close);
        if let Some(at) = self.rest.find(close) {
            let thought = self.rest[..at].trim_end().to_owned();
            self.rest.drain(..at + close.len());
            self.tell(Event::Reasoning(thought));
            self.state = State::Begin(true);
            return true;
        }
        let certain = self.rest[..self.rest.len() - overlap(&self.rest, close)].trim_end().len();
        let thought: String = self.rest.drain(..certain).collect();
        self.state = State::Thinking(told || certain > 0);
        self.tell(Event::Reasoning(thought));
        false
    }

    fn begin(&mut self, thought: bool) -> bool {
        if thought {
            self.trim();
        }
        let first = self.rest.trim_start();
        let unmarked = self.format.filter(|format| format.marker.is_empty());
        self.state = match unmarked {
            _ if first.is_empty() && (thought || unmarked.is_some()) => return false,
            Some(format) if first.starts_with('{') || (!format.tag.is_empty() && first.starts_with(format.tag)) => State::Open,
            Some(format) if format.tag.starts_with(first) => return false,
            _ => self.prose(),
        };
        true
    }

    fn text(&mut self) -> bool {
        let marker = self.format.map_or("", |format| format.marker);
        let (end, found) = match self.rest.find(marker) {
            Some(at) => (at, true),
            None => (self.rest.len() - overlap(&self.rest, marker), false),
        };
        let certain = self.rest[..end].trim_end().len();
        let text: String = self.rest.drain(..certain).collect();
        self.tell(Event::Text(text));
        if found {
            self.state = State::Open;
        }
        found
    }

    fn open(&mut self) -> bool {
        let Some(format) = self.format else { return false };
        let first = [format.before, format.open].concat();
        let mut found = self.header(&first);
        if !format.tag.is_empty() && found == Found::Not {
            found = self.header(&[format.tag, &first].concat());
        }
        match found {
            Found::Whole((end, tool)) => self.begin_call(end, tool),
            Found::Part => return false,
            // Its marker is text, and another may follow.
            Found::Not => {
                let end = self.rest.find(format.marker).unwrap_or(0) + format.marker.len();
                let text: String = self.rest.drain(..end).collect();
                self.tell(Event::Text(text));
                self.state = self.prose();
            }
        }
        true
    }

    /// Whether a call's beginning is there: how long it is, and which tool's.
    fn header(&self, pattern: &str) -> Found<(usize, usize)> {
        match filled(&self.rest, pattern, &self.tools) {
            Found::Whole((end, _)) if end > MAX_HEADER => Found::Not,
            Found::Part if self.rest.len() > MAX_HEADER => Found::Not,
            found => found,
        }
    }

    fn begin_call(&mut self, end: usize, tool: usize) {
        let header: String = self.rest.drain(..end).collect();
        self.keep(&header);
        let name = self.tools[tool].name.clone();
        self.tell_of_call(Event::CallBegin { index: self.begun, name });
        self.begun += 1;
        self.state = match self.format.map(|format| &format.arguments) {
            Some(Arguments::Tags(tags)) => State::Tags(TagReader::new(tags, tool)),
            _ => State::Json(Scanner::default()),
        };
    }

    fn json(&mut self) -> bool {
        let State::Json(scanner) = &mut self.state else { return false };
        if !scanner.has_begun() {
            let arguments = self.rest.trim_start().len();
            let space: String = self.rest.drain(..self.rest.len() - arguments).collect();
            if !self.held_to_grammar {
                self.raw.push_str(&space);
            }
        }
        let (end, whole) = match scanner.scan(&self.rest) {
            Scan::More => (self.rest.len(), false),
            Scan::Ends(end) => (end, true),
            Scan::Broken(end) => {
                let piece: String = self.rest.drain(..end).collect();
                self.keep(&piece);
                self.tell_of_call(Event::Arguments(piece));
                return self.give_up();
            }
        };
        let piece: String = self.rest.drain(..end).collect();
        self.keep(&piece);
        self.tell_of_call(Event::Arguments(piece));
        if whole && !self.held_to_grammar && !self.is_json() {
            return self.give_up();
        }
        if whole {
            self.state = State::Close;
        }
        whole
    }

    fn tags(&mut self) -> bool {
        let State::Tags(reader) = &mut self.state else { return false };
        let (mut read, mut arguments) = (String::new(), String::new());
        let outcome = reader.read(&mut self.rest, &self.tools, &mut read, &mut arguments);
        self.keep(&read);
        self.tell_of_call(Event::Arguments(arguments));
        match outcome {
            Read::More => return false,
            Read::Ends => self.state = State::Close,
            Read::Broken => return self.give_up(),
        }
        true
    }

    fn close(&mut self) -> bool {
        let Some(format) = self.format else { return false };
        let mut part = false;
        for pattern in format.close {
            match self.header(pattern) {
                Found::Whole((end, _)) => {
                    self.rest.drain(..end);
                    self.raw.clear();
                    self.tell_of_call(Event::CallEnd);
                    let mut told = std::mem::take(&mut self.pending);
                    self.events.append(&mut told);
                    self.whole += 1;
                    self.state = if format.before.is_empty() { State::After } else { State::Between };
                    return true;
                }
                Found::Part => part = true,
                Found::Not => {}
            }
        }
        if part { false } else { self.give_up() }
    }

    fn between(&mut self) -> bool {
        let Some(format) = self.format else { return false };
        let next = self.header(&[format.between, format.open].concat());
        let end = if format.after.is_empty() { Found::Not } else { self.header(format.after) };
        match (next, end) {
            (Found::Whole((end, tool)), _) => self.begin_call(end, tool),
            (_, Found::Whole((end, _))) => {
                self.rest.drain(..end);
                self.state = State::After;
            }
            (Found::Part, _) | (_, Found::Part) => return false,
            _ => self.state = State::After,
        }
        true
    }

    /// What was taken for a call is text.
    fn give_up(&mut self) -> bool {
        if let Some(Event::CallBegin { .. }) = self.pending.first() {
            self.begun -= 1;
        }
        self.pending.clear();
        let text = std::mem::take(&mut self.raw);
        self.tell(Event::Text(text));
        self.state = self.prose();
        true
    }

    /// The state of text that may have a call.
    fn prose(&self) -> State {
        if self.format.is_some_and(|format| !format.marker.is_empty()) { State::Text } else { State::Plain }
    }

    /// Whether the arguments that have come are an object's JSON.
    fn is_json(&self) -> bool {
        let text: String =
            self.pending.iter().filter_map(|event| if let Event::Arguments(piece) = event { Some(piece.as_str()) } else { None }).collect();
        serde_json::from_str::<Map<String, Value>>(&text).is_ok()
    }

    fn keep(&mut self, text: &str) {
        if !self.held_to_grammar {
            self.raw.push_str(text);
        }
    }

    fn trim(&mut self) {
        let kept = self.rest.trim_start().len();
        self.rest.drain(..self.rest.len() - kept);
    }

    fn tell_of_call(&mut self, event: Event) {
        if self.held_to_grammar {
            self.tell(event);
        } else {
            self.pending.push(event);
        }
    }

    fn tell(&mut self, event: Event) {
        let empty = matches!(&event, Event::Text(text) | Event::Reasoning(text) | Event::Arguments(text) if text.is_empty());
        if !empty {
            self.events.push(event);
        }
    }
}
