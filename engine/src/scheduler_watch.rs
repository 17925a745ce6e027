//! Whether the scheduler is alive.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When the scheduler last looked for due destinations.
#[derive(Debug, Default)]
pub(crate) struct SchedulerWatch(Mutex<Option<Instant>>);

impl SchedulerWatch {
    /// Called when the scheduler starts, and each time it has looked.
    pub(crate) fn looked(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Called when the scheduler stops because the server stops.
    pub(crate) fn stopped(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How long ago the scheduler last looked; `None` while it is not running.
    pub(crate) fn age(&self) -> Option<Duration> {
        let looked = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looked.map(|looked| looked.elapsed())
    }
}
