//! Work shared by several threads that nobody else's work can come between.
//!
//! Much of an image is read once, by whoever asks first, while the others wait; and reading it is
//! work for several threads. A pool would be wrong for that: one of its threads, waiting for its
//! own part, takes up the next one that lies there, and where that asks for what the thread itself
//! is reading, both wait for ever. So each call here has threads of its own, which do nothing but
//! its work and end with it. How many there are at a time is counted, over all calls: where enough
//! run already, a call does its work alone.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Scope, ScopedJoinHandle};

/// The threads that run beside those that called.
static HELPERS: AtomicUsize = AtomicUsize::new(0);

/// The right to begin some threads; given back when it goes.
struct Permits(usize);

impl Permits {
    /// Takes up to `wanted`, as many as there are.
    fn take(wanted: usize) -> Self {
        let most = thread::available_parallelism().map_or(1, usize::from);
        let mut taken = 0;
        let _ = HELPERS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |running| {
            taken = wanted.min(most.saturating_sub(running));
            (taken > 0).then_some(running + taken)
        });
        Self(taken)
    }
}

impl Drop for Permits {
    fn drop(&mut self) {
        HELPERS.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// Begins a thread; `None` where the system has none left.
fn begin<'scope, R: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> R + Send + 'scope,
) -> Option<ScopedJoinHandle<'scope, R>> {
    thread::Builder::new().spawn_scoped(scope, work).ok()
}

fn ended<R>(helper: ScopedJoinHandle<'_, R>) -> R {
    helper.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Does two things at the same time, or one after the other where enough threads run already.
///
/// Panics where one of the two does.
pub fn join<A, B: Send>(one: impl FnOnce() -> A, other: impl FnOnce() -> B + Send) -> (A, B) {
    let permits = Permits::take(1);
    if permits.0 == 0 {
        return (one(), other());
    }
    // Taken by the thread, or by the caller where the system has no more threads.
    let other = Mutex::new(Some(other));
    let take = || other.lock().unwrap_or_else(PoisonError::into_inner).take();
    thread::scope(|scope| {
        let helper = begin(scope, || take().map(|other| other()));
        let one = one();
        let theirs = helper.and_then(ended);
        match theirs.or_else(|| take().map(|other| other())) {
            Some(other) => (one, other),
            None => unreachable!("either of the two takes it"),
        }
    })
}

/// Gives what `work` makes of each item, in their order; `batch` of them at a time are one thread's.
///
/// Panics where `work` does.
pub fn map<'i, T: Sync, R: Send>(
    items: &'i [T],
    batch: usize,
    work: impl Fn(&'i T) -> R + Sync,
) -> Vec<R> {
    let made = try_map(items, batch, |item| {
        Ok::<R, std::convert::Infallible>(work(item))
    });
    match made {
        Ok(made) => made,
        Err(never) => match never {},
    }
}

/// Gives what `work` makes of each item, in their order, or the error of the first item that has
/// one; those behind it may have been tried or not.
///
/// Panics where `work` does.
pub fn try_map<'i, T: Sync, R: Send, E: Send>(
    items: &'i [T],
    batch: usize,
    work: impl Fn(&'i T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let batch = batch.max(1);
    let batches = items.len().div_ceil(batch);
    let permits = Permits::take(batches.saturating_sub(1));
    if permits.0 == 0 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    // Each batch is taken by one thread, in order: none before one that failed is left out.
    let share = || {
        let mut made = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(items) = items.chunks(batch).nth(number) else {
                return made;
            };
            let results: Result<Vec<R>, E> = items.iter().map(&work).collect();
            if results.is_err() {
                next.fetch_max(batches, Ordering::Relaxed);
            }
            made.push((number, results));
        }
    };
    let mut made = thread::scope(|scope| {
        let helpers: Vec<_> = (0..permits.0).map_while(|_| begin(scope, share)).collect();
        let mut made = share();
        made.extend(helpers.into_iter().flat_map(ended));
        made
    });
    made.sort_by_key(|(number, _)| *number);
    let mut results = Vec::with_capacity(items.len());
    for (_, part) in made {
        results.extend(part?);
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn what_is_made_stands_in_the_order_of_the_items() {
        let items: Vec<u32> = (0..1000).collect();
        for batch in [0, 1, 7, 999, 1000, 5000] {
            let doubled = map(&items, batch, |item| item * 2);
            assert!(doubled.iter().copied().eq((0..1000).map(|i| i * 2)));
        }
        assert!(map(&[] as &[u32], 1, |item| *item).is_empty());
    }

    #[test]
    fn the_first_error_is_given_whoever_comes_first() {
        let items: Vec<u32> = (0..500).collect();
        for _ in 0..50 {
            let failed = try_map(&items, 3, |item| match item % 100 {
                77 => Err(*item),
                _ => Ok(()),
            });
            assert_eq!(failed, Err(77));
        }
    }

    #[test]
    fn calls_inside_of_calls_end_and_give_their_threads_back() {
        let items: Vec<u32> = (0..20).collect();
        let seen = Mutex::new(HashSet::new());
        let sums = map(&items, 1, |outer| {
            seen.lock().unwrap().insert(thread::current().id());
            let (one, two) = join(|| map(&items, 1, |i| i + outer), || *outer);
            one.iter().sum::<u32>() + two
        });
        assert!(
            sums.iter()
                .enumerate()
                .all(|(i, sum)| *sum == 190 + 21 * i as u32)
        );
        let most = thread::available_parallelism().map_or(1, usize::from);
        assert!(seen.lock().unwrap().len() <= most + 1);
    }

    #[test]
    fn two_things_are_done_at_the_same_time_where_a_thread_is_free() {
        // Each waits for a word of the other. Other tests may hold all threads for a moment.
        let met = (0..50).any(|_| {
            let ((to_one, by_one), (to_other, by_other)) = (mpsc::channel(), mpsc::channel());
            let wait = Duration::from_millis(200);
            let (one, other) = join(
                || to_other.send(()).is_ok() && by_one.recv_timeout(wait).is_ok(),
                move || to_one.send(()).is_ok() && by_other.recv_timeout(wait).is_ok(),
            );
            one && other
        });
        assert!(met);
    }

    #[test]
    fn a_panic_is_passed_on() {
        let items = [1, 2, 3, 4];
        let caught = std::panic::catch_unwind(|| {
            map(&items, 1, |item| assert_ne!(*item, 3));
        });
        assert!(caught.is_err());
        assert!(std::panic::catch_unwind(|| join(|| (), || panic!("other"))).is_err());
    }
}
