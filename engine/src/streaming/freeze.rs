//! Freezes the next batch: from then on its number, range and content never change.

use auditstream_model::limits::{BATCH_BYTES, EVENT_BYTES};
use auditstream_model::{Compression, EpochMillis, Format, Sequence};
use sqlx::FromRow;

use super::content::{CLOSING_BYTES, Content, working_bytes};
use super::doubt::Doubt;
use super::limits::MemoryBudget;
use crate::Engine;
use crate::database::{Json, WriteTx, column, now};
use crate::destinations::object_key::ObjectKey;
use crate::destinations::rows::DestinationRow;
use crate::error::Result;

#[derive(Debug, FromRow)]
pub(super) struct OpenBatch {
    pub(super) number: i64,
    pub(super) first_sequence: Sequence,
    pub(super) last_sequence: Sequence,
    pub(super) format: Json<Format>,
    pub(super) compression: Json<Compression>,
    pub(super) sha256: Vec<u8>,
    pub(super) key: String,
    /// Of the content.
    pub(super) bytes: i64,
    #[sqlx(flatten)]
    pub(super) doubt: Doubt,
}

impl OpenBatch {
    /// Returns whether the object may exist, because the response of an attempt was lost.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubt.is_here()
    }

    pub(super) fn mark_in_doubt(&mut self, in_doubt: bool) {
        self.doubt.mark(in_doubt);
    }
}

pub(super) async fn open_batch(engine: &Engine, destination_id: i64) -> Result<Option<OpenBatch>> {
    let query = sqlx::query_as(
        "SELECT number, first_sequence, last_sequence, format, compression, sha256, key, bytes, in_doubt, place, may_be_at \
         FROM streaming_batch \
         WHERE destination_id = $1 AND status <> 'SUCCESS'",
    );
    Ok(query
        .bind(destination_id)
        .fetch_optional(engine.database().read())
        .await?)
}

/// Freezes the batch after the cursor, up to `up_to`. Returns `false` if the destination was
/// changed meanwhile.
pub(super) async fn freeze(
    engine: &Engine,
    memory: &MemoryBudget,
    row: &DestinationRow,
    cursor: Sequence,
    up_to: Sequence,
) -> Result<bool> {
    let waiting = usize::try_from(up_to - cursor).unwrap_or(0);
    let most = waiting.saturating_mul(EVENT_BYTES + CLOSING_BYTES).min(BATCH_BYTES);
    let grant = memory.acquire(working_bytes(most), row.failure.is_some()).await?;
    let format = row.spec.get()?.format;
    let content = Content::build(engine, row.account_id, cursor, up_to, format).await?;
    let frozen = Frozen {
        first_sequence: content.first_sequence,
        last_sequence: content.last_sequence,
        bytes: i64::try_from(content.bytes()).unwrap_or(i64::MAX),
        sha256: content.sha256,
    };
    drop((content, grant));
    engine
        .database()
        .transaction("freeze", async |tx| {
            let number: Option<i64> = sqlx::query_scalar(
                "UPDATE streaming_destination SET last_batch = last_batch + 1 \
                 WHERE id = $1 AND epoch = $2 AND cursor = $3 AND status = 'ACTIVE' \
                 RETURNING last_batch",
            )
            .bind(row.id)
            .bind(row.epoch)
            .bind(cursor)
            .fetch_optional(&mut **tx)
            .await?;
            let Some(number) = number else {
                return tx.roll_back(false);
            };
            insert(tx, row, number, &frozen).await?;
            Ok(true)
        })
        .await
}

struct Frozen {
    first_sequence: Sequence,
    last_sequence: Sequence,
    bytes: i64,
    sha256: [u8; 32],
}

async fn insert(tx: &mut WriteTx, row: &DestinationRow, number: i64, frozen: &Frozen) -> Result<()> {
    let spec = row.spec.get()?;
    let previous: Option<EpochMillis> =
        sqlx::query_scalar("SELECT max(created) FROM streaming_batch WHERE destination_id = $1")
            .bind(row.id)
            .fetch_one(&mut **tx)
            .await?;
    let created = now().max(previous.unwrap_or(0));
    let key = ObjectKey {
        account: row.account.as_str(),
        frozen: created,
        number,
        first_sequence: frozen.first_sequence,
        last_sequence: frozen.last_sequence,
        uid: &row.uid,
        format: spec.format,
        compression: spec.compression,
    };
    sqlx::query(
        "INSERT INTO streaming_batch \
         (destination_id, number, account_id, status, first_sequence, last_sequence, events, bytes, \
         format, compression, sha256, key, created) \
         VALUES ($1, $2, $3, 'READY', $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(row.id)
    .bind(number)
    .bind(row.account_id)
    .bind(frozen.first_sequence)
    .bind(frozen.last_sequence)
    .bind(frozen.last_sequence - frozen.first_sequence + 1)
    .bind(frozen.bytes)
    .bind(column::to_json(&spec.format)?)
    .bind(column::to_json(&spec.compression)?)
    .bind(frozen.sha256.to_vec())
    .bind(key.render()?)
    .bind(created)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
