//! Prompt lookup (Saxena, "Prompt lookup decoding", 2023): what followed the sequence's last few tokens when they occurred before, in its prompt or its output, may
//! follow again.

use crate::speculation::{Drafter, Want};

/// The lengths of what is looked up, in this order.
const LENGTHS: [usize; 2] = [3, 2];

/// Guesses by looking up each sequence's last tokens among its own.
#[derive(Debug)]
pub(crate) struct PromptLookup;

impl Drafter for PromptLookup {
    fn draft(&mut self, wants: &mut [Want<'_>]) -> Result<(), String> {
        for want in wants {
            want.draft = LENGTHS.iter().find_map(|length| follow(want.tokens, *length, want.most)).unwrap_or_default();
        }
        Ok(())
    }
}

/// Up to `most` tokens that followed the latest earlier occurrence of the last `length`. Where those reach the end, what they have guessed follows: a text that has
/// begun to repeat itself is guessed to go on so.
fn follow(tokens: &[u32], length: usize, most: usize) -> Option<Vec<u32>> {
    let begin = tokens.len().checked_sub(length)?;
    let sought = &tokens[begin..];
    let last = *sought.last()?;
    // Most positions are passed by on their one token.
    let found = (length..tokens.len()).rev().find(|end| tokens[end - 1] == last && tokens[end - length..*end] == *sought)?;
    let mut draft = Vec::with_capacity(most);
    for at in found..found + most {
        draft.push(tokens.get(at).copied().unwrap_or_else(|| draft[at - tokens.len()]));
    }
    Some(draft)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(text: &str, most: usize) -> String {
        let tokens: Vec<u32> = text.chars().map(u32::from).collect();
        let mut wants = [Want { id: 0, tokens: &tokens, most, draft: Vec::new() }];
        PromptLookup.draft(&mut wants).unwrap();
        wants[0].draft.iter().filter_map(|token| char::from_u32(*token)).collect()
    }

    #[test]
    fn what_followed_the_same_tokens_last_time_is_guessed() {
        assert_eq!(guess("the cat sat. the ca", 5), "t sat");
        assert_eq!(guess("abcX abcY abc", 3), "Y a", "the latest occurrence counts");
        assert_eq!(guess("abcX bcY abc", 2), "X ", "but a longer one before a shorter");
        assert_eq!(guess("bcY abc", 3), "Y a");
    }

    #[test]
    fn a_repetition_is_guessed_to_go_on_beyond_what_is_there() {
        assert_eq!(guess("aaaa", 4), "aaaa");
        assert_eq!(guess("abcabc", 7), "abcabca");
    }

    #[test]
    fn nothing_is_guessed_without_an_occurrence() {
        assert_eq!(guess("abcdef", 4), "");
        assert_eq!(guess("a", 4), "");
        assert_eq!(guess("aa", 4), "");
        assert_eq!(guess("aaa", 2), "aa");
    }
}
