use std::time::Duration;

use auditstream_model::EpochMillis;

use crate::database::now;

/// How long events are retained, and how fast older ones are removed.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Minimum age of an event, since its receipt, at which it is removed.
    pub keep: Duration,
    /// Maximum number of events that one transaction removes.
    pub step: u32,
    /// Pause between two of these transactions, in which other writers proceed.
    pub pause: Duration,
    /// Time between two sweeps.
    pub every: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(730 * 86_400),
            step: 1_000,
            pause: Duration::from_millis(100),
            every: Duration::from_secs(60),
        }
    }
}

impl Retention {
    /// Events received before this time are old enough to be removed.
    pub(super) fn cutoff(&self) -> EpochMillis {
        now().saturating_sub(i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX))
    }
}
