//! The state of a connection, shared by its stream, its requests and the list of connections.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Waits for the next request.
    Idle,
    /// Waits for the rest of a request's head. New connections begin here.
    Head,
    /// A request is being handled, and its body read.
    Handling,
    /// A response is being sent.
    Responding,
}

#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    phase: AtomicU8,
    /// When bytes were last sent or received, in nanoseconds after the beginning.
    progressed: AtomicU64,
    /// Bytes of the last request's body that were not read; `u64::MAX` if unknown.
    unread: AtomicU64,
    evicted: Notify,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            phase: AtomicU8::new(Phase::Head as u8),
            progressed: AtomicU64::new(0),
            unread: AtomicU64::new(0),
            evicted: Notify::new(),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Head,
            2 => Phase::Handling,
            _ => Phase::Responding,
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Records that bytes were sent or received.
    pub(super) fn progress(&self) {
        let nanos = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.progressed.store(nanos, Ordering::Relaxed);
    }

    /// When bytes were last sent or received; the beginning of the connection if none were.
    pub(super) fn last_progress(&self) -> Instant {
        self.began + Duration::from_nanos(self.progressed.load(Ordering::Relaxed))
    }

    pub(super) fn unread(&self) -> u64 {
        self.unread.load(Ordering::Relaxed)
    }

    pub(super) fn set_unread(&self, bytes: u64) {
        self.unread.store(bytes, Ordering::Relaxed);
    }

    /// Ends the connection.
    pub(super) fn evict(&self) {
        self.evicted.notify_one();
    }

    /// Completes when the connection has to end.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}
