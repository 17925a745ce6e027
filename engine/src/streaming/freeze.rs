//! Freezes the next batch: from then on its number, range and content never change.

use auditstream_model::{Compression, EpochMillis, Format, Sequence};
use sqlx::FromRow;

use super::content::{Content, Cut};
use super::doubt::Doubt;
use super::limits::MemoryBudget;
use crate::database::{Json, WriteTx, column};
use crate::destinations::object_key::ObjectKey;
use crate::destinations::rows::DestinationRow;
use crate::error::{Error, Result};
use crate::{Engine, continuity};

#[derive(Debug, FromRow)]
pub(super) struct OpenBatch {
    pub(super) number: i64,
    pub(super) first_sequence: Sequence,
    pub(super) last_sequence: Sequence,
    pub(super) format: Json<Format>,
    pub(super) compression: Json<Compression>,
    /// `None` without compression.
    level: Option<i64>,
    pub(super) sha256: Vec<u8>,
    pub(super) key: String,
    /// Of the content.
    pub(super) bytes: i64,
    #[sqlx(flatten)]
    pub(super) doubt: Doubt,
}

impl OpenBatch {
    /// Returns the compression and its level; `None` is the default level.
    pub(super) fn compression(&self) -> Result<(Compression, Option<u8>)> {
        let level = self.level.map(u8::try_from).transpose();
        let level = level.map_err(|_| Error::Broken(format!("batch {} has an invalid level", self.number)))?;
        Ok((*self.compression.get()?, level))
    }

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
        "SELECT number, first_sequence, last_sequence, format, compression, level, sha256, key, bytes, in_doubt, place, \
         may_be_at \
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
    let spec = row.spec.get()?;
    let memory = (memory, row.failure.is_some());
    let range = (cursor, up_to);
    let (content, grant) =
        Content::build_within(engine, memory, row.account_id, range, Cut::of(spec), spec.format).await?;
    let frozen = Frozen {
        first_sequence: content.first_sequence,
        last_sequence: content.last_sequence,
        bytes: i64::try_from(content.bytes()).unwrap_or(i64::MAX),
        sha256: content.sha256,
    };
    drop((content, grant));
    engine
        .database()
        .background()
        .transaction("freeze", async |tx| {
            continuity::require(tx).await?;
            let place: Option<Place> = sqlx::query_as(
                "UPDATE streaming_destination \
                 SET last_batch = last_batch + 1, batches_frozen = batches_frozen + 1 \
                 WHERE id = $1 AND epoch = $2 AND cursor = $3 AND status = 'ACTIVE' \
                 RETURNING last_batch AS number, batches_frozen AS position",
            )
            .bind(row.id)
            .bind(row.epoch)
            .bind(cursor)
            .fetch_optional(&mut **tx)
            .await?;
            let Some(place) = place else {
                return tx.roll_back(false);
            };
            insert(tx, row, place, &frozen).await?;
            Ok(true)
        })
        .await
}

/// The place of a batch among those of its destination.
#[derive(Clone, Copy, FromRow)]
struct Place {
    number: i64,
    position: i64,
}

struct Frozen {
    first_sequence: Sequence,
    last_sequence: Sequence,
    bytes: i64,
    sha256: [u8; 32],
}

async fn insert(tx: &mut WriteTx, row: &DestinationRow, place: Place, frozen: &Frozen) -> Result<()> {
    let spec = row.spec.get()?;
    let previous: Option<EpochMillis> = sqlx::query_scalar(
        "SELECT created FROM streaming_batch WHERE destination_id = $1 ORDER BY position DESC LIMIT 1",
    )
    .bind(row.id)
    .fetch_optional(&mut **tx)
    .await?;
    let created = tx.time_after(previous.unwrap_or(0)).await?;
    let key = ObjectKey {
        account: row.account.as_str(),
        frozen: created,
        number: place.number,
        first_sequence: frozen.first_sequence,
        last_sequence: frozen.last_sequence,
        uid: &row.uid,
        format: spec.format,
        compression: spec.compression,
    };
    sqlx::query(
        "INSERT INTO streaming_batch \
         (destination_id, number, account_id, status, first_sequence, last_sequence, events, bytes, \
         format, compression, level, sha256, key, created, position) \
         VALUES ($1, $2, $3, 'READY', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(row.id)
    .bind(place.number)
    .bind(row.account_id)
    .bind(frozen.first_sequence)
    .bind(frozen.last_sequence)
    .bind(frozen.last_sequence - frozen.first_sequence + 1)
    .bind(frozen.bytes)
    .bind(column::to_json(&spec.format)?)
    .bind(column::to_json(&spec.compression)?)
    .bind(spec.level().map(i64::from))
    .bind(frozen.sha256.to_vec())
    .bind(key.render()?)
    .bind(created)
    .bind(place.position)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
