//! The ends of the runs of one tick. Destinations of an account whose ticks come together stop at
//! the same event, so that their last objects are the same, too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use auditstream_model::{EpochMillis, Sequence};

use super::lease::Lease;
use crate::database::{Database, now};
use crate::error::Result;

/// The time for which an end serves further runs: the runs of a tick begin within some seconds.
const VALID: Duration = Duration::from_secs(5);

/// The newest events of accounts, by their ids, as runs have read them.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends(Arc<Mutex<HashMap<i64, End>>>);

#[derive(Clone, Copy, Debug)]
struct End {
    last_sequence: Sequence,
    read: Instant,
    /// The time of the reading, by the clock of this server.
    time: EpochMillis,
}

impl End {
    fn new(last_sequence: Sequence) -> Self {
        Self {
            last_sequence,
            read: Instant::now(),
            time: now(),
        }
    }

    /// Whether a run of the tick at `tick` can stop there.
    fn serves(&self, tick: EpochMillis) -> bool {
        self.time >= tick && self.read.elapsed() < VALID
    }
}

impl Ends {
    /// Returns the last event of a run. For a requested run it is the newest one; for others, the
    /// one that was the newest when the first run of their tick began.
    pub(super) async fn of(&self, database: &Database, account_id: i64, lease: Lease) -> Result<Sequence> {
        if !lease.is_requested
            && let Some(end) = self.known(account_id).filter(|end| end.serves(lease.tick))
        {
            return Ok(end.last_sequence);
        }
        let last_sequence = sqlx::query_scalar("SELECT last_sequence FROM account WHERE id = $1")
            .bind(account_id)
            .fetch_one(database.read())
            .await?;
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ends.retain(|_, end| end.read.elapsed() < VALID);
        ends.insert(account_id, End::new(last_sequence));
        Ok(last_sequence)
    }

    fn known(&self, account_id: i64) -> Option<End> {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ends.get(&account_id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_serves_the_runs_of_its_tick() {
        let end = End::new(7);
        assert!(end.serves(end.time) && end.serves(end.time - 1000));
        assert!(!end.serves(end.time + 1), "it may be older than the tick");
        let read = Instant::now().checked_sub(VALID);
        assert!(read.is_none_or(|read| !End { read, ..end }.serves(0)), "it is too old");
    }
}
