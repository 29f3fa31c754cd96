//! From tokens to text in chunks: whole characters, and nothing of a stop string, however tokens cut either.

use hearth_kernels::Odds;
use hearth_models::{
    dialect::{Event, Parser},
    tokenizer::TextStream,
};
use serde::Serialize;

/// Text and the tokens behind it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Chunk {
    pub(crate) text: String,
    /// Text of the model's thinking.
    pub(crate) reasoning: String,
    pub(crate) tool_calls: Vec<CallPart>,
    pub(crate) tokens: Vec<i32>,
    /// One for each token, where they were asked for.
    pub(crate) logprobs: Option<Vec<Odds>>,
    /// Those of the prompt, where they were asked for, in the first chunk: its first token, and one for each of the others.
    pub(crate) prompt_logprobs: Option<(u32, Vec<Odds>)>,
}

/// A part of a tool call.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum CallPart {
    /// The call begins.
    Name { index: usize, name: String },
    /// The next part of its arguments' JSON.
    Arguments { index: usize, arguments: String },
}

/// What of a generation has not been handed out yet.
#[derive(Debug)]
pub(crate) struct Output {
    stops: Vec<String>,
    stream: TextStream,
    /// What tells thinking and calls from text; `None` where all is text.
    parser: Option<Parser>,
    /// Text that is certain.
    text: String,
    /// Whole characters behind it that may be the beginning of a stop string.
    held: String,
    reasoning: String,
    tool_calls: Vec<CallPart>,
    /// The call that has begun last.
    call: usize,
    /// Tokens of the thinking.
    reasoning_tokens: usize,
    /// Tokens whose text is not out.
    tokens: Vec<i32>,
    /// Which of the stop strings was found.
    stopped_by: Option<usize>,
}

impl Output {
    pub(crate) fn new(stops: Vec<String>, parser: Option<Parser>) -> Self {
        Self {
            stops,
            stream: TextStream::default(),
            parser,
            text: String::new(),
            held: String::new(),
            reasoning: String::new(),
            tool_calls: Vec::new(),
            call: 0,
            reasoning_tokens: 0,
            tokens: Vec::new(),
            stopped_by: None,
        }
    }

    /// Takes a token and its bytes. True when its text completes a stop string: then the generation is over.
    pub(crate) fn push(&mut self, token: u32, bytes: &[u8]) -> bool {
        self.tokens.push(token.cast_signed());
        let thought = self.is_thinking();
        let text = self.stream.push(bytes);
        let stopped = self.read(&text);
        // The marks about the thinking are counted with it.
        self.reasoning_tokens += usize::from(thought || self.is_thinking());
        stopped
    }

    /// What is certain by now, if there is anything; tokens without text wait for the next that has some.
    pub(crate) fn take(&mut self) -> Option<Chunk> {
        let certain = self.held.len() - self.undecided();
        self.text.extend(self.held.drain(..certain));
        let something = !self.text.is_empty() || !self.reasoning.is_empty() || !self.tool_calls.is_empty();
        something.then(|| self.chunk())
    }

    /// All the rest at the end of the generation.
    pub(crate) fn finish(&mut self) -> Chunk {
        let rest = std::mem::take(&mut self.stream).finish();
        self.read(&rest);
        let events = self.parser.as_mut().map_or_else(Vec::new, Parser::finish);
        self.tell(events);
        self.text.push_str(&std::mem::take(&mut self.held));
        self.chunk()
    }

    /// How many tokens were the model's thinking.
    pub(crate) fn reasoning_tokens(&self) -> usize {
        self.reasoning_tokens
    }

    /// Whether there was a whole call.
    pub(crate) fn has_calls(&self) -> bool {
        self.parser.as_ref().is_some_and(|parser| parser.calls() > 0)
    }

    fn chunk(&mut self) -> Chunk {
        Chunk {
            text: std::mem::take(&mut self.text),
            reasoning: std::mem::take(&mut self.reasoning),
            tool_calls: std::mem::take(&mut self.tool_calls),
            tokens: std::mem::take(&mut self.tokens),
            ..Chunk::default()
        }
    }

    fn is_thinking(&self) -> bool {
        self.parser.as_ref().is_some_and(Parser::is_thinking)
    }

    /// Takes what the model has written. True when a stop string is found in its text: what follows is left.
    fn read(&mut self, text: &str) -> bool {
        match &mut self.parser {
            _ if self.stopped_by.is_some() => false,
            None => self.extend(text),
            Some(parser) => {
                let events = parser.push(text);
                self.tell(events)
            }
        }
    }

    fn tell(&mut self, events: Vec<Event>) -> bool {
        for event in events {
            match event {
                Event::Text(text) => {
                    if self.stopped_by.is_none() && self.extend(&text) {
                        return true;
                    }
                }
                Event::Reasoning(text) => self.reasoning.push_str(&text),
                Event::CallBegin { index, name } => {
                    // No stop string goes on behind a call.
                    self.text.push_str(&std::mem::take(&mut self.held));
                    self.call = index;
                    self.tool_calls.push(CallPart::Name { index, name });
                }
                Event::Arguments(arguments) => self.tool_calls.push(CallPart::Arguments { index: self.call, arguments }),
                Event::CallEnd => {}
            }
        }
        false
    }

    /// The stop string that was found.
    pub(crate) fn stopped_by(&self) -> Option<&str> {
        self.stopped_by.map(|stop| self.stops[stop].as_str())
    }

