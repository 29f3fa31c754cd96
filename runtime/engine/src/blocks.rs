//! The pool of KV-cache blocks: how many sequences refer to each, and what is in those that were kept.

use std::collections::{BTreeMap, HashMap};

use crate::content::BlockHash;

/// The blocks of one model's KV cache, by number. Each is in one of three states:
/// - used: a sequence refers to it, or several that begin alike;
/// - cached: nobody refers to it, but what is in it is known, and who wants the same takes it as it is;
/// - free: nobody refers to it, and nothing is known of what is in it.
///
/// Who asks for an empty block gets a free one, and when there is none the cached one that was given back first.
#[derive(Debug)]
pub(crate) struct BlockPool {
    /// Numbers of free blocks; the last one is handed out next.
    free: Vec<u32>,
    /// Cached blocks in the order in which they were given back.
    cached: BTreeMap<u64, u32>,
    /// The block with this content, used or cached. At most one: of two sequences that compute the same at the same time, the first to finish is known.
    known: HashMap<BlockHash, u32>,
    blocks: Vec<Block>,
    /// How often a block was given back so far.
    returns: u64,
}

#[derive(Debug, Clone, Default)]
struct Block {
    /// Sequences whose table has it.
    references: u32,
    /// Its content, if `known` leads to it.
    hash: Option<BlockHash>,
    /// The number of its last return: its key in `cached`.
    returned: u64,
}

impl BlockPool {
    pub(crate) fn new(blocks: usize) -> Self {
        let numbers = u32::try_from(blocks).expect("block numbers are 32 bits wide");
        Self {
            free: (0..numbers).rev().collect(),
            cached: BTreeMap::new(),
            known: HashMap::new(),
            blocks: vec![Block::default(); blocks],
            returns: 0,
        }
    }

    pub(crate) fn total(&self) -> usize {
        self.blocks.len()
    }

    /// Blocks that nobody refers to.
    pub(crate) fn available(&self) -> usize {
        self.free.len() + self.cached.len()
    }

    /// Of those, the ones whose content is known.
    pub(crate) fn cached(&self) -> usize {
        self.cached.len()
    }

    pub(crate) fn used(&self) -> usize {
        self.total() - self.available()
    }

    /// References to a block.
    pub(crate) fn references(&self, block: u32) -> u32 {
        self.blocks[block as usize].references
    }

    /// The block with this content.
    pub(crate) fn find(&self, hash: &BlockHash) -> Option<u32> {
        self.known.get(hash).copied()
    }

    /// An empty block with one reference, or `None` when all are used. A cached one is forgotten by that.
    pub(crate) fn allocate(&mut self) -> Option<u32> {
        let number = match self.free.pop() {
            Some(number) => number,
            None => self.cached.pop_first()?.1,
        };
        let block = &mut self.blocks[number as usize];
        block.references = 1;
        if let Some(hash) = block.hash.take() {
            self.known.remove(&hash);
        }
        Some(number)
    }

    /// One more reference to a block that [`Self::find`] led to.
    pub(crate) fn share(&mut self, number: u32) {
        let block = &mut self.blocks[number as usize];
        if block.references == 0 {
            self.cached.remove(&block.returned);
        }
        block.references += 1;
    }

    /// Says what is in a block that is used, and full. Nothing may be written to it from now on.
    pub(crate) fn enter(&mut self, number: u32, hash: BlockHash) {
        let block = &mut self.blocks[number as usize];
        debug_assert!(block.references > 0 && block.hash.is_none_or(|known| known == hash));
        // A block with the same content that is known already stays the one that is found.
        self.known.entry(hash).or_insert_with(|| {
            block.hash = Some(hash);
            number
        });
    }

    /// Gives one reference back; with the last one the block is cached, or free if its content isn't known.
    ///
    /// # Panics
    /// When nobody refers to the block: a table was released twice.
    pub(crate) fn release(&mut self, number: u32) {
        let block = &mut self.blocks[number as usize];
        block.references = block.references.checked_sub(1).expect("a released block has a reference");
        if block.references == 0 && block.hash.is_some() {
            self.returns += 1;
            block.returned = self.returns;
            self.cached.insert(self.returns, number);
        } else if block.references == 0 {
            self.free.push(number);
        }
    }

