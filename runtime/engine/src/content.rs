//! What a sequence's tokens are, as far as sharing blocks needs to know: a hash for each full block of them.

use sha2::{Digest, Sha256};

/// What is in a full block and all that precedes it: the SHA-256 of the block's tokens after the hash of the block before it. Two blocks with the same hash hold the same
/// keys and values, as these depend on nothing but the tokens from the sequence's beginning to them. A collision would show one user's text to another, so nothing
/// weaker will do.
pub(crate) type BlockHash = [u8; 32];

/// What the first block comes after.
const BEGINNING: BlockHash = [0; 32];

/// The hashes of a sequence's full blocks. Each is computed once, when its last token is known.
#[derive(Debug, Default)]
pub(crate) struct Content {
    hashes: Vec<BlockHash>,
    /// The tokens after the last full block.
    rest: Vec<u32>,
}

impl Content {
    /// Adds `tokens` to a sequence with blocks of `block_len`.
    pub(crate) fn extend(&mut self, tokens: &[u32], block_len: usize) {
        self.rest.extend_from_slice(tokens);
        if self.rest.len() < block_len {
            return;
        }
        let blocks = self.rest.chunks_exact(block_len);
        let rest = blocks.remainder().to_vec();
        for block in blocks {
            let mut hash = Sha256::new_with_prefix(self.hashes.last().unwrap_or(&BEGINNING));
            for token in block {
                hash.update(token.to_le_bytes());
            }
            self.hashes.push(hash.finalize().into());
        }
        self.rest = rest;
    }

    /// The hashes of its full blocks, in order.
    pub(crate) fn hashes(&self) -> &[BlockHash] {
        &self.hashes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(pieces: &[&[u32]]) -> Vec<BlockHash> {
        let mut content = Content::default();
        for piece in pieces {
            content.extend(piece, 4);
        }
        content.hashes().to_vec()
    }

    #[test]
    fn a_hash_says_all_tokens_up_to_its_blocks_end_however_they_came() {
        let whole = hashes(&[&[1, 2, 3, 4, 5, 6, 7, 8, 9]]);
        assert_eq!(whole.len(), 2, "only full blocks have one");
        assert_eq!(hashes(&[&[1, 2, 3], &[4], &[5, 6, 7, 8, 9]]), whole);
        assert_eq!(hashes(&[&[1, 2, 3, 4, 5, 6, 7, 9]])[0], whole[0]);
        assert_ne!(hashes(&[&[1, 2, 3, 4, 5, 6, 7, 9]])[1], whole[1]);
        let other = hashes(&[&[0, 2, 3, 4, 5, 6, 7, 8]]);
        assert!(other[0] != whole[0] && other[1] != whole[1], "the same block after another beginning is another block");
    }
}
