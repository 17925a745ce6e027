//! Work on several threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Returns the results of `work` for each item, in order.
pub(super) fn map<T: Sync, R: Send>(threads: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { break };
                    let result = work(item);
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Does the work that `produce` hands out. A few items per thread wait at most.
pub(super) fn feed<T: Send>(threads: usize, work: impl Fn(T) + Sync, produce: impl FnOnce(&mut dyn FnMut(T))) {
    let (send, receive) = sync_channel::<T>(threads * 4);
    let receive = Mutex::new(receive);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let item = receive.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(item) = item else { break };
                    work(item);
                }
            });
        }
        // Fails only if a thread panicked, which ends the scope with a panic.
        produce(&mut |item| drop(send.send(item)));
        drop(send);
    });
}
