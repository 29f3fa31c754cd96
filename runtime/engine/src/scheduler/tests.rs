use std::collections::BTreeSet;

use super::*;
use crate::rng::SplitMix64;

const BLOCK: usize = 4;

fn scheduler(rows: usize, sequences: usize, queue: usize, blocks: usize) -> Scheduler {
    Scheduler::new(Limits { rows, sequences, queue, block_len: BLOCK }, blocks)
}

/// Schedules and commits; what was scheduled as `(id, from, count)`.
fn step(scheduler: &mut Scheduler) -> Vec<(SequenceId, usize, usize)> {
    let slices = scheduler.schedule();
    scheduler.commit(&slices);
    for slice in slices.iter().filter(|slice| slice.last) {
        scheduler.append(slice.id, 1);
    }
    slices.iter().map(|slice| (slice.id, slice.from, slice.count)).collect()
}

#[test]
fn a_long_prompt_is_cut_into_chunks_and_decoding_goes_on_beside_it() {
    let mut scheduler = scheduler(8, 4, 0, 100);
    assert!(scheduler.add(0, 3));
    assert_eq!(step(&mut scheduler), [(0, 0, 3)]);
    assert!(scheduler.add(1, 20));
    assert_eq!(step(&mut scheduler), [(0, 3, 1), (1, 0, 7)]);
    assert_eq!(step(&mut scheduler), [(0, 4, 1), (1, 7, 7)]);
    assert_eq!(step(&mut scheduler), [(0, 5, 1), (1, 14, 6)]);
    assert_eq!(step(&mut scheduler), [(0, 6, 1), (1, 20, 1)]);
}

#[test]
fn beyond_the_queue_a_sequence_is_refused_until_one_has_gone() {
    let mut scheduler = scheduler(8, 1, 1, 100);
    assert!(scheduler.add(0, 1));
    assert!(scheduler.add(1, 1));
    assert!(!scheduler.add(2, 1));
    assert_eq!(step(&mut scheduler), [(0, 0, 1)]);
    assert_eq!((scheduler.running(), scheduler.waiting()), (1, 1));
    scheduler.remove(0);
    assert!(scheduler.add(2, 1));
    assert_eq!(step(&mut scheduler), [(1, 0, 1)]);
}

#[test]
fn a_paused_sequence_gives_up_its_slot_and_only_when_needed_its_blocks() {
    let mut scheduler = scheduler(8, 1, 2, 3);
    scheduler.add(0, 4);
    step(&mut scheduler);
    scheduler.add(1, 2);
    scheduler.pause(0, true);
    assert_eq!(step(&mut scheduler), [(1, 0, 2)]);
    assert_eq!(scheduler.blocks().used(), 2);
    scheduler.pause(0, false);
    assert_eq!(step(&mut scheduler), [(0, 4, 1)], "the older has the slot back, its blocks still there");
    scheduler.pause(0, true);
    scheduler.append(1, 8);
    assert_eq!(step(&mut scheduler), [(1, 2, 8)], "the paused one's blocks are taken");
    scheduler.remove(1);
    scheduler.pause(0, false);
    assert_eq!(step(&mut scheduler), [(0, 0, 6)], "and computed anew");
}

#[test]
fn when_blocks_are_short_the_youngest_gives_its_own_to_the_oldest() {
    let mut scheduler = scheduler(8, 2, 0, 4);
    scheduler.add(0, 4);
    scheduler.add(1, 4);
    assert_eq!(step(&mut scheduler), [(0, 0, 4), (1, 0, 4)]);
    for position in 4..8 {
        assert_eq!(step(&mut scheduler), [(0, position, 1), (1, position, 1)]);
    }
    assert_eq!(step(&mut scheduler), [(0, 8, 1)]);
    assert_eq!(scheduler.blocks().used(), 3);
    scheduler.remove(0);
    assert_eq!(step(&mut scheduler), [(1, 0, 8)]);
    assert_eq!(step(&mut scheduler), [(1, 8, 1)]);
}

#[test]
fn a_short_sequence_does_not_overtake_one_that_waits_for_blocks() {
    let mut scheduler = scheduler(8, 3, 0, 5);
    scheduler.add(0, 8);
    assert_eq!(step(&mut scheduler), [(0, 0, 8)]);
    scheduler.add(1, 8);
    scheduler.add(2, 1);
    assert_eq!(step(&mut scheduler), [(0, 8, 1)]);
    scheduler.remove(0);
    assert_eq!(step(&mut scheduler), [(2, 0, 1), (1, 0, 7)]);
}

