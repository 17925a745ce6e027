//! The statements of searches. Each reads a bounded number of rows through one index.

use auditstream_model::{AuditEvent, EpochMillis, EventFilter, Sequence, Show};

use super::super::stored_form::close;
use crate::database::{Dialect, Value};

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

/// The rows from a floor up to a position, newest first, that match the columns of a filter. Both
/// ends are also bounds of `time` alone, because SQLite uses only those to enter the index.
pub(super) const CANDIDATES: &str = r"
    SELECT time, sequence, CAST(octet_length(payload) AS BIGINT) AS bytes FROM audit_event
     WHERE account_id = $1 AND time >= $2 AND time <= $3
       AND (time, sequence) < ($3, $4) AND (time, sequence) >= ($2, $5)
       AND ($6 IS NULL OR principal = $6) AND ($7 IS NULL OR action = $7) AND ($8 IS NULL OR module = $8)
       AND ($9 IS NULL OR resource_type = $9) AND ($10 IS NULL OR resource = $10)
       AND ($11 IS NULL OR org = $11) AND ($12 IS NULL OR project = $12)
       AND ($13 <> 'no_login' OR action NOT IN ('LOGIN', 'LOGIN2FA', 'UNSUCCESSFUL_LOGIN'))
       AND ($13 <> 'no_system' OR principal_type <> 'SYSTEM')
     ORDER BY time DESC, sequence DESC LIMIT $14";

/// The rows of a range of sequences that match a filter. `+` hides the time from the planner, which
/// would otherwise read the whole range of time.
pub(super) const NEWER: &str = r"
    SELECT time, sequence, CAST(octet_length(payload) AS BIGINT) AS bytes FROM audit_event
     WHERE account_id = $1 AND +time >= $2 AND +time <= $3
       AND sequence > $4 AND sequence <= $5
       AND ($6 IS NULL OR principal = $6) AND ($7 IS NULL OR action = $7) AND ($8 IS NULL OR module = $8)
       AND ($9 IS NULL OR resource_type = $9) AND ($10 IS NULL OR resource = $10)
       AND ($11 IS NULL OR org = $11) AND ($12 IS NULL OR project = $12)
       AND ($13 <> 'no_login' OR action NOT IN ('LOGIN', 'LOGIN2FA', 'UNSUCCESSFUL_LOGIN'))
       AND ($13 <> 'no_system' OR principal_type <> 'SYSTEM')
     ORDER BY sequence LIMIT $14";

/// `CROSS JOIN` makes SQLite look up each sequence: it would rather scan the account to save the
/// sorting.
const EVENTS_SQLITE: &str = r"
    SELECT sequence, time, principal, action, module, resource_type, resource, org, project, payload
      FROM json_each($2) AS wanted CROSS JOIN audit_event
     WHERE account_id = $1 AND sequence = wanted.value
     ORDER BY time DESC, sequence DESC";
/// The lateral join makes PostgreSQL look up each sequence: without statistics it would scan the
/// account.
const EVENTS_POSTGRES: &str = r"
    SELECT event.* FROM json_array_elements_text($2::json) AS wanted (sequence)
     CROSS JOIN LATERAL (
           SELECT sequence, time, principal, action, module, resource_type, resource, org, project, payload
             FROM audit_event
            WHERE account_id = $1 AND sequence = wanted.sequence::bigint OFFSET 0) AS event
     ORDER BY time DESC, sequence DESC";

/// Selects the events with the sequences of a JSON array.
pub(super) fn events(dialect: Dialect) -> &'static str {
    dialect.pick(EVENTS_SQLITE, EVENTS_POSTGRES)
}

/// Returns the statements of searches with their names and the types of their parameters, `i` for
/// integers and `t` for texts, for tests that let the database explain them.
#[must_use]
pub fn explained(dialect: Dialect) -> [(&'static str, &'static str, &'static str); 4] {
    [
        ("floor", floor(dialect), "iiiii"),
        ("candidates", CANDIDATES, "iiiiitttttttti"),
        ("newer", NEWER, "iiiiitttttttti"),
        ("events", events(dialect), "it"),
    ]
}

/// A place in the order of the trail: newest first, by `auditEventTime` and sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
pub(super) struct Position {
    pub(super) time: EpochMillis,
    pub(super) sequence: Sequence,
}

/// A row that matches the columns of a filter.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(super) struct Candidate {
    pub(super) time: EpochMillis,
    pub(super) sequence: Sequence,
    /// Bytes of the event.
    pub(super) bytes: i64,
}

impl Candidate {
    pub(super) fn position(self) -> Position {
        Position {
            time: self.time,
            sequence: self.sequence,
        }
    }

    pub(super) fn size(self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }
}

/// An event as stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct StoredEvent {
    sequence: Sequence,
    time: EpochMillis,
    principal: String,
    action: String,
    module: String,
    resource_type: String,
    resource: String,
    org: Option<String>,
    project: Option<String>,
    payload: String,
}

impl From<StoredEvent> for AuditEvent {
    fn from(stored: StoredEvent) -> Self {
        const ENDING: usize = 40;
        let mut json = String::with_capacity(stored.payload.len() + ENDING);
        close(&mut json, &stored.payload, stored.sequence, None);
        Self {
            sequence: stored.sequence,
            time: stored.time,
            principal: stored.principal,
            action: stored.action,
            module: stored.module,
            resource_type: stored.resource_type,
            resource: stored.resource,
            org: stored.org,
            project: stored.project,
            json,
        }
    }
}

/// The columns of a filter.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// Principal, action, module, resource type, resource, organisation and project, as they are
    /// bound.
    texts: [Option<String>; 7],
    show: Show,
}

impl Columns {
    pub(super) fn of(filter: &EventFilter) -> Self {
        let texts = [
            &filter.principal,
            &filter.action,
            &filter.module,
            &filter.resource_type,
            &filter.resource,
            &filter.org,
            &filter.project,
        ];
        Self {
            texts: texts.map(|text| text.clone().filter(|text| !text.is_empty())),
            show: filter.show,
        }
    }

    /// Returns the values of [`CANDIDATES`] and [`NEWER`], of which the first five are `bounds`.
    pub(super) fn bind(&self, bounds: [i64; 5], most: i64) -> Vec<Value> {
        let mut values: Vec<Value> = bounds.into_iter().map(Value::Integer).collect();
        values.extend(self.texts.iter().cloned().map(Value::Text));
        values.push(Value::Text(Some(self.show.as_str().to_owned())));
        values.push(Value::Integer(most));
        values
    }
}
