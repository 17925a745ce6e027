//! The months by which PostgreSQL partitions the trail, as this server knows them.
//!
//! Each row of the trail has the month of its receipt, counted from January 1970, or 0: that
//! partition always exists, and takes the events of months whose partition does not. The events
//! of consecutive sequences have the same month, so that a few [`Range`]s give the partitions in
//! which a sequence can be. Partition 0 can have rows of every range: those that have not been
//! moved to their month yet, and those that were moved aside.
//!
//! `trail::partitions` reads, creates and drops partitions. On SQLite there are no months.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use auditstream_model::{EpochMillis, Sequence};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The largest number that the column `month` can have.
const LARGEST: i64 = 32_767;

/// Returns the month of a time: the number of months since January 1970; 0 outside of the years
/// that are known.
pub(crate) fn month_of(time: EpochMillis) -> i64 {
    let month = Timestamp::from_millisecond(time).map(|time| {
        let date = time.to_zoned(TimeZone::UTC).date();
        (i64::from(date.year()) - 1970) * 12 + i64::from(date.month()) - 1
    });
    month.ok().filter(|month| (1..=LARGEST).contains(month)).unwrap_or(0)
}

/// Returns the first millisecond of a month; the end of time for one that does not exist.
pub(crate) fn start_of(month: i64) -> EpochMillis {
    let year = i16::try_from(1970 + month.div_euclid(12)).ok();
    let number = i8::try_from(month.rem_euclid(12) + 1).ok();
    let start = year.zip(number).and_then(|(year, number)| {
        let date = Date::new(year, number, 1).ok()?;
        date.to_zoned(TimeZone::UTC).ok()
    });
    start.map_or(i64::MAX, |start| start.timestamp().as_millisecond())
}

/// The partitions that a statement visits besides partition 0: those of these months, both
/// included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Months {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Months {
    pub(crate) const ALL: Self = Self {
        first: 0,
        last: LARGEST,
    };
    /// Only partition 0.
    const NONE: Self = Self { first: 0, last: 0 };

    /// The months from the lowest to the highest of some ranges. A range of month 0 can be in the
    /// middle of a move to its month, whichever that is.
    pub(crate) fn between(lowest: i64, highest: i64) -> Self {
        if lowest == 0 {
            return Self::ALL;
        }
        Self {
            first: lowest,
            last: highest,
        }
    }
}

/// The sequences from `first_sequence` up to the next range were received in one month, or are in
/// partition 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Range {
    pub(crate) first_sequence: Sequence,
    pub(crate) month: i64,
}

/// Returns the months of the events from `first` to `last`, by all ranges of an account. The caller
/// has locked the account, so that no event is on its way from partition 0 to its month.
pub(crate) fn months_between(ranges: &[Range], first: Sequence, last: Sequence) -> Months {
    if ranges.is_empty() {
        return Months::ALL;
    }
    let begun = ranges.partition_point(|range| range.first_sequence <= first);
    let end = ranges.partition_point(|range| range.first_sequence <= last);
    let months = ranges
        .get(begun.saturating_sub(1)..end)
        .unwrap_or_default()
        .iter()
        .map(|range| range.month);
    let months = months.filter(|month| *month != 0);
    months.fold(Months::NONE, |months, month| match months {
        Months::NONE => Months::between(month, month),
        Months { first, last } => Months::between(first.min(month), last.max(month)),
    })
}

/// The ranges of an account, as of the last look.
#[derive(Clone, Debug)]
struct Known {
    /// How often they have changed.
    changes: i64,
    last_sequence: Sequence,
    ranges: Arc<[Range]>,
}

/// The partitions and ranges that this server knows. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownMonths(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// The months whose partitions take new events.
    attached: Mutex<BTreeSet<i64>>,
    accounts: Mutex<HashMap<i64, Known>>,
}

impl KnownMonths {
    fn attached(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.0.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<i64, Known>> {
        self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the month of new events that are received at `time`; 0 if it has no partition.
    pub(crate) fn label(&self, time: EpochMillis) -> i64 {
        let month = month_of(time);
        if self.attached().contains(&month) { month } else { 0 }
    }

    /// Notes the months whose partitions take new events.
    pub(crate) fn found(&self, attached: BTreeSet<i64>) {
        *self.attached() = attached;
    }

    /// Called when a partition was missing: new events go to partition 0 until the next look.
    pub(crate) fn forget(&self) {
        self.attached().clear();
    }

    /// Returns the ranges of an account that have changed `changes` times; `None` if they are not
    /// known.
    pub(crate) fn ranges(&self, account_id: i64, changes: i64, last_sequence: Sequence) -> Option<Arc<[Range]>> {
        let mut accounts = self.accounts();
        let known = accounts.get_mut(&account_id)?;
        if known.changes != changes || known.last_sequence > last_sequence {
            // An older sequence: another history, as after a failover.
            accounts.remove(&account_id);
            return None;
        }
        known.last_sequence = last_sequence;
        Some(Arc::clone(&known.ranges))
    }

    /// Notes the ranges of an account.
    pub(crate) fn note(&self, account_id: i64, changes: i64, last_sequence: Sequence, ranges: Arc<[Range]>) {
        let known = Known {
            changes,
            last_sequence,
            ranges,
        };
        self.accounts().insert(account_id, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_on_their_first_day() {
        assert_eq!((month_of(0), month_of(-1), start_of(0)), (0, 0, 0));
        for month in [1, 599, 680, 683, 684, 32_767] {
            assert_eq!(month_of(start_of(month)), month);
            assert_eq!(month_of(start_of(month + 1) - 1), month);
        }
        assert_eq!(start_of(680), 1_788_220_800_000, "2026-09-01");
        assert_eq!(month_of(i64::MAX), 0);
        assert_eq!(start_of(i64::MAX), i64::MAX);
    }

    #[test]
    fn ranges_give_the_months_of_sequences() {
        let range = |(first_sequence, month)| Range { first_sequence, month };
        let ranges = [(1, 680), (101, 0), (201, 681), (301, 682)].map(range);
        let months = |first, last| months_between(&ranges, first, last);
        assert_eq!(months(5, 100), Months::between(680, 680));
        assert_eq!(months(100, 101), Months::between(680, 680));
        assert_eq!(months(110, 120), Months::NONE);
        assert_eq!(months(200, 301), Months::between(681, 682));
        assert_eq!(months(500, 600), Months::between(682, 682));
        assert_eq!(months(0, 7), Months::between(680, 680));
        assert_eq!(months_between(&[], 1, 2), Months::ALL);
    }
}
