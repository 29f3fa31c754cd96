//! Special tokens written out in a text: found before anything else looks at it.

use std::{collections::BTreeMap, ops::Range};

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
    /// By the automaton's pattern number: the longest first.
    tokens: Vec<Special>,
    /// Whether one of them swallows whitespace beside it.
    any_strips: bool,
}

#[derive(Debug)]
struct Special {
    id: u32,
    text: String,
    attributes: Attributes,
}

/// What is taken of a text: by its start, its end and the token, or none where a token swallowed whitespace.
type Taken = BTreeMap<usize, (usize, Option<u32>)>;

impl Specials {
    pub(super) fn new(tokens: &[Token]) -> Result<Self, TokenizerError> {
        let mut tokens: Vec<Special> = (0..)
            .zip(tokens)
            .filter(|(_, token)| token.attributes.any(Attributes::SPECIAL))
            .map(|(id, token)| Special { id, text: token.text.clone(), attributes: token.attributes })
            .collect();
        tokens.sort_by_key(|token| std::cmp::Reverse(token.text.len()));
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .build(tokens.iter().map(|token| &token.text))
            .map_err(|error| TokenizerError::metadata("tokenizer.ggml.tokens", format!("too many special tokens: {error}")))?;
        let any_strips = tokens.iter().any(|token| token.attributes.any(Attributes::LSTRIP) || token.attributes.any(Attributes::RSTRIP));
        Ok(Self { automaton, tokens, any_strips })
    }

    /// Splits `text`; control tokens count only with `parse_special`.
    pub(super) fn split<'t>(&self, text: &'t str, parse_special: bool) -> Vec<Fragment<'t>> {
        let mut taken = Taken::new();
        let mut occurs = vec![false; self.tokens.len()];
        for (region, only) in self.regions(text, parse_special) {
            match only {
                Some(token) if !self.any_strips => drop(taken.insert(region.start, (region.end, Some(self.tokens[token].id)))),
                _ => self.serve(text, region, parse_special, &mut occurs, &mut taken),
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

    /// Where a mark must stand in `text` for none of its control tokens to be one any more: behind the first letter of each. Ascending. One of a single letter has no such
    /// place.
    pub(super) fn inside_control(&self, text: &str) -> Vec<usize> {
        let hidden = |(token, start, end): (usize, usize, usize)| {
            let inside = start + text[start..end].chars().next().map_or(0, char::len_utf8);
            (self.tokens[token].attributes.any(Attributes::HIDDEN) && inside < end).then_some(inside)
        };
        let mut places: Vec<usize> = self.occurrences(text, true).filter_map(hidden).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// The control tokens that are written out in `text`, in their order, each where it begins and ends. Of overlapping ones the first, and the longest of those.
    pub(super) fn control(&self, text: &str) -> Vec<(Range<usize>, u32)> {
        let hidden = |(token, start, end): (usize, usize, usize)| {
            let Special { id, attributes, .. } = &self.tokens[token];
            attributes.any(Attributes::HIDDEN).then_some((start..end, *id))
        };
        let mut found: Vec<(Range<usize>, u32)> = self.occurrences(text, true).filter_map(hidden).collect();
        found.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let mut end = 0;
        found.retain(|(range, _)| {
            let free = range.start >= end;
            end = if free { range.end } else { end };
            free
        });
        found
    }

    /// All occurrences, overlapping ones too: the token's place in the list, start and end, in order of their ends.
    fn occurrences(&self, text: &str, parse_special: bool) -> impl Iterator<Item = (usize, usize, usize)> {
        self.automaton
            .find_overlapping_iter(text)
            .map(|found| (found.pattern().as_usize(), found.start(), found.end()))
            .filter(move |(token, ..)| parse_special || !self.tokens[*token].attributes.any(Attributes::HIDDEN))
    }

    /// The parts of `text` whose occurrences overlap only each other, and the token of those that are one occurrence. A run of a million spaces, with tokens for
    /// runs of 2 to 31, has thirty million occurrences in one region: they are counted, never kept.
    fn regions(&self, text: &str, parse_special: bool) -> Vec<(Range<usize>, Option<usize>)> {
        let mut regions: Vec<(Range<usize>, Option<usize>)> = Vec::new();
        for (token, mut start, end) in self.occurrences(text, parse_special) {
            let mut only = Some(token);
            while let Some((last, _)) = regions.pop_if(|(last, _)| last.end > start) {
                start = start.min(last.start);
                only = None;
            }
            regions.push((start..end, only));
        }
        if self.any_strips && !regions.is_empty() {
            // What a token swallows may be another's.
            return vec![(0..text.len(), None)];
        }
        regions
    }

    /// Serves the tokens that occur in `region`, the longest first. `occurs` is false for every token before and after.
    fn serve(&self, text: &str, region: Range<usize>, parse_special: bool, occurs: &mut [bool], taken: &mut Taken) {
        let mut present = Vec::new();
        for (token, ..) in self.occurrences(&text[region.clone()], parse_special) {
            if !std::mem::replace(&mut occurs[token], true) {
                present.push(token);
            }
        }
        present.sort_unstable();
        let mut free = vec![region];
        for token in present {
            occurs[token] = false;
            let Special { id, text: special, attributes } = &self.tokens[token];
            let mut left = Vec::with_capacity(free.len());
            for Range { mut start, end } in free {
                while let Some(at) = text[start..end].find(special.as_str()) {
                    let (found, after) = (start + at, start + at + special.len());
                    taken.insert(found, (after, Some(*id)));
                    let kept = if attributes.any(Attributes::LSTRIP) { start + end_of_text(&text.as_bytes()[start..found]) } else { found };
                    if kept < found {
                        taken.insert(kept, (found, None));
                    }
                    if start < kept {
                        left.push(start..kept);
                    }
                    start = after;
                    if attributes.any(Attributes::RSTRIP) {
                        start += text.as_bytes()[after..end].iter().take_while(|byte| is_space(**byte)).count();
                    }
                    if after < start {
                        taken.insert(after, (start, None));
                    }
                }
                if start < end {
                    left.push(start..end);
                }
            }
            free = left;
        }
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

    #[test]
    fn serves_runs_and_swallows_whitespace() {
        let token = |text: &str, attributes| Token { text: text.into(), attributes };
        let mut tokens: Vec<Token> = (2..=8).map(|length| token(&" ".repeat(length), Attributes::USER_DEFINED)).collect();
        let specials = Specials::new(&tokens).unwrap();
        let run = " ".repeat((1 << 20) + 3);
        assert_eq!(specials.split(&run, false).len(), (1 << 17) + 1);
        assert_eq!(specials.split("a   b c", false), [Fragment::Text("a"), Fragment::Token(1), Fragment::Text("b c")]);

        tokens.push(token("<right>", Attributes::SWALLOWS_RIGHT));
        tokens.push(token("<left>", Attributes::SWALLOWS_LEFT));
        let specials = Specials::new(&tokens).unwrap();
        assert_eq!(
            specials.split(" <right>   x   <left>  y", true),
            [Fragment::Text(" "), Fragment::Token(7), Fragment::Text("x"), Fragment::Token(8), Fragment::Token(0), Fragment::Text("y")]
        );
    }
}