    /// Forgets what is in the blocks: their content is lost.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
        for block in &mut self.blocks {
            block.hash = None;
        }
        self.free.extend(std::mem::take(&mut self.cached).into_values());
    }

    /// Whether a block's content is known, so that it must not change.
    #[cfg(test)]
    pub(crate) fn is_known(&self, number: u32) -> bool {
        self.blocks[number as usize].hash.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All blocks that are not used, in the order of handing out.
    fn drain(pool: &mut BlockPool) -> Vec<u32> {
        std::iter::from_fn(|| pool.allocate()).collect()
    }

    #[test]
    fn hands_out_each_block_once_until_released() {
        let mut pool = BlockPool::new(3);
        let mut blocks = drain(&mut pool);
        assert_eq!((pool.used(), pool.available()), (3, 0));
        pool.release(blocks[1]);
        assert_eq!(pool.allocate(), Some(blocks[1]));
        blocks.sort_unstable();
        assert_eq!(blocks, [0, 1, 2]);
    }

    #[test]
    #[should_panic(expected = "has a reference")]
    fn a_block_released_twice_is_a_bug() {
        let mut pool = BlockPool::new(1);
        let block = pool.allocate().unwrap();
        pool.release(block);
        pool.release(block);
    }

    #[test]
    fn a_block_with_known_content_is_kept_until_no_other_is_left_and_the_longest_unused_goes_first() {
        let mut pool = BlockPool::new(4);
        let blocks = drain(&mut pool);
        for (block, hash) in blocks[..3].iter().zip([[1; 32], [2; 32], [3; 32]]) {
            pool.enter(*block, hash);
        }
        for block in [2, 0, 1, 3] {
            pool.release(blocks[block]);
        }
        assert_eq!((pool.used(), pool.cached(), pool.available()), (0, 3, 4));
        // Block 0 is used once more: now block 2 and then block 1 are the longest unused.
        assert_eq!(pool.find(&[1; 32]), Some(blocks[0]));
        pool.share(blocks[0]);
        pool.share(blocks[0]);
        assert_eq!((pool.references(blocks[0]), pool.used()), (2, 1));
        pool.release(blocks[0]);
        pool.release(blocks[0]);
        assert_eq!(drain(&mut pool), [blocks[3], blocks[2], blocks[1], blocks[0]]);
        assert_eq!(pool.find(&[1; 32]), None, "it is another's now");
    }

    #[test]
    fn of_two_blocks_with_the_same_content_the_first_is_known_and_the_other_is_free_when_released() {
        let mut pool = BlockPool::new(2);
        let blocks = drain(&mut pool);
        pool.enter(blocks[1], [7; 32]);
        pool.enter(blocks[0], [7; 32]);
        assert_eq!(pool.find(&[7; 32]), Some(blocks[1]));
        pool.release(blocks[0]);
        assert_eq!((pool.cached(), pool.available()), (0, 1));
        assert_eq!(pool.allocate(), Some(blocks[0]));
        assert_eq!(pool.find(&[7; 32]), Some(blocks[1]), "the known one is still there");
    }

    #[test]
    fn what_is_forgotten_is_not_found_and_not_kept() {
        let mut pool = BlockPool::new(2);
        let blocks = drain(&mut pool);
        pool.enter(blocks[0], [1; 32]);
        pool.enter(blocks[1], [2; 32]);
        pool.release(blocks[0]);
        pool.forget();
        assert_eq!((pool.find(&[1; 32]), pool.find(&[2; 32])), (None, None));
        assert_eq!((pool.used(), pool.cached(), pool.available()), (1, 0, 1));
        pool.release(blocks[1]);
        assert_eq!((pool.cached(), pool.available()), (0, 2));
    }
}
