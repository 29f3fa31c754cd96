//! The CPU's threads: started once, spinning for a bounded time after each job, parked when there is nothing to do for longer.
//!
//! A decode step is hundreds of jobs of a few microseconds with a little serial work between them: waking threads through the kernel each time would cost more than
//! the work, and spinning for ever would starve whatever else the machine runs. Jobs are cut into tasks that are taken one by one, so that a thread that the kernel
//! puts aside delays the job by one task at most, and a thread that has not yet come is not waited for.

#![allow(unsafe_code)]

use std::{
    cell::UnsafeCell,
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release, SeqCst},
        },
    },
    time::{Duration, Instant},
};

/// How long a thread looks for the next job before it parks.
const SPIN: Duration = Duration::from_micros(1500);

/// The state's lowest bits count the threads at work on the job.
const WORKERS: u64 = 0xffff;
/// Threads may join the job. Above this bit is the job's number.
const OPEN: u64 = 1 << 16;
const JOB: u64 = 1 << 17;

type Task<'a> = dyn Fn(usize) + Sync + 'a;

/// Alone in its cache lines (two, as processors fetch them in pairs): waiting threads read the state while others count tasks.
#[repr(align(128))]
struct Line<T>(T);

impl<T> Deref for Line<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

struct Pool {
    /// Threads wanted, the caller's included; 0 until decided.
    wanted: AtomicUsize,
    /// The thread that runs a job holds this; in it: how many threads have been started.
    started: Mutex<usize>,
    state: Line<AtomicU64>,
    job: UnsafeCell<Option<&'static Task<'static>>>,
    tasks: AtomicUsize,
    next: Line<AtomicUsize>,
    panicked: AtomicBool,
    parked: AtomicUsize,
    park: Mutex<()>,
    wake: Condvar,
}

// SAFETY: `job` is written only by the holder of `started` while no thread is or can get at work on it (state without `OPEN` and without workers), and read only by
// threads counted in the state.
unsafe impl Sync for Pool {}

static POOL: Pool = Pool {
    wanted: AtomicUsize::new(0),
    started: Mutex::new(0),
    state: Line(AtomicU64::new(0)),
    job: UnsafeCell::new(None),
    tasks: AtomicUsize::new(0),
    next: Line(AtomicUsize::new(0)),
    panicked: AtomicBool::new(false),
    parked: AtomicUsize::new(0),
    park: Mutex::new(()),
    wake: Condvar::new(),
};

/// Sets how many threads the CPU's kernels use, the calling one included; 0 means one for each physical core that this process may use, as does never calling it.
/// Results do not depend on the number.
pub fn set_threads(threads: usize) {
    POOL.wanted.store(if threads == 0 { physical_cores() } else { threads.min(WORKERS as usize) }, Relaxed);
}

/// Threads in use.
pub(crate) fn threads() -> usize {
    if cfg!(target_family = "wasm") {
        return 1;
    }
    if POOL.wanted.load(Relaxed) == 0 {
        set_threads(0);
    }
    POOL.wanted.load(Relaxed)
}

/// Physical cores among the CPUs that this process may use.
fn physical_cores() -> usize {
    let logical = std::thread::available_parallelism().map_or(1, usize::from);
    let siblings = |cpu: usize| std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")).ok();
    let cores: std::collections::BTreeSet<String> = (0..).map_while(siblings).collect();
    if cores.is_empty() { logical } else { logical.min(cores.len()) }
}

/// Calls `task(i)` for each `i` below `tasks`, on several threads. Jobs of one task, and jobs that meet another one under way, run on the calling thread alone.
pub(crate) fn run(tasks: usize, task: &Task<'_>) {
    let threads = threads();
    let started = if tasks > 1 && threads > 1 { POOL.started.try_lock().ok() } else { None };
    let Some(mut started) = started else {
        (0..tasks).for_each(task);
        return;
    };
    while *started + 1 < threads {
        let index = *started + 1;
        let thread = std::thread::Builder::new().name(format!("kernels-{index}"));
        if thread.spawn(move || POOL.work(index)).is_err() {
            break;
        }
        *started += 1;
    }
    // SAFETY: `started` is held, so no other job is open and none has workers.
    let outcome = unsafe { POOL.run(tasks, task) };
    drop(started);
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
    assert!(!POOL.panicked.swap(false, Relaxed), "a kernel's thread panicked");
}

/// Calls `task(i, slice)` for each slice of `len` elements of `out`, on several threads.
pub(crate) fn for_each_slice<T: Send>(out: &mut [T], len: usize, task: impl Fn(usize, &mut [T]) + Sync) {
    if out.is_empty() {
        return;
    }
    let (base, total) = (Shared(out.as_mut_ptr()), out.len());
    let slices = total.div_ceil(len);
    // Small slices are taken several at a time.
    let batch = (slices / (threads() * 8)).max(1);
    run(slices.div_ceil(batch), &|b| {
        for i in b * batch..slices.min((b + 1) * batch) {
            // SAFETY: each index is taken once, and the ranges of different indices are disjoint parts of `out`, which this call borrows.
            task(i, unsafe { std::slice::from_raw_parts_mut(base.at(i * len), len.min(total - i * len)) });
        }
    });
}

