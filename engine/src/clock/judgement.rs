//! The decision, from everything known about the time.

use auditstream_model::EpochMillis;

/// How far two clocks may differ without a doubt, ms.
pub(super) const TOLERANCE: i64 = 60 * 60_000;

/// The known facts about the time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    /// This server's clock.
    pub(super) wall: EpochMillis,
    /// The database's clock; `None` if it is the same one.
    pub(super) database: Option<EpochMillis>,
    /// The latest time that was trusted, plus the time elapsed since; `None` before the first.
    pub(super) known: Option<EpochMillis>,
    /// The newest receipt of an event; `None` without one.
    pub(super) newest_receipt: Option<EpochMillis>,
    /// Whether an independent clock shows the same time.
    pub(super) is_witnessed: bool,
    /// Whether the clock has run evenly for long enough.
    pub(super) has_settled: bool,
}

/// Whether the clock can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It agrees with everything that is known.
    Trusted,
    /// It agrees, but has not run evenly for long enough.
    Settling,
    /// Milliseconds by which it is ahead of every known time.
    Ahead(i64),
    /// Milliseconds by which it is before a time that has come already.
    Behind(i64),
    /// Milliseconds by which it is ahead of the database's clock; negative if it is behind.
    DiffersFromDatabase(i64),
}

impl Judgement {
    /// Whether something contradicts the clock.
    pub(crate) fn is_doubt(self) -> bool {
        !matches!(self, Self::Trusted | Self::Settling)
    }

    /// Explains it in a sentence, with what to do.
    pub(crate) fn explain(self) -> String {
        match self {
            Self::Trusted => "The clock agrees with everything that is known about the time.".to_owned(),
            Self::Settling => {
                "The clock is watched for some minutes after the start, and after it was set. Old events are removed \
                 afterwards."
                    .to_owned()
            }
            Self::Ahead(ms) => format!(
                "The clock is {} ahead of the latest time that this installation knows. No old events are removed. If \
                 the server was off for so long and the clock is right, confirm it; otherwise correct the clock.",
                span(ms)
            ),
            Self::Behind(ms) => format!(
                "The clock is {} behind a time that has already come. No old events are removed. Correct the clock; if \
                 it is right and was ahead before, confirm it.",
                span(ms)
            ),
            Self::DiffersFromDatabase(ms) => format!(
                "The clock is {} {} that of the database. No old events are removed by this server. Correct the one \
                 that is wrong.",
                span(ms.saturating_abs()),
                if ms > 0 { "ahead of" } else { "behind" }
            ),
        }
    }
}

/// A duration in its largest unit: `3 hours`.
fn span(ms: i64) -> String {
    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let (count, unit) = match ms {
        YEAR.. => (ms / YEAR, "year"),
        DAY.. => (ms / DAY, "day"),
        _ => (ms / HOUR, "hour"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

pub(super) fn judge(evidence: &Evidence) -> Judgement {
    let Evidence { wall, .. } = *evidence;
    if let Some(database) = evidence.database
        && wall.abs_diff(database) > TOLERANCE.unsigned_abs()
    {
        return Judgement::DiffersFromDatabase(wall.saturating_sub(database));
    }
    if !evidence.is_witnessed {
        // A receipt is no reason to believe a time: it may come from this very clock.
        if let Some(latest) = evidence.known.or(evidence.newest_receipt)
            && wall > latest.saturating_add(TOLERANCE)
        {
            return Judgement::Ahead(wall - latest);
        }
        if let Some(known) = evidence.known
            && wall.saturating_add(TOLERANCE) < known
        {
            return Judgement::Behind(known - wall);
        }
    }
    if evidence.has_settled {
        Judgement::Trusted
    } else {
        Judgement::Settling
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: EpochMillis = 1_800_000_000_000;
    const HOUR: i64 = 3_600_000;
    const YEAR: i64 = 365 * 24 * HOUR;

    fn evidence(wall: EpochMillis) -> Evidence {
        Evidence {
            wall,
            database: None,
            known: Some(NOW),
            newest_receipt: Some(NOW),
            is_witnessed: false,
            has_settled: true,
        }
    }

    #[test]
    fn a_clock_within_an_hour_of_the_latest_trusted_time_is_trusted_once_it_runs_evenly() {
        for wall in [NOW - HOUR, NOW, NOW + HOUR] {
            assert_eq!(judge(&evidence(wall)), Judgement::Trusted);
            let settling = Evidence {
                has_settled: false,
                ..evidence(wall)
            };
            assert_eq!(judge(&settling), Judgement::Settling);
        }
    }

    #[test]
    fn a_clock_that_is_ahead_or_behind_by_years_is_doubted() {
        assert_eq!(judge(&evidence(NOW + 3 * YEAR)), Judgement::Ahead(3 * YEAR));
        assert_eq!(judge(&evidence(NOW - 3 * YEAR)), Judgement::Behind(3 * YEAR));
        let supported_by_its_own_receipts = Evidence {
            newest_receipt: Some(NOW + 3 * YEAR),
            ..evidence(NOW + 3 * YEAR)
        };
        assert_eq!(judge(&supported_by_its_own_receipts), Judgement::Ahead(3 * YEAR));
    }

    #[test]
    fn the_database_contradicts_a_clock_and_another_clock_confirms_it() {
        let contradicted = Evidence {
            database: Some(NOW),
            is_witnessed: true,
            ..evidence(NOW + 2 * HOUR)
        };
        assert_eq!(judge(&contradicted), Judgement::DiffersFromDatabase(2 * HOUR));
        for wall in [NOW - YEAR, NOW + YEAR] {
            let witnessed = Evidence {
                is_witnessed: true,
                ..evidence(wall)
            };
            assert_eq!(judge(&witnessed), Judgement::Trusted);
        }
    }

    #[test]
    fn before_a_first_trusted_time_the_newest_receipt_counts() {
        let first = |wall, newest_receipt| Evidence {
            known: None,
            newest_receipt,
            ..evidence(wall)
        };
        assert_eq!(judge(&first(NOW, None)), Judgement::Trusted);
        assert_eq!(judge(&first(NOW, Some(NOW - HOUR))), Judgement::Trusted);
        assert_eq!(judge(&first(NOW + YEAR, Some(NOW))), Judgement::Ahead(YEAR));
        let receipt_in_the_future = first(NOW, Some(NOW + 40 * YEAR));
        assert_eq!(judge(&receipt_in_the_future), Judgement::Trusted, "it rules nothing");
    }
}
