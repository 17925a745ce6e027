//! The operations on a destination: run now, skip, replay, send under a new name.

use auditstream_model::{
    BatchStatus, Code, Compression, DestinationView, EpochMillis, Failure, FailureCode, FieldErrors, Format,
    Permission, Sequence,
};
use serde_json::json;
use sqlx::FromRow;

use super::authorize::authorize;
use super::object_key::{ObjectKey, new_uid};
use super::rows::{self, KIND, request_run};
use crate::database::{Json, WriteTx};
use crate::error::{Error, Result};
use crate::precondition::{Precondition, changed_after};
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// Starts a run of an ACTIVE destination.
///
/// # Errors
/// [`Code::Conflict`] if it is INACTIVE; no such destination; no permission.
pub async fn stream_now(engine: &Engine, actor: &Actor, identifier: &str) -> Result<()> {
    authorize(engine, actor, Permission::EditDestination)?;
    engine
        .database()
        .transaction("stream_now", async |tx| {
            let row = rows::lock(tx, actor.account_id(), identifier).await?;
            if !row.is_active() {
                return Err(Error::refused(
                    Code::Conflict,
                    format!("The streaming destination “{identifier}” is inactive. Activate it first."),
                ));
            }
            request_run(tx, row.id).await
        })
        .await?;
    engine.wake();
    Ok(())
}

/// Moves the cursor of an INACTIVE destination: forward to skip events, back to send them again
/// under a new `uid`. Discards an undelivered batch.
///
/// # Errors
/// [`Code::Conflict`] if it is ACTIVE or never was; a sequence that is out of the trail's range; no
/// such destination; no permission; [`Code::PreconditionFailed`].
pub async fn move_cursor(
    engine: &Engine,
    actor: &Actor,
    identifier: &str,
    sequence: Sequence,
    condition: &Precondition,
) -> Result<DestinationView> {
    authorize(engine, actor, Permission::EditDestination)?;
    engine
        .database()
        .transaction("cursor", async |tx| {
            let row = rows::lock(tx, actor.account_id(), identifier).await?;
            condition.check(Some(&row.view()?))?;
            if row.is_active() {
                return Err(Error::refused(
                    Code::Conflict,
                    "The cursor can be moved only while the destination is inactive. Deactivate it first.",
                ));
            }
            if row.cursor.is_none() {
                return Err(Error::refused(
                    Code::Conflict,
                    "The destination was never active, so it has nothing to skip or replay. Its option start_at sets \
                     where it starts.",
                ));
            }
            check_range(tx, row.account_id, sequence).await?;
            // It is the newest one, so that the positions stay without gaps.
            let discard = sqlx::query("DELETE FROM streaming_batch WHERE destination_id = $1 AND status <> 'SUCCESS'");
            let discarded = discard.bind(row.id).execute(&mut **tx).await?.rows_affected();
            sqlx::query(
                "UPDATE streaming_destination \
                 SET cursor = $2, uid = $3, epoch = epoch + 1, updated = $4, batches_frozen = batches_frozen - $5 \
                 WHERE id = $1",
            )
            .bind(row.id)
            .bind(sequence)
            .bind(new_uid())
            .bind(changed_after(row.updated))
            .bind(i64::from(discarded > 0))
            .execute(&mut **tx)
            .await?;
            let (old, new) = (json!({"cursor": row.cursor}), json!({"cursor": sequence}));
            record(tx, actor, Change::of(KIND, identifier, "UPDATE", old, new)).await?;
            rows::require(&mut **tx, actor.account_id(), identifier).await?.view()
        })
        .await
}

async fn check_range(tx: &mut WriteTx, account_id: i64, cursor: Sequence) -> Result<()> {
    let (first, last): (Sequence, Sequence) = sqlx::query_as(
        "SELECT first_sequence, last_sequence \
         FROM account \
         WHERE id = $1",
    )
    .bind(account_id)
    .fetch_one(&mut **tx)
    .await?;
    let lowest = first - 1;
    if (lowest..=last).contains(&cursor) {
        return Ok(());
    }
    let message = format!("The cursor must be between {lowest} and {last}.");
    Err(FieldErrors::one("sequence", message).into())
}

#[derive(FromRow)]
struct BatchRow {
    #[sqlx(try_from = "String")]
    status: BatchStatus,
    first_sequence: Sequence,
    last_sequence: Sequence,
    format: Json<Format>,
    compression: Json<Compression>,
    key: String,
    created: EpochMillis,
    failure: Option<Json<Failure>>,
}

impl BatchRow {
    fn is_blocked(&self) -> Result<bool> {
        let Some(failure) = &self.failure else { return Ok(false) };
        let failure = failure.get()?;
        Ok(self.status == BatchStatus::Failed && failure.blocked && failure.code == FailureCode::ObjectExists)
    }
}

/// Gives a batch whose key another object has a new key, with a separate `uid`, and starts a run.
/// Its number, range and content stay, and later batches keep the destination's `uid`.
///
/// # Errors
/// [`Code::Conflict`] if no other object blocks the batch; no such batch; no permission.
pub async fn rename_batch(engine: &Engine, actor: &Actor, identifier: &str, number: i64) -> Result<()> {
    authorize(engine, actor, Permission::EditDestination)?;
    engine
        .database()
        .transaction("rename", async |tx| {
            let row = rows::lock(tx, actor.account_id(), identifier).await?;
            let batch = require_batch(tx, row.id, number).await?;
            if !batch.is_blocked()? {
                return Err(Error::refused(
                    Code::Conflict,
                    format!("Batch {number} of “{identifier}” keeps its name: no other object blocks it."),
                ));
            }
            let key = ObjectKey {
                account: row.account.as_str(),
                frozen: batch.created,
                number,
                first_sequence: batch.first_sequence,
                last_sequence: batch.last_sequence,
                uid: &new_uid(),
                format: *batch.format.get()?,
                compression: *batch.compression.get()?,
            }
            .render()?;
            // A run that has read the old key notices the new epoch, and sends nothing more.
            sqlx::query("UPDATE streaming_destination SET epoch = epoch + 1 WHERE id = $1")
                .bind(row.id)
                .execute(&mut **tx)
                .await?;
            sqlx::query(
                "UPDATE streaming_batch \
                 SET key = $3, status = 'READY', in_doubt = 0, failure = NULL, failing_since = NULL \
                 WHERE destination_id = $1 AND number = $2",
            )
            .bind(row.id)
            .bind(number)
            .bind(&key)
            .execute(&mut **tx)
            .await?;
            request_run(tx, row.id).await?;
            let old = json!({"batch": number, "key": batch.key});
            let new = json!({"batch": number, "key": key});
            let change = Change::of(KIND, identifier, "UPDATE", old, new);
            record(tx, actor, change).await.map(drop)
        })
        .await?;
    engine.wake();
    Ok(())
}

async fn require_batch(tx: &mut WriteTx, destination_id: i64, number: i64) -> Result<BatchRow> {
    let batch = sqlx::query_as(
        "SELECT status, first_sequence, last_sequence, format, compression, key, created, failure \
         FROM streaming_batch \
         WHERE destination_id = $1 AND number = $2",
    )
    .bind(destination_id)
    .bind(number)
    .fetch_optional(&mut **tx)
    .await?;
    batch.ok_or_else(|| Error::not_found("batch", &number.to_string()))
}
