use super::*;

const BLOCK: usize = 4;

fn scheduler(rows: usize, sequences: usize, queue: usize, blocks: usize) -> Scheduler {
    Scheduler::new(Limits { rows, sequences, queue, block_len: BLOCK, prefix_cache: true }, blocks)
}

/// Tokens that only this sequence has.
fn tokens(id: SequenceId, count: usize) -> Vec<u32> {
    vec![1000 + id as u32; count]
}

/// Adds a sequence that shares nothing, of the unnamed client.
fn add(scheduler: &mut Scheduler, id: SequenceId, length: usize) -> bool {
    scheduler.add(id, Client::default(), &tokens(id, length))
}

/// Schedules and commits; what was scheduled as `(id, from, count)`.
fn step(scheduler: &mut Scheduler) -> Vec<(SequenceId, usize, usize)> {
    let slices = scheduler.schedule();
    scheduler.commit(&slices);
    for slice in slices.iter().filter(|slice| slice.last) {
        scheduler.append(slice.id, &tokens(slice.id, 1));
    }
    slices.iter().map(|slice| (slice.id, slice.from, slice.count)).collect()
}

#[test]
fn a_long_prompt_is_cut_into_chunks_and_decoding_goes_on_beside_it() {
    let mut scheduler = scheduler(8, 4, 0, 100);
    assert!(add(&mut scheduler, 0, 3));
    assert_eq!(step(&mut scheduler), [(0, 0, 3)]);
    assert!(add(&mut scheduler, 1, 20));
    assert_eq!(step(&mut scheduler), [(0, 3, 1), (1, 0, 7)]);
    assert_eq!(step(&mut scheduler), [(0, 4, 1), (1, 7, 7)]);
    assert_eq!(step(&mut scheduler), [(0, 5, 1), (1, 14, 6)]);
    assert_eq!(step(&mut scheduler), [(0, 6, 1), (1, 20, 1)]);
}

#[test]
fn beyond_the_queue_a_sequence_is_refused_until_one_has_gone() {
    let mut scheduler = scheduler(8, 1, 1, 100);
    assert!(add(&mut scheduler, 0, 1));
    assert!(add(&mut scheduler, 1, 1));
    assert!(!add(&mut scheduler, 2, 1));
    assert_eq!(step(&mut scheduler), [(0, 0, 1)]);
    assert_eq!((scheduler.running(), scheduler.waiting()), (1, 1));
    scheduler.remove(0);
    assert!(add(&mut scheduler, 2, 1));
    assert_eq!(step(&mut scheduler), [(1, 0, 1)]);
}

#[test]
fn a_paused_sequence_gives_up_its_slot_and_only_when_needed_its_blocks() {
    let mut scheduler = scheduler(8, 1, 2, 3);
    add(&mut scheduler, 0, 4);
    step(&mut scheduler);
    add(&mut scheduler, 1, 2);
    scheduler.pause(0, true);
    assert_eq!(step(&mut scheduler), [(1, 0, 2)]);
    assert_eq!(scheduler.blocks().used(), 2);
    scheduler.pause(0, false);
    assert_eq!(step(&mut scheduler), [(0, 4, 1)], "the older has the slot back, its blocks still there");
    scheduler.pause(0, true);
    scheduler.append(1, &tokens(1, 8));
    assert_eq!(step(&mut scheduler), [(1, 2, 8)], "the paused one's blocks are taken");
    scheduler.remove(1);
    scheduler.pause(0, false);
    assert_eq!(step(&mut scheduler), [(0, 0, 6)], "and computed anew");
}

#[test]
fn when_blocks_are_short_the_youngest_gives_its_own_to_the_oldest() {
    let mut scheduler = scheduler(8, 2, 0, 4);
    add(&mut scheduler, 0, 4);
    add(&mut scheduler, 1, 4);
    assert_eq!(step(&mut scheduler), [(0, 0, 4), (1, 0, 4)]);
    for position in 4..8 {
        assert_eq!(step(&mut scheduler), [(0, position, 1), (1, position, 1)]);
    }
    assert_eq!(step(&mut scheduler), [(0, 8, 1)]);
    assert_eq!(scheduler.blocks().used(), 3);
    scheduler.remove(0);
    assert_eq!(step(&mut scheduler), [(1, 4, 5)], "its first block has not been needed");
}

#[test]
fn a_short_sequence_does_not_overtake_one_that_waits_for_blocks() {
    let mut scheduler = scheduler(8, 3, 0, 5);
    add(&mut scheduler, 0, 8);
    assert_eq!(step(&mut scheduler), [(0, 0, 8)]);
    add(&mut scheduler, 1, 8);
    add(&mut scheduler, 2, 1);
    assert_eq!(step(&mut scheduler), [(0, 8, 1)]);
    scheduler.remove(0);
    assert_eq!(step(&mut scheduler), [(2, 0, 1), (1, 0, 7)]);
}

