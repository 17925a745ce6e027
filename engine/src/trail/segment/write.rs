//! Inserts new events.

use std::fmt::Write as _;

use auditstream_model::{EpochMillis, Sequence};

use super::codec::Encoded;
use crate::database::WriteTx;
use crate::error::Result;

/// The place of new events in the trail, and their time of receipt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) first_sequence: Sequence,
    pub(crate) received: EpochMillis,
    /// The payload bytes of the account's earlier events.
    pub(crate) bytes_before: i64,
}

pub(super) const INSERT_SEGMENT: &str = "
    INSERT INTO audit_segment (account_id, first_sequence, last_sequence, received, last_received, bytes_before, bytes,
                               times, content)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

const INSERT_EVENTS_SQLITE: &str = "
    INSERT INTO audit_event (account_id, time, sequence)
    SELECT $1, value, $2 + key FROM json_each('[' || $3 || ']')";
const INSERT_EVENTS_POSTGRES: &str = "
    INSERT INTO audit_event (account_id, time, sequence)
    SELECT $1, event.time, $2 + event.number - 1
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
    } = place;
    for segment in segments {
        let next = first_sequence + i64::try_from(segment.events).unwrap_or(0);
        let bytes = i64::try_from(segment.bytes).unwrap_or(0);
        sqlx::query(INSERT_SEGMENT)
            .bind(account_id)
            .bind(first_sequence)
            .bind(next - 1)
            .bind(received)
            .bind(received)
            .bind(bytes_before)
            .bind(bytes)
            .bind(segment.times.as_slice())
            .bind(segment.content.as_slice())
            .execute(&mut **tx)
            .await?;
        first_sequence = next;
        bytes_before += bytes;
    }
    sqlx::query(tx.dialect().pick(INSERT_EVENTS_SQLITE, INSERT_EVENTS_POSTGRES))
        .bind(account_id)
        .bind(place.first_sequence)
        .bind(joined(times))
        .execute(&mut **tx)
        .await?;
    Ok(bytes_before)
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
