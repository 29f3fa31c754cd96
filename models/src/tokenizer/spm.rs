//! SentencePiece's byte-pair encoding: neighbours merge by the score of the token that they make, the best first.
//!
//! Written here because Hugging Face's BPE merges by ranked pairs: deriving the pairs of a quarter million tokens would take longer than loading the model, and
//! tokens of equal score, which merge from the left, have no rank among pairs.

use std::collections::BinaryHeap;

use tokenizers::models::bpe::Vocab as Ids;

use super::{TokenizerError, vocab::Vocab};
use crate::gguf::Gguf;

/// The mark that stands for a space.
pub(super) const SPACE: &str = "▁";

/// The algorithm and its vocabulary.
#[derive(Debug)]
pub(super) struct Spm {
    ids: Ids,
    scores: Vec<f32>,
    /// The tokens of single bytes, for characters that are not in the vocabulary.
    bytes: Vec<Option<u32>>,
    unknown: Option<u32>,
    /// Bytes of the longest token: nothing longer needs to be looked up.
    longest: usize,
}

/// A piece of the text; an empty one has been merged into its left neighbour.
struct Piece {
    start: usize,
    end: usize,
    previous: Option<usize>,
    next: Option<usize>,
}

/// Two neighbours that make a token.
struct Merge {
    score: f32,
    left: usize,
    right: usize,
    /// Bytes of both, to see whether one has changed since.
    size: usize,
}

impl Ord for Merge {
    /// The highest score first, then the leftmost.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Merge {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Merge {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Merge {}

impl Spm {
    pub(super) fn new(gguf: &Gguf<'_>, vocab: &Vocab, ids: Ids) -> Result<Self, TokenizerError> {
        let scores = gguf.get_array_f32("tokenizer.ggml.scores")?;
        if scores.len() < vocab.tokens.len() {
            return Err(TokenizerError::metadata(
                "tokenizer.ggml.scores",
                format!("{} scores for {} tokens", scores.len(), vocab.tokens.len()),
            ));
        }
        let byte = |byte: u8| ids.get(&format!("<0x{byte:02X}>")).or_else(|| ids.get(std::str::from_utf8(&[byte]).ok()?)).copied();
        let bytes = (0..=u8::MAX).map(byte).collect();
        let longest = ids.keys().map(String::len).max().unwrap_or(0);
        Ok(Self { bytes, scores, unknown: vocab.unknown, longest, ids })
    }

    /// Appends the tokens of `text`, whose spaces are [`SPACE`]s.
    pub(super) fn encode(&self, text: &str, output: &mut Vec<u32>) {
        let mut pieces: Vec<Piece> = Vec::with_capacity(text.len());
        for (start, char) in text.char_indices() {
            let index = pieces.len();
            pieces.push(Piece { start, end: start + char.len_utf8(), previous: index.checked_sub(1), next: Some(index + 1) });
        }
        let Some(last) = pieces.last_mut() else { return };
        last.next = None;

        let mut merges = BinaryHeap::new();
        let consider = |pieces: &[Piece], merges: &mut BinaryHeap<Merge>, left: Option<usize>, right: Option<usize>| {
            let (Some(left), Some(right)) = (left, right) else { return };
            let pair = &text[pieces[left].start..pieces[right].end];
            if pair.len() <= self.longest
                && let Some(&id) = self.ids.get(pair)
            {
                merges.push(Merge { score: self.scores[id as usize], left, right, size: pair.len() });
            }
        };
        for right in 1..pieces.len() {
            consider(&pieces, &mut merges, Some(right - 1), Some(right));
        }
        while let Some(Merge { left, right, size, .. }) = merges.pop() {
            let length = |piece: &Piece| piece.end - piece.start;
            let (a, b) = (length(&pieces[left]), length(&pieces[right]));
            if a == 0 || b == 0 || a + b != size {
                continue;
            }
            pieces[left].end = pieces[right].end;
            pieces[right].start = pieces[right].end;
            let next = pieces[right].next;
            pieces[left].next = next;
            if let Some(next) = next {
                pieces[next].previous = Some(left);
            }
            consider(&pieces, &mut merges, pieces[left].previous, Some(left));
            consider(&pieces, &mut merges, Some(left), next);
        }

        let mut at = Some(0);
        while let Some(index) = at {
            let piece = &text[pieces[index].start..pieces[index].end];
            match self.ids.get(piece) {
                Some(&id) => output.push(id),
                // A character of its own: anything longer was merged into a token.
                None => output.extend(piece.bytes().filter_map(|byte| self.bytes[byte as usize].or(self.unknown))),
            }
            at = pieces[index].next;
        }
    }
}