#[test]
fn after_the_cache_is_lost_all_are_computed_anew() {
    let mut scheduler = scheduler(8, 2, 0, 10);
    add(&mut scheduler, 0, 5);
    step(&mut scheduler);
    scheduler.lose_cache();
    assert_eq!((scheduler.blocks().used(), scheduler.blocks().cached()), (0, 0));
    assert_eq!(step(&mut scheduler), [(0, 0, 6)]);
}

#[test]
fn a_sequence_that_begins_like_another_takes_its_full_blocks_and_computes_at_least_its_last_token() {
    let mut scheduler = scheduler(64, 8, 0, 100);
    let text: Vec<u32> = (0..12).collect();
    let add = |scheduler: &mut Scheduler, id, tokens: &[u32]| assert!(scheduler.add(id, Client::default(), tokens));
    add(&mut scheduler, 0, &text);
    assert_eq!(scheduler.take_lookups(), Lookups::default());
    assert_eq!(step(&mut scheduler), [(0, 0, 12)]);
    assert_eq!(scheduler.take_lookups(), Lookups { tokens: 12, found: 0 });
    add(&mut scheduler, 1, &text);
    add(&mut scheduler, 2, &[&text[..], &[70, 71]].concat());
    add(&mut scheduler, 3, &[&text[..10], &[80]].concat());
    add(&mut scheduler, 4, &[&[90], &text[1..]].concat());
    assert_eq!(step(&mut scheduler), [(0, 12, 1), (1, 8, 4), (2, 12, 2), (3, 8, 3), (4, 0, 12)]);
    assert_eq!(scheduler.take_lookups(), Lookups { tokens: 12 + 14 + 11 + 12, found: 8 + 12 + 8 });
    assert_eq!(scheduler.table(2)[..3], scheduler.table(0)[..3]);
    assert_eq!(scheduler.blocks().references(scheduler.table(0)[0]), 4);
    // 0 has 4 blocks; 1 shares 2 of its 4, 2 shares 3 of its 4, 3 shares 2 of its 3; 4 has 3 of its own. A block more where the last is full comes with the next step.
    assert_eq!(scheduler.blocks().used(), 4 + 1 + 1 + 1 + 3);
    for id in 0..5 {
        scheduler.remove(id);
    }
    assert_eq!(scheduler.blocks().used(), 0);
}

#[test]
fn what_a_sequence_has_generated_is_found_by_one_that_goes_on_from_it() {
    let mut scheduler = scheduler(64, 8, 0, 100);
    add(&mut scheduler, 7, 3);
    for _ in 0..9 {
        step(&mut scheduler);
    }
    scheduler.remove(7);
    assert_eq!((scheduler.blocks().used(), scheduler.blocks().cached()), (0, 2), "11 rows were computed");
    scheduler.add(8, Client::default(), &tokens(7, 20));
    assert_eq!(step(&mut scheduler), [(8, 8, 12)]);
}

#[test]
fn cached_blocks_are_overwritten_when_no_free_one_is_left_and_the_last_of_a_sequence_before_its_first() {
    let mut scheduler = scheduler(64, 8, 0, 6);
    add(&mut scheduler, 0, 13);
    step(&mut scheduler);
    scheduler.remove(0);
    assert_eq!((scheduler.blocks().cached(), scheduler.blocks().available()), (3, 6));
    // Four blocks: the three free ones and one cached.
    add(&mut scheduler, 1, 15);
    step(&mut scheduler);
    scheduler.remove(1);
    scheduler.add(2, Client::default(), &tokens(0, 13));
    assert_eq!(step(&mut scheduler), [(2, 8, 5)]);
}

#[test]
fn two_that_compute_the_same_at_the_same_time_leave_it_known_once() {
    let mut scheduler = scheduler(64, 8, 0, 100);
    for id in 0..2 {
        scheduler.add(id, Client::default(), &tokens(0, 9));
    }
    assert_eq!(step(&mut scheduler), [(0, 0, 9), (1, 0, 9)]);
    assert_eq!(scheduler.blocks().used(), 6);
    scheduler.remove(0);
    scheduler.remove(1);
    assert_eq!((scheduler.blocks().used(), scheduler.blocks().cached()), (0, 2));
    scheduler.add(2, Client::default(), &tokens(0, 9));
    assert_eq!(step(&mut scheduler), [(2, 8, 1)]);
}

