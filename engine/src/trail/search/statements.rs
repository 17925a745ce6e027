//! The statements by which searches go through the trail, newest first. Each reads a bounded number
//! of rows through one index.

use auditstream_model::{EpochMillis, Sequence};

use crate::database::Dialect;
use crate::trail::segment;

/// Finds the last of a number of rows below a position: the floor of the next step. It reads the
/// index alone.
pub(super) fn floor(dialect: Dialect) -> &'static str {
    dialect.pick(FLOOR_SQLITE, FLOOR_POSTGRES)
}

/// `+` hides the time from the planner: with the statistics of a single account it would skip the
/// account in the index, and sort.
const FLOOR_SQLITE: &str = r"
    SELECT time, sequence FROM audit_event
     WHERE account_id = $1 AND time >= $2 AND time <= $3 AND (+time, sequence) < ($3, $4)
     ORDER BY time DESC, sequence DESC LIMIT 1 OFFSET $5";
const FLOOR_POSTGRES: &str = r"
    SELECT time, sequence FROM audit_event
     WHERE account_id = $1 AND time >= $2 AND time <= $3 AND (time, sequence) < ($3, $4)
     ORDER BY time DESC, sequence DESC LIMIT 1 OFFSET $5";

/// The rows from a floor up to a position, newest first. Both ends are also bounds of `time` alone,
/// because SQLite uses only those to enter the index.
pub(super) const CANDIDATES: &str = r"
    SELECT time, sequence FROM audit_event
     WHERE account_id = $1 AND time >= $2 AND time <= $3
       AND (time, sequence) < ($3, $4) AND (time, sequence) >= ($2, $5)
     ORDER BY time DESC, sequence DESC LIMIT $6";

/// The first and the last time in a range of times, both ends included.
pub(super) fn ends() -> [&'static str; 2] {
    [
        "SELECT time FROM audit_event WHERE account_id = $1 AND time >= $2 AND time <= $3 ORDER BY time LIMIT 1",
        "SELECT time FROM audit_event WHERE account_id = $1 AND time >= $2 AND time <= $3 ORDER BY time DESC LIMIT 1",
    ]
}

/// Returns the statements of searches with their names and the types of their parameters, `i` for
/// integers and `t` for texts, for tests that let the database explain them.
#[must_use]
pub fn explained(dialect: Dialect) -> Vec<(&'static str, &'static str, &'static str)> {
    let mut statements = vec![("floor", floor(dialect), "iiiii"), ("candidates", CANDIDATES, "iiiiii")];
    statements.extend(segment::explained(dialect));
    statements
}

/// A place in the order of the trail: newest first, by `auditEventTime` and sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
pub(super) struct Position {
    pub(super) time: EpochMillis,
    pub(super) sequence: Sequence,
}
