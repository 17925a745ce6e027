//! The last counts of retained events, by destination.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use auditstream_model::{HeldBack, Sequence};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

/// How long a count is valid.
const VALID_FOR: Duration = Duration::from_secs(60);
/// Smaller counts are not cached: they are quick to repeat.
const CACHED_FROM: i64 = 10_000;

#[derive(Debug)]
struct Count {
    at: Instant,
    cursor: Sequence,
    retained: HeldBack,
}

/// Recent counts of the events retained for each destination, by its id.
#[derive(Debug, Default)]
pub(crate) struct RetainedCache {
    counts: Mutex<HashMap<i64, Count>>,
    counting: AsyncMutex<()>,
}

impl RetainedCache {
    /// Waits for its turn to count. One count runs at a time, since each reads many rows.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.counting.lock().await
    }

    /// The events retained for a destination whose cursor is `cursor` now. Estimates their bytes if
    /// it has moved since the count, on the assumption that events have the same size. `None` if
    /// there is no valid count.
    pub(super) fn get(&self, destination_id: i64, cursor: Sequence) -> Option<HeldBack> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&destination_id)?;
        let HeldBack { events, bytes } = count.retained;
        let left = events - (cursor - count.cursor);
        if count.at.elapsed() >= VALID_FOR || !(1..=events).contains(&left) {
            return None;
        }
        let bytes_left = i128::from(bytes) * i128::from(left) / i128::from(events);
        Some(HeldBack {
            events: left,
            bytes: i64::try_from(bytes_left).unwrap_or(bytes),
        })
    }

    /// Caches a count and removes those that have expired.
    pub(super) fn put(&self, destination_id: i64, cursor: Sequence, retained: HeldBack) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, count| count.at.elapsed() < VALID_FOR);
        if retained.events >= CACHED_FROM {
            let at = Instant::now();
            counts.insert(destination_id, Count { at, cursor, retained });
        }
    }
}
