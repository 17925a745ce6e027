//! Times for people.

use auditstream_model::EpochMillis;
use jiff::Timestamp;

/// Returns a time such as `2026-11-27T10:00:00Z`.
pub(super) fn shown(time: EpochMillis) -> String {
    match Timestamp::from_millisecond(time) {
        Ok(time) => format!("{time:.0}"),
        Err(_) => format!("{time} ms"),
    }
}