#[test]
fn without_the_prefix_cache_nothing_is_found_or_kept() {
    let mut scheduler = Scheduler::new(Limits { rows: 64, sequences: 2, queue: 0, block_len: BLOCK, prefix_cache: false }, 10);
    add(&mut scheduler, 0, 9);
    step(&mut scheduler);
    scheduler.add(1, Client::default(), &tokens(0, 9));
    assert_eq!(step(&mut scheduler), [(0, 9, 1), (1, 0, 9)]);
    scheduler.remove(0);
    assert_eq!(scheduler.blocks().cached(), 0);
}

#[test]
fn those_that_wait_are_admitted_round_robin_over_clients() {
    let mut scheduler = scheduler(64, 1, 20, 100);
    let (anna, berta) = (Client::named("anna"), Client::named("berta"));
    for id in 0..5 {
        scheduler.add(id, anna, &tokens(id, 1));
    }
    let mut admitted = Vec::new();
    for now in 0..10 {
        let slices = scheduler.schedule();
        scheduler.commit(&slices);
        let [slice] = slices[..] else { panic!("one slot") };
        admitted.push(slice.id);
        scheduler.remove(slice.id);
        if now == 0 {
            scheduler.add(5, berta, &tokens(5, 1));
            scheduler.add(6, berta, &tokens(6, 1));
            scheduler.add(7, Client::default(), &tokens(7, 1));
        }
        if now == 3 {
            scheduler.add(8, anna, &tokens(8, 1));
            scheduler.add(9, berta, &tokens(9, 1));
        }
    }
    assert_eq!(admitted, [0, 1, 5, 7, 2, 6, 3, 9, 4, 8]);
}

#[test]
fn guesses_have_the_rows_that_nobody_else_wants_and_count_only_once_they_are_accepted() {
    let mut scheduler = scheduler(8, 4, 0, 100);
    add(&mut scheduler, 0, 2);
    add(&mut scheduler, 1, 2);
    step(&mut scheduler);
    add(&mut scheduler, 2, 3);
    let mut slices = scheduler.schedule();
    assert_eq!(scheduler.spare(), 3);
    scheduler.guess(&mut slices[0], 2);
    scheduler.guess(&mut slices[1], 5);
    assert_eq!(slices.iter().map(|slice| (slice.id, slice.count, slice.guesses)).collect::<Vec<_>>(), [(0, 1, 2), (1, 1, 1), (2, 3, 0)]);
    assert_eq!(scheduler.table(0).len(), 2, "a block more for its row 4");
    scheduler.commit(&slices);
    // Of the first sequence's guesses one was right, of the second's none.
    scheduler.append(0, &tokens(0, 1));
    scheduler.accept(0);
    assert!(scheduler.blocks().is_known(scheduler.table(0)[0]), "rows 0 to 3 are certain");
    scheduler.append(0, &tokens(0, 1));
    scheduler.append(1, &tokens(1, 1));
    assert!(!scheduler.blocks().is_known(scheduler.table(1)[0]));
    scheduler.append(2, &tokens(2, 1));
    assert_eq!(step(&mut scheduler), [(0, 4, 1), (1, 3, 1), (2, 3, 1)]);
}

#[test]
fn guesses_take_no_block_that_a_running_sequence_may_need_next() {
    let mut scheduler = scheduler(64, 4, 0, 4);
    add(&mut scheduler, 0, 4);
    add(&mut scheduler, 1, 3);
    let mut slices = scheduler.schedule();
    assert_eq!(scheduler.blocks().available(), 2);
    scheduler.guess(&mut slices[0], 3);
    scheduler.guess(&mut slices[1], 3);
    assert_eq!([slices[0].guesses, slices[1].guesses], [0, 1], "there is a place in the second's block");
}

#[test]
fn a_sequence_whose_rows_are_all_wanted_takes_no_known_block_and_few_rows_a_step() {
    let mut scheduler = scheduler(64, 8, 0, 100);
    let text: Vec<u32> = (0..12).collect();
    scheduler.add(0, Client::default(), &text);
    assert_eq!(step(&mut scheduler), [(0, 0, 12)]);
    scheduler.add(1, Client::default(), &text);
    scheduler.want_all_rows(1, 5);
    assert_eq!(step(&mut scheduler), [(0, 12, 1), (1, 0, 5)]);
    assert_eq!(step(&mut scheduler), [(0, 13, 1), (1, 5, 5)]);
    assert_eq!(step(&mut scheduler), [(0, 14, 1), (1, 10, 2)]);
    assert_eq!(step(&mut scheduler), [(0, 15, 1), (1, 12, 1)]);
}
