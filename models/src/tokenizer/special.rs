//! Special tokens written out in a text: found before anything else looks at it.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, MatchKind};

use super::{
    TokenizerError,
    vocab::{Attributes, Token},
};

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fragment<'t> {
    /// Text for the algorithm.
    Text(&'t str),
    /// A special token.
    Token(u32),
}

/// Finds special tokens.
///
/// Longer tokens are served first, each from left to right, and what one has taken is closed to the next. That differs from a leftmost-longest search where tokens
/// overlap, and so Hugging Face's `AddedVocabulary` cannot serve: llama.cpp does it this way.
#[derive(Debug)]
pub(super) struct Specials {
    automaton: AhoCorasick,
    /// By the automaton's pattern number.
    tokens: Vec<(u32, Attributes)>,
}

impl Specials {
    pub(super) fn new(tokens: &[Token]) -> Result<Self, TokenizerError> {
        let mut specials: Vec<(u32, &Token)> = (0..).zip(tokens).filter(|(_, token)| token.attributes.any(Attributes::SPECIAL)).collect();
        specials.sort_by_key(|(_, token)| std::cmp::Reverse(token.text.len()));
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .build(specials.iter().map(|(_, token)| &token.text))
            .map_err(|error| TokenizerError::metadata("tokenizer.ggml.tokens", format!("too many special tokens: {error}")))?;
        Ok(Self { automaton, tokens: specials.iter().map(|(id, token)| (*id, token.attributes)).collect() })
    }

    /// Splits `text`; control tokens count only with `parse_special`.
    pub(super) fn split<'t>(&self, text: &'t str, parse_special: bool) -> Vec<Fragment<'t>> {
        let mut found: Vec<(usize, usize, usize)> = self
            .automaton
            .find_overlapping_iter(text)
            .map(|found| (found.pattern().as_usize(), found.start(), found.end()))
            .filter(|(pattern, ..)| parse_special || !self.tokens[*pattern].1.any(Attributes::HIDDEN))
            .collect();
        // Patterns are numbered from the longest.
        found.sort_unstable();

        // What is taken: start to end, and the token unless it is whitespace that one swallowed.
        let mut taken: BTreeMap<usize, (usize, Option<u32>)> = BTreeMap::new();
        for (pattern, start, end) in found {
            let before = taken.range(..end).next_back().map_or(0, |(_, (end, _))| *end);
            if before > start {
                continue;
            }
            let (id, attributes) = self.tokens[pattern];
            taken.insert(start, (end, Some(id)));
            if attributes.any(Attributes::LSTRIP) {
                let kept = before + end_of_text(&text.as_bytes()[before..start]);
                if kept < start {
                    taken.insert(kept, (start, None));
                }
            }
            if attributes.any(Attributes::RSTRIP) {
                let after = taken.range(end..).next().map_or(text.len(), |(start, _)| *start);
                let dropped = text.as_bytes()[end..after].iter().take_while(|byte| is_space(**byte)).count();
                if dropped > 0 {
                    taken.insert(end, (end + dropped, None));
                }
            }
        }

        let mut fragments = Vec::with_capacity(2 * taken.len() + 1);
        let mut at = 0;
        for (start, (end, token)) in taken {
            if at < start {
                fragments.push(Fragment::Text(&text[at..start]));
            }
            fragments.extend(token.map(Fragment::Token));
            at = end;
        }
        if at < text.len() {
            fragments.push(Fragment::Text(&text[at..]));
        }
        fragments
    }
}

/// C's `isspace`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Length without the whitespace at the end.
fn end_of_text(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| !is_space(*byte)).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serves_the_longest_first() {
        let token = |text: &str, attributes| Token { text: text.into(), attributes };
        let tokens = [
            token("ab", Attributes::USER_DEFINED),
            token("bcd", Attributes::USER_DEFINED),
            token("<s>", Attributes::CONTROL),
            token("x", Attributes::NORMAL),
        ];
        let specials = Specials::new(&tokens).unwrap();
        assert_eq!(
            specials.split("abcd ab<s>x", false),
            [Fragment::Text("a"), Fragment::Token(1), Fragment::Text(" "), Fragment::Token(0), Fragment::Text("<s>x")]
        );
        assert_eq!(specials.split("<s><s>x", true), [Fragment::Token(2), Fragment::Token(2), Fragment::Text("x")]);
        assert_eq!(specials.split("", true), []);
    }
}
