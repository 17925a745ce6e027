//! Every hour that begins while the destination is active has its statement.

use auditstream_model::EpochMillis;

use super::History;
use crate::evidence::statement::{Absent, Entry, Hour, Statement};
use crate::evidence::verify::report::Kind;
use crate::evidence::verify::times::shown;

const HOUR: EpochMillis = 3_600_000;

impl History<'_> {
    pub(super) fn hour(&mut self, hour: &Hour, time: EpochMillis) {
        let begin = hour.hour;
        if begin % HOUR != 0 || begin > time {
            self.wrong(
                Kind::StatementInvalid,
                format!("{} is not the beginning of an hour that has begun", shown(begin)),
            );
        }
        if !self.is_active_known {
            (self.active, self.is_active_known) = (true, true);
            self.due = begin;
        }
        if self.optional.take() != Some(begin) && !self.is_cut {
            if !self.active {
                self.wrong(
                    Kind::StatementInvalid,
                    "there is no hour while the destination is paused".to_owned(),
                );
            } else if begin < self.due {
                self.wrong(
                    Kind::StatementInvalid,
                    format!("the hour {} has two statements", shown(begin)),
                );
            }
            self.miss(begin - HOUR);
        }
        self.due = self.due.max(begin + HOUR);
        self.head(hour.cursor, hour.newest);
    }

    /// Requires the statements of all hours before a statement, except those of an absence.
    pub(super) fn require_hours(&mut self, entry: &Entry) {
        if let Statement::Absent(Absent { from, to }) = entry.statement {
            self.miss(from);
            let last = to - to.rem_euclid(HOUR);
            if self.active && last >= self.due && last > from {
                self.optional = Some(last);
                self.due = last + HOUR;
            }
            return;
        }
        self.optional = None;
        self.miss(entry.time);
    }

    /// Reports the hours that are due and have begun by a time.
    fn miss(&mut self, time: EpochMillis) {
        if !self.active || !self.is_active_known || self.due > time {
            return;
        }
        let last = time - time.rem_euclid(HOUR);
        if !self.is_cut {
            let message = match (last - self.due) / HOUR + 1 {
                1 => format!("the hour {} has no statement", shown(self.due)),
                hours => format!(
                    "{hours} hours from {} to {} have no statement",
                    shown(self.due),
                    shown(last)
                ),
            };
            self.wrong(Kind::HourMissing, message);
        }
        self.due = last + HOUR;
    }
}

/// Returns the beginning of the next hour.
pub(super) fn next_hour(time: EpochMillis) -> EpochMillis {
    time - time.rem_euclid(HOUR) + HOUR
}
