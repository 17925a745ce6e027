//! Freezes the next batch: after this, its number, range, key and content can not change.

use auditstream_model::limits::{BATCH_BYTES, BATCH_EVENTS, EVENT_BYTES};
use auditstream_model::{Compression, EpochMillis, Format, Sequence};
use futures::TryStreamExt;
use sqlx::FromRow;

use super::encode;
use crate::Engine;
use crate::database::{now, retried};
use crate::destinations::rows::Row;
use crate::error::{Error, Result};
use crate::failpoint;

/// Bytes that closing adds to a payload at most: two numbers of a batch id, one sequence, the words around them.
const CLOSING_BYTES: usize = 100;

/// Events that are read at once. What is begun is read to its end whether it fits into the batch or not: PostgreSQL sends all
/// that was asked for.
const PORTION: i64 = 200;

/// A batch that is not yet confirmed.
#[derive(Debug, FromRow)]
pub(super) struct OpenBatch {
    pub(super) number: i64,
    pub(super) first_sequence: Sequence,
    pub(super) last_sequence: Sequence,
    pub(super) format: String,
    pub(super) compression: String,
    pub(super) sha256: Vec<u8>,
    pub(super) key: String,
    /// Of the content.
    pub(super) bytes: i64,
    /// Whether the answer of an attempt was lost; 0 or 1.
    in_doubt: i64,
}

impl OpenBatch {
    pub(super) fn format(&self) -> Result<Format> {
        Ok(serde_json::from_str(&self.format)?)
    }

    /// Whether the object may be there already.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.in_doubt != 0
    }

    /// An attempt's answer was lost.
    pub(super) fn doubt(&mut self, in_doubt: bool) {
        self.in_doubt |= i64::from(in_doubt);
    }

    pub(super) fn compression(&self) -> Result<Compression> {
        Ok(serde_json::from_str(&self.compression)?)
    }
}

/// The batch that is on its way, if any.
pub(super) async fn open_batch(engine: &Engine, destination_id: i64) -> Result<Option<OpenBatch>> {
    let query = sqlx::query_as(
        "SELECT number, first_sequence, last_sequence, format, compression, sha256, key, bytes, in_doubt FROM streaming_batch \
         WHERE destination_id = $1 AND status <> 'SUCCESS'",
    );
    Ok(query
        .bind(destination_id)
        .fetch_optional(engine.database().read())
        .await?)
}

/// Reads the events of a range, as many as fit into one batch. The read is over before anything is sent.
///
/// # Errors
/// [`Error::Broken`] when one is missing.
pub(super) async fn read_events(
    engine: &Engine,
    account_id: i64,
    after: Sequence,
    up_to: Sequence,
) -> Result<Vec<(Sequence, String)>> {
    let mut events: Vec<(Sequence, String)> = Vec::new();
    let mut bytes = 0;
    loop {
        let before = events.last().map_or(after, |last| last.0);
        let mut rows = sqlx::query_as::<_, (Sequence, String)>(
            "SELECT sequence, payload FROM audit_event WHERE account_id = $1 AND sequence > $2 AND sequence <= $3 \
             ORDER BY sequence LIMIT $4",
        )
        .bind(account_id)
        .bind(before)
        .bind(up_to)
        .bind(PORTION)
        .fetch(engine.database().read());
        let mut read = 0;
        while let Some((sequence, payload)) = rows.try_next().await? {
            read += 1;
            let expected = before + read;
            if sequence != expected {
                return Err(Error::Broken(format!("event {expected} is missing from the trail")));
            }
            bytes += payload.len() + CLOSING_BYTES;
            if !events.is_empty() && (bytes > BATCH_BYTES || events.len() == BATCH_EVENTS) {
                return Ok(events);
            }
            events.push((sequence, payload));
        }
        if read < PORTION {
            return Ok(events);
        }
    }
}

/// What building a batch holds in memory, given the bytes of its content: the content beside what it is made of, and
/// then beside its compressed form.
pub(super) fn working_bytes(content: usize) -> usize {
    2 * content
}

/// Freezes the batch that follows the cursor, up to `up_to`, which lies behind it; none when the destination was changed
/// meanwhile.
///
/// # Errors
/// [`Error::Broken`] when an event is missing.
pub(super) async fn freeze(engine: &Engine, row: &Row, cursor: Sequence, up_to: Sequence) -> Result<bool> {
    let waiting = usize::try_from(up_to - cursor).unwrap_or(0);
    let most = waiting.saturating_mul(EVENT_BYTES + CLOSING_BYTES).min(BATCH_BYTES);
    let share = engine.budget().take(working_bytes(most), row.failure.is_some()).await?;
    let events = read_events(engine, row.account_id, cursor, up_to).await?;
    let (Some(first), Some(last)) = (events.first().map(|event| event.0), events.last().map(|event| event.0)) else {
        return Err(Error::Broken(format!("event {} is missing from the trail", cursor + 1)));
    };
    let spec = row.spec()?;
    let format = spec.format;
    let encoded = tokio::task::spawn_blocking(move || {
        let content = encode::content(&events, format);
        (content.len(), encode::sha256(content.as_bytes()))
    });
    let (bytes, sha256) = encoded.await.map_err(|error| Error::Broken(error.to_string()))?;
    drop(share);
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let number: Option<i64> = sqlx::query_scalar(
            "UPDATE streaming_destination SET last_batch = last_batch + 1 \
             WHERE id = $1 AND epoch = $2 AND cursor = $3 AND status = 'ACTIVE' RETURNING last_batch",
        )
        .bind(row.id)
        .bind(row.epoch)
        .bind(cursor)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(number) = number else { return Ok(false) };
        let previous: Option<EpochMillis> =
            sqlx::query_scalar("SELECT max(created) FROM streaming_batch WHERE destination_id = $1")
                .bind(row.id)
                .fetch_one(&mut *tx)
                .await?;
        let frozen = now().max(previous.unwrap_or(0));
        let key = encode::key(
            &row.account,
            frozen,
            number,
            (first, last),
            &row.uid,
            spec.format,
            spec.compression,
        )?;
        sqlx::query(
            "INSERT INTO streaming_batch (destination_id, number, account_id, status, first_sequence, last_sequence, events, bytes, \
             format, compression, sha256, key, created) VALUES ($1, $2, $3, 'READY', $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(row.id)
        .bind(number)
        .bind(row.account_id)
        .bind(first)
        .bind(last)
        .bind(last - first + 1)
        .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
        .bind(serde_json::to_string(&spec.format)?)
        .bind(serde_json::to_string(&spec.compression)?)
        .bind(sha256.to_vec())
        .bind(key)
        .bind(frozen)
        .execute(&mut *tx)
        .await?;
        failpoint::reached("freeze.committing").await;
        tx.commit().await?;
        failpoint::reached("freeze.committed").await;
        Ok(true)
    })
    .await
}
