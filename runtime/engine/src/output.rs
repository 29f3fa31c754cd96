//! From tokens to text in chunks: whole characters, and nothing of a stop string, however tokens cut either.

use hearth_kernels::Odds;
use hearth_models::tokenizer::TextStream;

/// Text and the tokens behind it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Chunk {
    pub(crate) text: String,
    pub(crate) tokens: Vec<i32>,
    /// One for each token, where they were asked for.
    pub(crate) logprobs: Option<Vec<Odds>>,
    /// Those of the prompt, where they were asked for, in the first chunk: its first token, and one for each of the others.
    pub(crate) prompt_logprobs: Option<(u32, Vec<Odds>)>,
}

/// The text of a generation that has not been handed out yet.
#[derive(Debug)]
pub(crate) struct Output {
    stops: Vec<String>,
    stream: TextStream,
    /// Whole characters that may be the beginning of a stop string.
    held: String,
    /// Tokens whose text is not out.
    tokens: Vec<i32>,
    /// Which of the stop strings was found.
    stopped_by: Option<usize>,
}

impl Output {
    pub(crate) fn new(stops: Vec<String>) -> Self {
        Self { stops, stream: TextStream::default(), held: String::new(), tokens: Vec::new(), stopped_by: None }
    }

    /// Takes a token and its bytes. True when its text completes a stop string: then the generation is over.
    pub(crate) fn push(&mut self, token: u32, bytes: &[u8]) -> bool {
        self.tokens.push(token.cast_signed());
        let text = self.stream.push(bytes);
        self.extend(&text)
    }

    /// The text that is certain by now, if there is any; tokens without text wait for the next that has some.
    pub(crate) fn take(&mut self) -> Option<Chunk> {
        let certain = self.held.len() - self.undecided();
        (certain > 0).then(|| Chunk {
            text: self.held.drain(..certain).collect(),
            tokens: std::mem::take(&mut self.tokens),
            ..Chunk::default()
        })
    }

    /// All the rest at the end of the generation.
    pub(crate) fn finish(&mut self) -> Chunk {
        let rest = std::mem::take(&mut self.stream).finish();
        self.extend(&rest);
        Chunk { text: std::mem::take(&mut self.held), tokens: std::mem::take(&mut self.tokens), ..Chunk::default() }
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
    use super::*;

    /// The chunks of `pieces`, one token each, until a stop string or the end; and whether one stopped it.
    fn chunks(stops: &[&str], pieces: &[&[u8]]) -> (Vec<String>, bool) {
        let mut output = Output::new(stops.iter().map(ToString::to_string).collect());
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

    #[test]
    fn of_several_the_earliest_counts_and_a_character_is_never_cut() {
        assert_eq!(chunks(&["cd", "b"], &[b"abcd"]), (vec!["a".into()], true));
        assert_eq!(chunks(&["é!"], &["né".as_bytes(), b"e"]), (vec!["n".into(), "ée".into(), String::new()], false));
        assert_eq!(chunks(&["x"], &[b"ax\xC3", b"\xA4"]), (vec!["a".into()], true));
    }
}
