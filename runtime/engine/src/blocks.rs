//! The pool of KV-cache blocks: which are free, and how many sequences refer to each that is not.

/// The blocks of one model's KV cache, by number. Knows nothing of what is in them.
#[derive(Debug)]
pub(crate) struct BlockPool {
    /// Numbers of free blocks; the last one is handed out next.
    free: Vec<u32>,
    /// References to each block; 0 is free. A block that several sequences share (a common prefix) would have more than one.
    references: Vec<u32>,
}

impl BlockPool {
    pub(crate) fn new(blocks: usize) -> Self {
        let blocks = u32::try_from(blocks).expect("block numbers are 32 bits wide");
        Self { free: (0..blocks).rev().collect(), references: vec![0; blocks as usize] }
    }

    pub(crate) fn total(&self) -> usize {
        self.references.len()
    }

    pub(crate) fn free(&self) -> usize {
        self.free.len()
    }

    pub(crate) fn used(&self) -> usize {
        self.total() - self.free()
    }

    /// A block with one reference, or `None` when all are in use.
    pub(crate) fn allocate(&mut self) -> Option<u32> {
        let block = self.free.pop()?;
        self.references[block as usize] = 1;
        Some(block)
    }

    /// Gives one reference back; with the last one the block is free.
    ///
    /// # Panics
    /// When the block is free already: a table was released twice.
    pub(crate) fn release(&mut self, block: u32) {
        let references = &mut self.references[block as usize];
        *references = references.checked_sub(1).expect("a released block has a reference");
        if *references == 0 {
            self.free.push(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_out_each_block_once_until_released() {
        let mut pool = BlockPool::new(3);
        let mut blocks: Vec<u32> = std::iter::from_fn(|| pool.allocate()).collect();
        assert_eq!((pool.used(), pool.free()), (3, 0));
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
}
