//! Masks computed beside a step: while the device computes the logits, other threads find out which tokens may be chosen from them.

use std::{
    sync::{Mutex, PoisonError},
    thread,
};

use hearth_kernels::Mask;

use super::Constraint;

/// Threads for masks at most.
const THREADS: usize = 8;
const STACK_BYTES: usize = 16 << 20;

/// Runs `step` while the masks of `constraints` are computed, each for a row of its logits, and gives it a way to wait for them. A constraint that fails gives none.
pub(crate) fn beside<T>(constraints: Vec<(usize, &mut Constraint)>, step: impl FnOnce(&mut dyn FnMut() -> Vec<Mask>) -> T) -> T {
    if constraints.is_empty() {
        return step(&mut Vec::new);
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = constraints.len().min(cores).min(THREADS);
    let (todo, done) = (Mutex::new(constraints), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let next = todo.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((row, constraint)) = next else { return };
            if let Some(allowed) = constraint.mask() {
                done.lock().unwrap_or_else(PoisonError::into_inner).push(Mask { row, allowed });
            }
        }
    };
    thread::scope(|scope| {
        let thread = || thread::Builder::new().name("hearth-mask".into()).stack_size(STACK_BYTES);
        // Where none can be started, what is left is done below.
        let mut started: Vec<_> = (0..threads).map_while(|_| thread().spawn_scoped(scope, work).ok()).collect();
        step(&mut || {
            work();
            started.drain(..).for_each(|thread| drop(thread.join()));
            std::mem::take(&mut *done.lock().unwrap_or_else(PoisonError::into_inner))
        })
    })
}
