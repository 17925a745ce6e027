//! The clock of a server, and the time to record.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use auditstream_model::EpochMillis;

/// How far two clocks may differ without a consequence, ms.
const TOLERANCE: i64 = 5 * 60_000;

/// Returns the time of the system's clock, epoch ms.
#[must_use]
pub fn now() -> EpochMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The clock of one server. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Between the system's clock and that of a test, ms.
    shift: AtomicI64,
    /// Between this clock and a better one, while this one is known to be wrong, ms.
    correction: AtomicI64,
    /// The time that the clock of another host showed.
    witness: Mutex<Option<SeenTime>>,
}

/// A time, and when it was seen by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenTime {
    pub(crate) time: EpochMillis,
    pub(crate) at: Instant,
}

impl SeenTime {
    pub(crate) fn new(time: EpochMillis) -> Self {
        let at = Instant::now();
        Self { time, at }
    }

    /// The time now, by the monotonic clock.
    pub(crate) fn now(self) -> EpochMillis {
        let elapsed = i64::try_from(self.at.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.time.saturating_add(elapsed)
    }
}

impl Clock {
    /// Sets the clock `ms` ahead of the system's, for tests; back if negative.
    pub fn shift(&self, ms: i64) {
        self.0.shift.store(ms, Ordering::SeqCst);
    }

    /// The time that this clock shows, right or wrong.
    pub(crate) fn wall(&self) -> EpochMillis {
        now().saturating_add(self.0.shift.load(Ordering::SeqCst))
    }

    /// The best time known.
    pub(crate) fn now(&self) -> EpochMillis {
        self.wall().saturating_add(self.0.correction.load(Ordering::SeqCst))
    }

    /// Follows a better clock, which differs by `ms`; small differences are ignored.
    pub(crate) fn correct(&self, ms: i64) {
        let correction = if ms.abs() > TOLERANCE { ms } else { 0 };
        self.0.correction.store(correction, Ordering::SeqCst);
    }

    /// Notes the time that the clock of another host shows.
    pub(crate) fn witness(&self, time: EpochMillis) {
        *self.0.witness.lock().unwrap_or_else(PoisonError::into_inner) = Some(SeenTime::new(time));
    }

    /// Whether the clock of another host shows this time.
    pub(crate) fn is_witnessed(&self, time: EpochMillis) -> bool {
        let witness = *self.0.witness.lock().unwrap_or_else(PoisonError::into_inner);
        witness.is_some_and(|witness| witness.now().abs_diff(time) <= TOLERANCE.unsigned_abs())
    }
}

/// Returns the time to record for something that follows something else, recorded at `previous`.
///
/// The result does not decrease when a clock is set back. But a `previous` from a clock that was
/// ahead, beyond `trusted`, the latest time known to have come, is left alone: it would rule until
/// its time comes.
pub(crate) fn time_after(previous: EpochMillis, now: EpochMillis, trusted: EpochMillis) -> EpochMillis {
    let is_slow = now.saturating_add(TOLERANCE) < trusted;
    let now = if is_slow { trusted } else { now };
    let has_come = previous.saturating_sub(TOLERANCE) <= now.max(trusted);
    if has_come { now.max(previous) } else { now }
}

/// Whether a time lies in the future by more than clocks differ.
pub(crate) fn is_future(time: EpochMillis, now: EpochMillis) -> bool {
    time.saturating_sub(TOLERANCE) > now
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: EpochMillis = 1_800_000_000_000;
    const MINUTE: i64 = 60_000;
    const YEAR: i64 = 365 * 24 * 60 * MINUTE;

    #[test]
    fn a_time_does_not_decrease_when_a_clock_is_set_back() {
        assert_eq!(time_after(NOW - 1, NOW, NOW), NOW);
        assert_eq!(time_after(NOW + MINUTE, NOW, NOW), NOW + MINUTE, "a small difference");
        assert_eq!(time_after(NOW, NOW - YEAR, NOW - MINUTE), NOW, "the time had come");
        assert_eq!(
            time_after(NOW - YEAR, NOW - 2 * YEAR, NOW),
            NOW,
            "a clock that is behind"
        );
        assert_eq!(time_after(0, NOW - YEAR, NOW), NOW);
    }

    #[test]
    fn a_time_from_a_clock_that_was_ahead_does_not_rule() {
        assert_eq!(time_after(NOW + 40 * YEAR, NOW, NOW - MINUTE), NOW);
        assert_eq!(time_after(NOW + 40 * YEAR, NOW, 0), NOW, "before any time was trusted");
        assert_eq!(time_after(NOW + 40 * YEAR, NOW - YEAR, NOW), NOW, "and now behind");
        assert!(is_future(NOW + YEAR, NOW) && !is_future(NOW + MINUTE, NOW));
    }

    #[test]
    fn another_host_confirms_a_time() {
        let clock = Clock::default();
        assert!(!clock.is_witnessed(NOW));
        clock.witness(NOW);
        assert!(clock.is_witnessed(NOW + MINUTE) && !clock.is_witnessed(NOW + YEAR));
    }

    #[test]
    fn a_clock_follows_a_better_one() {
        let clock = Clock::default();
        clock.shift(YEAR);
        assert!((clock.wall() - now() - YEAR).abs() < MINUTE);
        clock.correct(-YEAR);
        assert!((clock.now() - now()).abs() < MINUTE);
        clock.correct(MINUTE);
        assert!(
            (clock.now() - clock.wall()).abs() < MINUTE / 2,
            "a small difference is ignored"
        );
    }
}
