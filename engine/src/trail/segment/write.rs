//! Inserts new events.

use std::fmt::Write as _;

use auditstream_model::{EpochMillis, Sequence};
use sqlx::FromRow;

use super::codec::Encoded;
use crate::database::{Dialect, WriteTx};
use crate::error::Result;

/// The place of new events in the trail, and their time of receipt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) first_sequence: Sequence,
    pub(crate) received: EpochMillis,
    /// The payload bytes of the account's earlier events.
    pub(crate) bytes_before: i64,
    /// The month of their partition; 0 on SQLite.
    pub(crate) month: i64,
}

const INSERT_SEGMENT_SQLITE: &str = "
    INSERT INTO audit_segment (account_id, first_sequence, last_sequence, received, last_received, bytes_before, bytes,
                               times, content)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const INSERT_SEGMENT_POSTGRES: &str = "
    INSERT INTO audit_segment (account_id, first_sequence, last_sequence, received, last_received, bytes_before, bytes,
                               times, content, month)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

/// `OR FAIL`, because SQLite would otherwise copy each page that it changes, to be able to undo
/// this statement alone.
const INSERT_EVENTS_SQLITE: &str = "
    INSERT OR FAIL INTO audit_event (account_id, time, sequence)
    SELECT $1, value, $2 + key FROM json_each('[' || $3 || ']')";
const INSERT_EVENTS_POSTGRES: &str = "
    INSERT INTO audit_event (account_id, time, sequence, month)
    SELECT $1, event.time, $2 + event.number - 1, $4
    FROM unnest(string_to_array($3, ',')::bigint[]) WITH ORDINALITY AS event (time, number)";

/// Inserts the segments of consecutive new events, and their times. Returns the payload bytes of
/// the trail with them.
pub(crate) async fn write(
    tx: &mut WriteTx,
    account_id: i64,
    place: Place,
    segments: &[Encoded],
    times: impl Iterator<Item = EpochMillis>,
) -> Result<i64> {
    let Place {
        mut first_sequence,
        received,
        mut bytes_before,
        month,
    } = place;
    for segment in segments {
        let next = first_sequence + i64::try_from(segment.events).unwrap_or(0);
        let bytes = i64::try_from(segment.bytes).unwrap_or(0);
        let head = Head {
            first_sequence,
            last_sequence: next - 1,
            received,
            last_received: received,
            bytes_before,
            bytes,
            month,
        };
        insert(tx, account_id, head, segment).await?;
        first_sequence = next;
        bytes_before += bytes;
    }
    let query = sqlx::query(tx.dialect().pick(INSERT_EVENTS_SQLITE, INSERT_EVENTS_POSTGRES))
        .bind(account_id)
        .bind(place.first_sequence)
        .bind(joined(times));
    let query = match tx.dialect() {
        Dialect::Sqlite => query,
        Dialect::Postgres => query.bind(month),
    };
    query.execute(&mut **tx).await?;
    Ok(bytes_before)
}

/// The place, the size and the receipts of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub(super) struct Head {
    pub(super) first_sequence: Sequence,
    pub(super) last_sequence: Sequence,
    pub(super) received: EpochMillis,
    pub(super) last_received: EpochMillis,
    pub(super) bytes_before: i64,
    pub(super) bytes: i64,
    /// The month of its partition; 0 on SQLite.
    #[sqlx(default)]
    pub(super) month: i64,
}

/// Inserts a segment.
pub(super) async fn insert(tx: &mut WriteTx, account_id: i64, head: Head, segment: &Encoded) -> Result<()> {
    let query = sqlx::query(tx.dialect().pick(INSERT_SEGMENT_SQLITE, INSERT_SEGMENT_POSTGRES))
        .bind(account_id)
        .bind(head.first_sequence)
        .bind(head.last_sequence)
        .bind(head.received)
        .bind(head.last_received)
        .bind(head.bytes_before)
        .bind(head.bytes)
        .bind(segment.times.as_slice())
        .bind(segment.content.as_slice());
    let query = match tx.dialect() {
        Dialect::Sqlite => query,
        Dialect::Postgres => query.bind(head.month),
    };
    query.execute(&mut **tx).await?;
    Ok(())
}

/// Joins numbers with commas.
pub(crate) fn joined(numbers: impl Iterator<Item = i64>) -> String {
    let mut text = String::new();
    for number in numbers {
        if !text.is_empty() {
            text.push(',');
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{number}");
    }
    text
}