#[test]
fn after_the_cache_is_lost_all_are_computed_anew() {
    let mut scheduler = scheduler(8, 2, 0, 10);
    scheduler.add(0, 3);
    step(&mut scheduler);
    scheduler.evict_all();
    assert_eq!(scheduler.blocks().used(), 0);
    assert_eq!(step(&mut scheduler), [(0, 0, 4)]);
}

/// What a test knows of a sequence in the random run below.
struct Shadow {
    length: usize,
    /// Tokens after which it ends.
    end: usize,
    paused: bool,
    /// The step at which it became the oldest of those that want rows, or since when it has been waiting for its next.
    since: usize,
}

/// Arrivals, cancellations, pauses and lengths at random over many small configurations.
#[test]
fn no_sequence_starves_and_no_block_leaks() {
    for seed in 0..300 {
        let mut random = SplitMix64::new(seed);
        let mut below = |n: usize| (random.next() % n as u64) as usize;
        let sequences = 1 + below(6);
        let rows = 1 + below(12);
        let queue = below(8);
        let context = 8 + below(40);
        let blocks = context.div_ceil(BLOCK) + below(12);
        let mut scheduler = scheduler(rows, sequences, queue, blocks);
        let rows = rows.max(sequences);
        let mut shadows: BTreeMap<SequenceId, Shadow> = BTreeMap::new();
        let mut next = 0;
        for now in 0..800 {
            let arrivals = now < 600;
            if arrivals && below(3) == 0 {
                let length = 1 + below(context);
                let end = length + below(context - length + 1);
                let taken = scheduler.add(next, length);
                assert_eq!(taken, shadows.len() < sequences + queue);
                if taken {
                    shadows.insert(next, Shadow { length, end, paused: false, since: now });
                }
                next += 1;
            }
            if arrivals && below(20) == 0 && !shadows.is_empty() {
                let id = *shadows.keys().nth(below(shadows.len())).unwrap();
                scheduler.remove(id);
                shadows.remove(&id);
            }
            for (id, shadow) in &mut shadows {
                if !arrivals && shadow.paused || below(15) == 0 {
                    shadow.paused = !shadow.paused && arrivals;
                    shadow.since = now;
                    scheduler.pause(*id, shadow.paused);
                }
            }

            let oldest: Vec<SequenceId> = shadows.iter().filter(|(_, shadow)| !shadow.paused).map(|(id, _)| *id).take(sequences).collect();
            let begun: Vec<SequenceId> = oldest
                .iter()
                .copied()
                .filter(|id| scheduler.sequences[id].computed > 0 && scheduler.sequences[id].pending() == 1)
                .collect();
            let slices = scheduler.schedule();

            assert!(slices.iter().map(|slice| slice.count).sum::<usize>() <= rows, "the row budget holds");
            let mut owned = BTreeSet::new();
            for sequence in scheduler.sequences.values() {
                assert!(sequence.table.iter().all(|block| owned.insert(*block)), "a block belongs to one sequence");
            }
            assert_eq!(owned.len(), scheduler.blocks().used(), "every used block is in a table");
            for slice in &slices {
                assert!(oldest.contains(&slice.id), "only the oldest unpaused ones have rows");
                assert!(scheduler.table(slice.id).len() * BLOCK >= slice.from + slice.count, "a row has its block");
                assert_eq!(slice.from, scheduler.sequences[&slice.id].computed);
                assert_eq!(slice.last, slice.from + slice.count == shadows[&slice.id].length);
            }
            for id in begun {
                let kept = scheduler.sequences[&id].computed > 0;
                let stalled = scheduler.sequences[&id].length.div_ceil(BLOCK) > scheduler.table(id).len();
                let scheduled = slices.iter().any(|slice| slice.id == id);
                assert!(scheduled || !kept || stalled, "whoever decodes has a row in each step, unless it lacks a block");
                assert!(scheduled || id != oldest[0], "the oldest never lacks a block");
            }
            if let Some(first) = oldest.first() {
                assert!(!slices.is_empty(), "there is always something to do");
                let shadow = shadows.get_mut(first).unwrap();
                if slices.iter().any(|slice| slice.id == *first) {
                    shadow.since = now;
                }
                // Those admitted before it may finish first, each within its context.
                assert!(now - shadow.since <= 4 * context * sequences, "the oldest starves");
            }

            scheduler.commit(&slices);
            for slice in slices.iter().filter(|slice| slice.last) {
                let shadow = shadows.get_mut(&slice.id).unwrap();
                if shadow.length == shadow.end {
                    scheduler.remove(slice.id);
                    shadows.remove(&slice.id);
                } else {
                    shadow.length += 1;
                    scheduler.append(slice.id, 1);
                }
            }
        }
        assert!(shadows.is_empty(), "seed {seed}: once arrivals end, all finish: {} left", shadows.len());
        assert_eq!(scheduler.blocks().used(), 0);
    }
}
