//! Byte-pair encoding by ranked merges, after a split into words: Hugging Face's model, over bytes spelt as letters (GPT-2) or over plain text with byte tokens.

use tokenizers::{
    Model,
    models::bpe::{BPE, Vocab as Ids},
};

use super::{TokenizerError, pre::PreTokenizer};
use crate::gguf::Gguf;

/// The algorithm and its vocabulary.
#[derive(Debug)]
pub(super) struct Bpe {
    pre: PreTokenizer,
    model: BPE,
}

impl Bpe {
    pub(super) fn new(gguf: &Gguf<'_>, pre: PreTokenizer, ids: Ids) -> Result<Self, TokenizerError> {
        // A merge is two tokens with a space between; the left one may begin with a space itself.
        let mut whole = String::new();
        let pair = |merge: &&str| {
            let space = merge.char_indices().skip(1).find(|(_, char)| *char == ' ')?.0;
            let (left, right) = (&merge[..space], &merge[space + 1..]);
            // The model refuses merges of or into tokens that do not exist; they could not be output anyway.
            whole.clear();
            whole.extend([left, right]);
            let known = ids.contains_key(left) && ids.contains_key(right) && ids.contains_key(&whole);
            known.then(|| (left.to_owned(), right.to_owned()))
        };
        let merges = gguf.get_array_str("tokenizer.ggml.merges")?.iter().filter_map(pair).collect();
        let model = BPE::builder()
            .vocab_and_merges(ids, merges)
            .ignore_merges(pre.whole_words)
            .byte_fallback(!pre.byte_level)
            .build()
            .map_err(|error| TokenizerError::metadata("tokenizer.ggml.merges", error.to_string()))?;
        Ok(Self { pre, model })
    }

    /// Appends the tokens of `text`.
    pub(super) fn encode(&self, text: &str, output: &mut Vec<u32>) -> Result<(), TokenizerError> {
        let mut spelt = String::new();
        for word in self.pre.split(text)? {
            let word = if self.pre.byte_level {
                spelt.clear();
                spelt.extend(word.bytes().map(letter_of_byte));
                &spelt
            } else {
                word
            };
            if self.pre.whole_newlines
                && word.bytes().all(|byte| byte == b'\n')
                && let Some(id) = self.model.token_to_id(word)
            {
                output.push(id);
                continue;
            }
            output.extend(self.model.tokenize(word).map_err(TokenizerError::encode)?.iter().map(|token| token.id));
        }
        Ok(())
    }
}

/// Whether GPT-2's alphabet spells `byte` as the character of the same number.
fn is_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// Number of bytes below `byte` that have no character of their own.
const fn rank_of_other(byte: u8) -> u32 {
    match byte {
        0..=0x20 => byte as u32,
        0x7F..=0xA0 => byte as u32 - 0x7F + 0x21,
        _ => 0x43,
    }
}

/// The letter that spells `byte` in GPT-2's alphabet: printable characters of Latin-1 spell themselves, the others are numbered on from U+0100.
pub(super) fn letter_of_byte(byte: u8) -> char {
    if is_itself(byte) { char::from(byte) } else { char::from_u32(0x100 + rank_of_other(byte)).unwrap_or_default() }
}

/// The byte that `letter` spells, if it is of GPT-2's alphabet.
pub(super) fn byte_of_letter(letter: char) -> Option<u8> {
    match u32::from(letter) {
        number @ 0..=0xFF => u8::try_from(number).ok().filter(|byte| is_itself(*byte)),
        number @ 0x100..=0x120 => Some((number - 0x100) as u8),
        number @ 0x121..=0x142 => Some((number - 0x121 + 0x7F) as u8),
        0x143 => Some(0xAD),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_letter() {
        let letters: String = (0..=u8::MAX).map(letter_of_byte).collect();
        assert!((0..=u8::MAX).zip(letters.chars()).all(|(byte, letter)| byte_of_letter(letter) == Some(byte)));
        assert_eq!((letter_of_byte(b' '), letter_of_byte(b'\n'), letter_of_byte(0xAD)), ('Ġ', 'Ċ', 'Ń'));
        assert_eq!(byte_of_letter('€'), None);
    }
}
