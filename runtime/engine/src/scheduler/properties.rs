//! What holds of the scheduler whatever arrives: random lengths, shared beginnings, clients, pauses, cancellations, guesses and lost caches over many small
//! configurations. A shadow of the cache has in each place the token whose row was written there last.

use super::*;
use crate::rng::SplitMix64;

const BLOCK: usize = 4;
const CLIENTS: usize = 3;

/// What the test knows of a sequence.
struct Shadow {
    client: usize,
    tokens: Vec<u32>,
    /// Tokens with which it ends.
    end: usize,
    paused: bool,
    /// It has no further tokens for now, as in tensor mode between calls.
    idle: bool,
    /// The step at which it had rows last, or since when it has wanted any.
    since: usize,
    /// Until it is admitted: how many of each other client's sequences may still be admitted before it.
    ahead: [u64; CLIENTS],
    /// It was paused, so that others rightly went ahead.
    excused: bool,
}

/// The token that follows: the same after the same tokens, so that sequences which begin alike go on alike.
fn following(tokens: &[u32]) -> u32 {
    tokens.iter().fold(17, |hash: u32, token| (hash ^ token).wrapping_mul(0x0100_0193).rotate_left(5)) % 3
}

/// One random run.
struct Run {
    random: SplitMix64,
    rows: usize,
    sequences: usize,
    queue: usize,
    context: usize,
    scheduler: Scheduler,
    shadows: BTreeMap<SequenceId, Shadow>,
    /// What is in each place of each block.
    written: Vec<[Option<u32>; BLOCK]>,
    next: SequenceId,
    now: usize,
    /// In runs without cancellations fairness is known exactly.
    cancels: bool,
    /// How often it came to what should be tested.
    found: u64,
    accepted: usize,
    rejected: usize,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let mut below = |n: usize| (random.next() % n as u64) as usize;
        let (sequences, rows, queue, context) = (1 + below(6), 1 + below(16), below(8), 8 + below(40));
        let blocks = context.div_ceil(BLOCK) + below(16);
        let limits = Limits { rows, sequences, queue, block_len: BLOCK, prefix_cache: !seed.is_multiple_of(8) };
        Self {
            random,
            rows: rows.max(sequences),
            sequences,
            queue,
            context,
            scheduler: Scheduler::new(limits, blocks),
            shadows: BTreeMap::new(),
            written: vec![[None; BLOCK]; blocks],
            next: 0,
            now: 0,
            cancels: seed.is_multiple_of(2),
            found: 0,
            accepted: 0,
            rejected: 0,
        }
    }

    fn below(&mut self, n: usize) -> usize {
        (self.random.next() % n as u64) as usize
    }

    fn arrive(&mut self) {
        let length = 1 + self.below(self.context);
        let end = length + self.below(self.context - length + 1);
        let shared = self.below(length + 1);
        let (family, id) = (self.below(3) as u32, self.next);
        let tokens: Vec<u32> =
            (0..length).map(|at| if at < shared { 10 * family + at as u32 % 7 } else { 1000 + (id as u32 + at as u32) % 50 }).collect();
        let client = self.below(CLIENTS);
        let own = self.scheduler.unbegun().filter(|id| self.shadows[id].client == client).count() as u64;
        let taken = self.scheduler.add(id, Client::named(&client.to_string()), &tokens);
        assert_eq!(taken, self.shadows.len() < self.sequences + self.queue);
        if taken {
            let turns = self.scheduler.sequences[&id].turn - self.scheduler.round;
            assert!(self.cancels || turns <= own + 1, "a client waits for its own turns and no others");
            // In each of those rounds another client has one, and one in what is left of the present round.
            let (since, ahead) = (self.now, [turns + 1; CLIENTS]);
            self.shadows.insert(id, Shadow { client, tokens, end, paused: false, idle: false, since, ahead, excused: false });
        }
        self.next += 1;
    }

    /// Everything that may happen between steps.
    fn happen(&mut self, arrivals: bool) {
        if arrivals && self.below(3) == 0 {
            self.arrive();
        }
        if arrivals && self.cancels && self.below(20) == 0 && !self.shadows.is_empty() {
            let id = *self.shadows.keys().nth(self.random.next() as usize % self.shadows.len()).unwrap();
            self.remove(id);
        }
        if self.below(150) == 0 {
            self.scheduler.lose_cache();
            self.written.fill([None; BLOCK]);
        }
        let ids: Vec<SequenceId> = self.shadows.keys().copied().collect();
        for id in ids {
            let (toggles, wakes, more) = (self.below(15) == 0, self.below(10) == 0, 1 + self.below(5));
            let shadow = self.shadows.get_mut(&id).unwrap();
            if shadow.paused && !arrivals || toggles {
                shadow.paused = !shadow.paused && arrivals;
                shadow.since = self.now;
                shadow.excused |= shadow.paused;
                self.scheduler.pause(id, shadow.paused);
            }
            if shadow.idle && (wakes || !arrivals) {
                let tokens: Vec<u32> = (0..more.min(shadow.end - shadow.tokens.len())).map(|at| 2000 + at as u32).collect();
                shadow.tokens.extend(&tokens);
                (shadow.idle, shadow.since) = (false, self.now);
                self.scheduler.append(id, &tokens);
            }
        }
    }

    fn remove(&mut self, id: SequenceId) {
        self.scheduler.remove(id);
        self.shadows.remove(&id);
    }

    /// Blocks are counted rightly, and what a sequence believes to be computed is there.
    fn check_blocks(&self) {
        let blocks = self.scheduler.blocks();
        let mut references = vec![0; blocks.total()];
        for (id, sequence) in &self.scheduler.sequences {
            let shadow = &self.shadows[id];
            assert_eq!(sequence.length, shadow.tokens.len());
            for block in &sequence.table {
                references[*block as usize] += 1;
            }
            for (at, token) in shadow.tokens[..sequence.computed].iter().enumerate() {
                let place = self.written[sequence.table[at / BLOCK] as usize][at % BLOCK];
                assert_eq!(place, Some(*token), "a table never has a block with another's content");
            }
        }
        assert!((0..).zip(&references).all(|(block, count)| blocks.references(block) == *count));
        assert_eq!(references.iter().filter(|count| **count > 0).count(), blocks.used(), "every used block is in a table");
        assert!(blocks.used() + blocks.available() == blocks.total() && blocks.cached() <= blocks.available());
    }

    /// The first sequences that want rows.
    fn window(&self) -> Vec<SequenceId> {
        // One that is idle wants rows too when its blocks were taken.
        let wants = |id: &SequenceId| !self.shadows[id].paused && self.scheduler.sequences[id].pending() > 0;
        self.scheduler.order.iter().map(|(_, id)| *id).filter(wants).take(self.sequences).collect()
    }

    fn check_slices(&self, slices: &[Slice], window: &[SequenceId], decoding: &[SequenceId]) {
        assert!(slices.iter().map(|slice| slice.count + slice.guesses).sum::<usize>() <= self.rows, "the row budget holds");
        for slice in slices {
            let sequence = &self.scheduler.sequences[&slice.id];
            assert!(window.contains(&slice.id), "only the first unpaused ones have rows");
            assert!(slice.count > 0 && slice.from == sequence.computed);
            assert!(slice.from + slice.count <= sequence.length, "nothing is computed that isn't there");
            assert!(slice.guesses == 0 || slice.last);
            assert_eq!(slice.last, slice.from + slice.count == sequence.length);
            assert!(sequence.table.len() * BLOCK >= slice.from + slice.count + slice.guesses, "a row has its block");
        }
        for id in decoding {
            let sequence = &self.scheduler.sequences[id];
            let stalled = sequence.length.div_ceil(BLOCK) > sequence.table.len();
            let scheduled = slices.iter().any(|slice| slice.id == *id);
            assert!(scheduled || stalled, "whoever decodes has a row in each step, unless it lacks a block");
            assert!(scheduled || *id != window[0], "the first never lacks a block");
        }
    }

    /// Round robin: what was admitted now was nobody else's turn.
    fn check_turns(&mut self, unbegun: &[SequenceId]) {
        let admitted: Vec<SequenceId> = unbegun.iter().copied().filter(|id| self.scheduler.sequences[id].begun).collect();
        // One that was paused when its turn came goes ahead of those that came later.
        for id in admitted.iter().filter(|id| !self.shadows[id].excused).copied().collect::<Vec<_>>() {
            let client = self.shadows[&id].client;
            for waiting in unbegun.iter().filter(|other| !admitted.contains(other)) {
                let shadow = self.shadows.get_mut(waiting).unwrap();
                if shadow.client != client && !shadow.excused {
                    let left = shadow.ahead[client].checked_sub(1);
                    shadow.ahead[client] = left.expect("a waiting sequence is overtaken by more than a client's share");
                }
            }
        }
    }

    fn step(&mut self) {
        let window = self.window();
        let decodes = |id: &SequenceId| self.scheduler.sequences[id].computed > 0 && self.scheduler.sequences[id].pending() == 1;
        let decoding: Vec<SequenceId> = window.iter().copied().filter(decodes).collect();
        let unbegun: Vec<SequenceId> = self.scheduler.unbegun().collect();
        let mut slices = self.scheduler.schedule();
        self.check_turns(&unbegun);
        let lookups = self.scheduler.take_lookups();
        self.found += lookups.found;
        let admitted = |id: &&SequenceId| self.scheduler.sequences[id].begun;
        let tokens: usize = unbegun.iter().filter(admitted).map(|id| self.shadows[id].tokens.len()).sum();
        assert!(lookups.tokens == tokens as u64 && lookups.found <= lookups.tokens);

        let mut drafts: BTreeMap<SequenceId, Vec<u32>> = BTreeMap::new();
        for slice in slices.iter_mut().filter(|slice| slice.last) {
            let shadow = &self.shadows[&slice.id];
            let most = if shadow.idle { 0 } else { shadow.end - shadow.tokens.len() };
            let wanted = ((self.random.next() % 6) as usize).min(most);
            self.scheduler.guess(slice, wanted);
            let mut draft = shadow.tokens.clone();
            for _ in 0..slice.guesses {
                let right = !self.random.next().is_multiple_of(4);
                draft.push(if right { following(&draft) } else { 3000 });
            }
            drafts.insert(slice.id, draft.split_off(shadow.tokens.len()));
        }
        self.check_slices(
            &slices,
            &window,
            &decoding.into_iter().filter(|id| self.scheduler.sequences[id].computed > 0).collect::<Vec<_>>(),
        );
        self.check_blocks();
        self.check_progress(&slices, &window);

        for slice in &slices {
            let rows = self.shadows[&slice.id].tokens[slice.from..slice.from + slice.count].iter();
            let guesses = drafts.get(&slice.id).into_iter().flatten();
            for (at, token) in (slice.from..).zip(rows.chain(guesses)) {
                let block = self.scheduler.table(slice.id)[at / BLOCK];
                assert!(self.scheduler.blocks().references(block) == 1, "nobody writes where another reads");
                assert!(!self.scheduler.blocks().is_known(block), "nobody writes to what may be found");
                self.written[block as usize][at % BLOCK] = Some(*token);
            }
        }
        self.scheduler.commit(&slices);
        for slice in slices.iter().filter(|slice| slice.last) {
            self.sample(slice.id, &drafts[&slice.id]);
        }
        self.check_blocks();
    }

    /// Appends the tokens that a row of logits for the last token and for each guess leads to.
    fn sample(&mut self, id: SequenceId, draft: &[u32]) {
        for guess in draft.iter().map(Some).chain([None]) {
            let shadow = self.shadows.get_mut(&id).unwrap();
            if shadow.idle {
                return;
            }
            if shadow.tokens.len() == shadow.end {
                return self.remove(id);
            }
            if draft.is_empty() && self.random.next().is_multiple_of(12) {
                shadow.idle = true;
                return;
            }
            let token = following(&shadow.tokens);
            shadow.tokens.push(token);
            self.scheduler.append(id, &[token]);
            match guess {
                Some(guess) if *guess == token => self.scheduler.accept(id),
                guess => {
                    self.rejected += usize::from(guess.is_some());
                    return;
                }
            }
            self.accepted += 1;
        }
    }

    fn check_progress(&mut self, slices: &[Slice], window: &[SequenceId]) {
        assert!(window.is_empty() || !slices.is_empty(), "there is always something to do");
        let (now, context) = (self.now, self.context);
        // Whoever is ahead or is admitted before it may finish first, each within its context and computed anew a few times.
        let bound = |ahead: usize| 4 * context * (ahead + 1);
        for (id, shadow) in &mut self.shadows {
            if shadow.paused || shadow.idle || slices.iter().any(|slice| slice.id == *id) {
                shadow.since = now;
            }
            let ahead = if Some(id) == window.first() { self.sequences } else { self.sequences + self.queue };
            assert!(now - shadow.since <= bound(ahead), "a sequence starves");
        }
    }
}

#[test]
fn no_sequence_starves_no_block_leaks_no_bound_is_exceeded_and_nobody_reads_anothers_rows() {
    let (mut found, mut accepted, mut rejected) = (0, 0, 0);
    for seed in 0..300 {
        let mut run = Run::new(seed);
        let drain = 8 * run.context * (run.sequences + run.queue);
        while run.now < 700 || !run.shadows.is_empty() {
            run.happen(run.now < 700);
            run.step();
            run.now += 1;
            assert!(run.now < 700 + drain, "seed {seed}: once arrivals end, all finish: {} left", run.shadows.len());
        }
        assert_eq!(run.scheduler.blocks().used(), 0);
        assert!(!seed.is_multiple_of(8) || run.found == 0);
        found += run.found;
        accepted += run.accepted;
        rejected += run.rejected;
    }
    assert!(found > 10_000 && accepted > 1000 && rejected > 1000, "{found} {accepted} {rejected}");
}