    /// Adds `text`; at the first stop string cuts it and what follows, and says so.
    fn extend(&mut self, text: &str) -> bool {
        self.held.push_str(text);
        let found = self.stops.iter().enumerate().filter_map(|(stop, text)| Some((self.held.find(text.as_str())?, stop))).min();
        if let Some((at, stop)) = found {
            self.held.truncate(at);
            self.stopped_by = Some(stop);
            // What was cut off inside a character belongs to the stop string's tail.
            self.stream = TextStream::default();
        }
        found.is_some()
    }

    /// Bytes at the end of the held text that are the beginning of a stop string.
    fn undecided(&self) -> usize {
        let overlap = |stop: &String| {
            let longest = stop.len().saturating_sub(1).min(self.held.len());
            (1..=longest).rev().find(|length| self.held.as_bytes().ends_with(&stop.as_bytes()[..*length])).unwrap_or(0)
        };
        self.stops.iter().map(overlap).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use hearth_models::{
        dialect::{Dialect, Tool},
        template::ChatTemplate,
    };

    use super::*;

    /// The chunks of `pieces`, one token each, until a stop string or the end; and whether one stopped it.
    fn chunks(stops: &[&str], pieces: &[&[u8]]) -> (Vec<String>, bool) {
        let mut output = Output::new(stops.iter().map(ToString::to_string).collect(), None);
        let mut texts = Vec::new();
        let mut tokens = Vec::new();
        let mut stopped = false;
        let mut taken = 0;
        for (token, piece) in pieces.iter().enumerate() {
            taken += 1;
            stopped = output.push(token as u32, piece);
            if stopped {
                break;
            }
            if let Some(chunk) = output.take() {
                texts.push(chunk.text);
                tokens.extend(chunk.tokens);
            }
        }
        let last = output.finish();
        texts.push(last.text);
        tokens.extend(last.tokens);
        assert_eq!(tokens, (0..taken).collect::<Vec<i32>>(), "every token is handed out once, in order");
        (texts, stopped)
    }

    #[test]
    fn text_leaves_with_its_token_and_characters_stay_whole() {
        assert_eq!(chunks(&[], &[b"a", b"\xC3", b"\xA4b"]), (vec!["a".into(), "äb".into(), String::new()], false));
        assert_eq!(chunks(&[], &[b"a", b"\xC3"]), (vec!["a".into(), "\u{FFFD}".into()], false));
    }

    #[test]
    fn a_stop_string_is_found_across_tokens_and_no_part_of_it_leaves() {
        assert_eq!(chunks(&["END"], &[b"one E", b"N", b"D two"]), (vec!["one ".into(), String::new()], true));
        assert_eq!(chunks(&["END"], &[b"one E", b"N", b"ergy"]), (vec!["one ".into(), "ENergy".into(), String::new()], false));
        assert_eq!(chunks(&["aab"], &[b"a", b"a", b"a", b"b"]), (vec!["a".into(), String::new()], true));
        assert_eq!(chunks(&["\n\n"], &[b"x\n", b"\ny"]), (vec!["x".into(), String::new()], true));
        // An unfinished beginning is text after all when the generation ends.
        assert_eq!(chunks(&["END"], &[b"one EN"]), (vec!["one ".into(), "EN".into()], false));
    }

    /// A template after which there is thinking and calls.
    fn parser() -> Parser {
        let template = ChatTemplate::new("{{ messages[0].content }}{# <think></think> #}", "", "").unwrap();
        Dialect::of(&template).parser([Tool { name: "look".into(), ..Tool::default() }].into(), false, true)
    }

    #[test]
    fn stop_strings_count_in_text_and_thinking_and_calls_are_apart() {
        let mut output = Output::new(vec!["stop".into()], Some(parser()));
        let pieces = [
            "<think>",
            "stop?",
            " no",
            "</think>",
            "Yes, sto",
            "<tool_call>{\"name\": \"look\", \"arguments\": {\"at\": \"st",
            "op\"}}</tool_call>",
        ];
        let mut chunks: Vec<Chunk> = Vec::new();
        for (token, piece) in (0..).zip(pieces) {
            assert!(!output.push(token, piece.as_bytes()), "{piece}");
            chunks.extend(output.take());
        }
        assert!(output.has_calls() && output.reasoning_tokens() == 4);
        let last = output.finish();
        assert_eq!(chunks.iter().map(|chunk| chunk.reasoning.as_str()).collect::<String>(), "stop? no");
        assert_eq!(chunks.iter().map(|chunk| chunk.text.as_str()).collect::<String>() + &last.text, "Yes, sto");
        let parts: Vec<CallPart> = chunks.into_iter().chain([last]).flat_map(|chunk| chunk.tool_calls).collect();
        assert_eq!(parts.len(), 3);
        let written = serde_json::to_string(&parts).unwrap();
        assert_eq!(written, r#"[{"index":0,"name":"look"},{"index":0,"arguments":"{\"at\": \"st"},{"index":0,"arguments":"op\"}"}]"#);

        let mut output = Output::new(vec!["stop".into()], Some(parser()));
        assert!(output.push(0, b"One stop <tool_call>"));
        assert_eq!((output.finish().text.as_str(), output.stopped_by()), ("One ", Some("stop")));
    }

    #[test]
    fn of_several_the_earliest_counts_and_a_character_is_never_cut() {
        assert_eq!(chunks(&["cd", "b"], &[b"abcd"]), (vec!["a".into()], true));
        assert_eq!(chunks(&["é!"], &["né".as_bytes(), b"e"]), (vec!["n".into(), "ée".into(), String::new()], false));
        assert_eq!(chunks(&["x"], &[b"ax\xC3", b"\xA4"]), (vec!["a".into()], true));
    }
}
