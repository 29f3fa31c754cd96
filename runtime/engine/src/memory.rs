//! What memory there is, and how long a context and how many blocks of KV cache fit it.

use hearth_kernels::KvCache;

/// Sequences rarely fill a long context: without an explicit size the cache has room for each to be this long, and for one to fill the context.
const USUAL_LENGTH: usize = 1024;
/// The shortest context that is worth serving when the engine chooses it.
const SHORTEST: usize = 512;
/// The size of the cache that the engine chooses where the device does not tell its free memory.
const UNKNOWN_FREE: u64 = 4 << 30;

/// What a KV cache is planned from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    /// Bytes of a position over all layers.
    pub(crate) position_bytes: usize,
    /// The context that the model was trained for.
    pub(crate) model_context: usize,
    /// The context that was asked for; 0 takes the model's, or what fits.
    pub(crate) context: usize,
    /// Sequences computed together.
    pub(crate) sequences: usize,
    /// Bytes that were asked for; 0 lets this choose.
    pub(crate) kv_bytes: u64,
    /// Free memory, if known.
    pub(crate) free: Option<u64>,
    /// Blocks that one tensor of the cache can hold, if that is limited.
    pub(crate) most_blocks: Option<u64>,
}

/// The sizes of a model's KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The longest context, in tokens.
    pub(crate) context: usize,
    /// Blocks of [`KvCache::BLOCK_LEN`] positions.
    pub(crate) blocks: usize,
}

impl Demand {
    /// Chooses a context and a cache that holds at least one sequence as long as it.
    ///
    /// # Errors
    /// When it does not fit: the need, what there is, and what smaller choice would fit.
    pub(crate) fn plan(self) -> Result<Plan, String> {
        let Self { position_bytes, model_context, context, sequences, kv_bytes, free, most_blocks } = self;
        let block_bytes = (position_bytes * KvCache::BLOCK_LEN) as u64;
        let blocks_for = |tokens: usize| tokens.div_ceil(KvCache::BLOCK_LEN);
        let limit = if context == 0 { model_context } else { context.min(model_context) };
        let available = free.unwrap_or(UNKNOWN_FREE);
        let bytes = if kv_bytes > 0 {
            kv_bytes
        } else {
            let wanted = (blocks_for(limit.min(USUAL_LENGTH)) * sequences).max(blocks_for(limit)) as u64 * block_bytes;
            // A context that was asked for may take most of the memory, one that was not a quarter.
            let asked = if context == 0 { 0 } else { (blocks_for(limit) as u64 * block_bytes).min(available / 10 * 9) };
            wanted.min((available / 4).max(asked))
        };
        let blocks = (bytes / block_bytes).min(most_blocks.unwrap_or(u64::from(u32::MAX))) as usize;
        let fits = blocks * KvCache::BLOCK_LEN;
        if free.is_some_and(|free| kv_bytes > free) {
            return Err(format!(
                "a KV cache of {} needs more than the {} of memory that are free: ask for less",
                size(kv_bytes),
                size(available)
            ));
        }
        let least = if context == 0 { SHORTEST.min(limit) } else { limit };
        if fits < least {
            let need = size(blocks_for(least) as u64 * block_bytes);
            let limits = match most_blocks {
                Some(most) if blocks as u64 == most => format!("a tensor of the device holds {fits} positions"),
                _ if kv_bytes > 0 => format!("{} were given", size(kv_bytes)),
                _ => format!("{} of memory are free", size(available)),
            };
            let cure = if fits == 0 {
                "choose a smaller model".into()
            } else {
                format!("choose a context of at most {fits} tokens, or a smaller model")
            };
            return Err(format!("the KV cache for a context of {least} tokens needs {need}, but {limits}: {cure}"));
        }
        Ok(Plan { context: limit.min(fits), blocks })
    }
}

/// Bytes of main memory that can be taken without swapping, if the system tells.
pub(crate) fn free() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let whole = kilobytes * 1024;
    Some(control_group_free().map_or(whole, |group| group.min(whole)))
}

/// What the control group of a container leaves, if it has a limit. Clean file pages count as free, as the kernel gives them up first.
fn control_group_free() -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok();
    let limit: u64 = read("memory.max")?.trim().parse().ok()?;
    let current: u64 = read("memory.current")?.trim().parse().ok()?;
    let stat = read("memory.stat")?;
    let files = stat.lines().find_map(|line| line.strip_prefix("inactive_file "))?.trim().parse().unwrap_or(0);
    Some(limit.saturating_sub(current.saturating_sub(files)))
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    /// 1 MiB a block.
    const DEMAND: Demand = Demand {
        position_bytes: 65536,
        model_context: 8192,
        context: 0,
        sequences: 4,
        kv_bytes: 0,
        free: Some(16 * GIB),
        most_blocks: None,
    };

    #[test]
    fn without_wishes_there_is_room_for_usual_lengths_and_for_one_whole_context() {
        assert_eq!(DEMAND.plan(), Ok(Plan { context: 8192, blocks: 512 }));
        assert_eq!(Demand { sequences: 16, ..DEMAND }.plan(), Ok(Plan { context: 8192, blocks: 1024 }));
        assert_eq!(Demand { sequences: 1000, ..DEMAND }.plan(), Ok(Plan { context: 8192, blocks: 4096 }), "a quarter of what is free");
    }

    #[test]
    fn a_context_that_was_not_asked_for_shrinks_to_what_fits_and_one_that_was_does_not() {
        assert_eq!(Demand { free: Some(GIB / 2), ..DEMAND }.plan(), Ok(Plan { context: 2048, blocks: 128 }));
        assert_eq!(Demand { free: Some(GIB), context: 8192, ..DEMAND }.plan(), Ok(Plan { context: 8192, blocks: 512 }));
        let refused = Demand { free: Some(GIB / 2), context: 8192, ..DEMAND }.plan().unwrap_err();
        assert!(refused.contains("8192 tokens needs 512.0 MiB, but 512.0 MiB of memory are free"), "{refused}");
        assert!(refused.contains("at most 7360 tokens"), "{refused}");
        assert!(Demand { free: Some(GIB / 64), ..DEMAND }.plan().is_err(), "512 tokens is the least");
    }

    #[test]
    fn bytes_that_were_given_are_taken_or_refused() {
        let given = Demand { kv_bytes: GIB / 8, ..DEMAND };
        assert_eq!(given.plan(), Ok(Plan { context: 2048, blocks: 128 }));
        let refused = Demand { context: 4096, ..given }.plan().unwrap_err();
        assert!(refused.contains("128.0 MiB were given") && refused.contains("at most 2048 tokens"), "{refused}");
        assert!(Demand { kv_bytes: 20 * GIB, ..DEMAND }.plan().unwrap_err().contains("ask for less"));
        assert!(Demand { kv_bytes: 20 * GIB, free: None, ..DEMAND }.plan().is_ok());
        let refused = Demand { most_blocks: Some(10), context: 200, ..DEMAND }.plan().unwrap_err();
        assert!(refused.contains("holds 160 positions"), "{refused}");
    }

    #[test]
    fn a_model_is_never_given_more_context_than_it_was_trained_for() {
        assert_eq!(Demand { context: 100_000, ..DEMAND }.plan(), Ok(Plan { context: 8192, blocks: 512 }));
        assert_eq!(Demand { model_context: 100, ..DEMAND }.plan(), Ok(Plan { context: 100, blocks: 28 }));
    }
}