/// A pointer that tasks share; each writes its own part behind it.
#[derive(Clone, Copy)]
pub(super) struct Shared<T>(pub(super) *mut T);

// SAFETY: the users write disjoint parts only.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// # Safety
    /// `offset` is within the allocation.
    pub(super) unsafe fn at(&self, offset: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(offset) }
    }
}

impl Pool {
    /// # Safety
    /// The caller holds `started`.
    unsafe fn run(&self, tasks: usize, task: &Task<'_>) -> std::thread::Result<()> {
        // SAFETY: no thread can read the job now. The lifetime is honest because this function returns only after the job is closed and its workers have left.
        unsafe { *self.job.get() = Some(std::mem::transmute::<&Task<'_>, &'static Task<'static>>(task)) };
        self.tasks.store(tasks, Relaxed);
        self.next.store(0, Relaxed);
        let number = self.state.load(Relaxed) / JOB + 1;
        self.state.store((number * JOB) | OPEN, SeqCst);
        if self.parked.load(SeqCst) > 0 {
            drop(self.park.lock().unwrap_or_else(PoisonError::into_inner));
            self.wake.notify_all();
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| self.take_tasks(task)));
        if outcome.is_err() {
            self.next.store(tasks, Relaxed);
        }
        self.state.fetch_and(!OPEN, Relaxed);
        let mut spins = 0u32;
        while self.state.load(Acquire) & WORKERS != 0 {
            spins += 1;
            if spins < 10_000 {
                std::hint::spin_loop();
            } else {
                // A worker was put aside in the middle of its task: give it this core.
                std::thread::yield_now();
            }
        }
        outcome
    }

    fn take_tasks(&self, task: &Task<'_>) {
        let tasks = self.tasks.load(Relaxed);
        loop {
            let i = self.next.fetch_add(1, Relaxed);
            if i >= tasks {
                return;
            }
            task(i);
        }
    }

    /// What thread `index` (from 1) does for ever.
    fn work(&self, index: usize) {
        let mut done = 0;
        loop {
            let state = self.wait(index, done);
            done = state / JOB;
            if state & OPEN == 0 || index >= self.wanted.load(Relaxed) {
                continue;
            }
            // Joins only if the job is still the one that was seen, and open.
            let joined = self.state.fetch_update(Acquire, Relaxed, |now| (now & OPEN != 0 && now / JOB == done).then_some(now + 1));
            if joined.is_err() {
                continue;
            }
            // SAFETY: this thread is counted as a worker of an open job, so the job stays until it leaves.
            let task = unsafe { *self.job.get() };
            if let Some(task) = task
                && catch_unwind(AssertUnwindSafe(|| self.take_tasks(task))).is_err()
            {
                self.panicked.store(true, Relaxed);
            }
            self.state.fetch_sub(1, Release);
        }
    }

    /// Waits for a job that is not number `done`; spins first, then parks.
    fn wait(&self, index: usize, done: u64) -> u64 {
        let mut since = None;
        let mut spins = 0u32;
        loop {
            let state = self.state.load(Acquire);
            if state / JOB != done {
                return state;
            }
            std::hint::spin_loop();
            spins += 1;
            if !spins.is_multiple_of(64) {
                continue;
            }
            if since.get_or_insert_with(Instant::now).elapsed() < SPIN && index < self.wanted.load(Relaxed) {
                continue;
            }
            let mut guard = self.park.lock().unwrap_or_else(PoisonError::into_inner);
            self.parked.fetch_add(1, SeqCst);
            // Either this sees the new job, or the job's owner sees a parked thread and wakes it.
            while self.state.load(SeqCst) / JOB == done {
                guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
            self.parked.fetch_sub(1, SeqCst);
        }
    }
}

// On wasm there are no threads, and a panic ends the program.
#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_and_panics_come_back() {
        set_threads(4);
        for tasks in [0, 1, 2, 7, 1000] {
            for _ in 0..50 {
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                run(tasks, &|i| {
                    counts[i].fetch_add(1, Relaxed);
                });
                assert!(counts.iter().all(|c| c.load(Relaxed) == 1));
            }
        }
        // Long enough for the threads to park.
        std::thread::sleep(Duration::from_millis(10));
        let mut out = vec![0; 1003];
        for_each_slice(&mut out, 10, |i, slice| slice.fill(i));
        assert!(out.iter().enumerate().all(|(i, &v)| v == i / 10));

        let panic = catch_unwind(|| run(100, &|i| assert_ne!(i, 37)));
        assert!(panic.is_err());
        run(100, &|_| ());
    }

    #[test]
    fn jobs_from_several_threads_all_finish() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let sum = AtomicUsize::new(0);
                        run(16, &|i| {
                            sum.fetch_add(i, Relaxed);
                        });
                        assert_eq!(sum.into_inner(), 120);
                    }
                });
            }
        });
    }
}
