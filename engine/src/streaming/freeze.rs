//! Freezes the next batch: from then on its number, range and content never change.

use auditstream_model::{Compression, EpochMillis, Format, Sequence};
use sqlx::FromRow;

use super::doubt::{Doubt, place};
use super::objects::Object;
use crate::aws::AwsProfile;
use crate::database::{Json, WriteTx};
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
    compression: Json<Compression>,
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

/// Freezes the batch of an object, which begins after the cursor. With a profile, also records its
/// first attempt, with that profile. Returns `None` if the destination was changed meanwhile.
pub(super) async fn freeze(
    engine: &Engine,
    row: &DestinationRow,
    object: &Object,
    attempt: Option<&AwsProfile>,
) -> Result<Option<OpenBatch>> {
    engine
        .database()
        .background()
        .transaction("freeze", async |tx| {
            continuity::require(tx).await?;
            match freeze_in(tx, row, object, attempt).await? {
                Some(batch) => Ok(Some(batch)),
                None => tx.roll_back(None),
            }
        })
        .await
}

/// As [`freeze`], in a transaction that has called [`continuity::require`].
pub(super) async fn freeze_in(
    tx: &mut WriteTx,
    row: &DestinationRow,
    object: &Object,
    attempt: Option<&AwsProfile>,
) -> Result<Option<OpenBatch>> {
    let place: Option<Place> = sqlx::query_as(
        "UPDATE streaming_destination \
         SET last_batch = last_batch + 1, batches_frozen = batches_frozen + 1 \
         WHERE id = $1 AND epoch = $2 AND cursor = $3 AND status = 'ACTIVE' \
         RETURNING last_batch AS number, batches_frozen AS position",
    )
    .bind(row.id)
    .bind(row.epoch)
    .bind(object.first_sequence - 1)
    .fetch_optional(&mut **tx)
    .await?;
    match place {
        Some(place) => insert(tx, row, place, object, attempt).await.map(Some),
        None => Ok(None),
    }
}

/// The place of a batch among those of its destination.
#[derive(Clone, Copy, FromRow)]
struct Place {
    number: i64,
    position: i64,
}

async fn insert(
    tx: &mut WriteTx,
    row: &DestinationRow,
    Place { number, position }: Place,
    object: &Object,
    attempt: Option<&AwsProfile>,
) -> Result<OpenBatch> {
    let previous: Option<EpochMillis> = sqlx::query_scalar(
        "SELECT created FROM streaming_batch WHERE destination_id = $1 ORDER BY position DESC LIMIT 1",
    )
    .bind(row.id)
    .fetch_optional(&mut **tx)
    .await?;
    let created = tx.time_after(previous.unwrap_or(0)).await?;
    let batch = open(row, object, number, created, attempt)?;
    sqlx::query(
        "INSERT INTO streaming_batch \
         (destination_id, number, account_id, status, first_sequence, last_sequence, events, bytes, \
         format, compression, level, sha256, key, created, position, attempts, in_doubt, place) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16, $17)",
    )
    .bind(row.id)
    .bind(number)
    .bind(row.account_id)
    .bind(if attempt.is_some() { "IN_PROGRESS" } else { "READY" })
    .bind(batch.first_sequence)
    .bind(batch.last_sequence)
    .bind(batch.last_sequence - batch.first_sequence + 1)
    .bind(batch.bytes)
    .bind(batch.format.text())
    .bind(batch.compression.text())
    .bind(batch.level)
    .bind(batch.sha256.clone())
    .bind(batch.key.as_str())
    .bind(created)
    .bind(position)
    .bind(i64::from(attempt.is_some()))
    .bind(batch.doubt.place())
    .execute(&mut **tx)
    .await?;
    Ok(batch)
}

fn open(
    row: &DestinationRow,
    object: &Object,
    number: i64,
    created: EpochMillis,
    attempt: Option<&AwsProfile>,
) -> Result<OpenBatch> {
    let (spec, form) = (row.spec.get()?, &object.wanted.form);
    let key = ObjectKey {
        account: row.account.as_str(),
        frozen: created,
        number,
        first_sequence: object.first_sequence,
        last_sequence: object.last_sequence,
        uid: &row.uid,
        format: form.format,
        compression: form.compression,
    }
    .render()?;
    let place = attempt.map(|profile| {
        let key = format!("{}{key}", spec.prefix.as_str());
        place(profile, spec.bucket.as_str(), &key)
    });
    Ok(OpenBatch {
        number,
        first_sequence: object.first_sequence,
        last_sequence: object.last_sequence,
        format: Json::of(form.format)?,
        compression: Json::of(form.compression)?,
        level: form.level.map(i64::from),
        sha256: object.content_sha256.to_vec(),
        key,
        bytes: i64::try_from(object.content_bytes).unwrap_or(i64::MAX),
        doubt: Doubt::new(place),
    })
}
