//! Run now, skip, replay, send under a new name.

use auditstream_model::{Code, DestinationView, EpochMillis, Failure, FailureCode, FieldErrors, Permission, Sequence};
use serde_json::json;
use sqlx::FromRow;

use super::rows::{self, KIND, new_uid, want_run};
use crate::database::retried;
use crate::error::{Error, Result};
use crate::failpoint;
use crate::precondition::{Precondition, changed_after};
use crate::streaming::encode;
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// Starts a run of an ACTIVE destination.
///
/// # Errors
/// [`Code::Conflict`] when it is INACTIVE; no such destination; no permission.
pub async fn stream_now(engine: &Engine, actor: &Actor, identifier: &str) -> Result<()> {
    engine.require_streaming()?;
    actor.require(Permission::EditDestination)?;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let row = rows::lock(&mut tx, actor.account_id(), identifier).await?;
        if !row.is_active() {
            return Err(Error::refused(
                Code::Conflict,
                format!("The streaming destination “{identifier}” is inactive. Activate it first."),
            ));
        }
        want_run(&mut tx, row.id).await?;
        failpoint::reached("stream_now.committing").await;
        tx.commit().await?;
        failpoint::reached("stream_now.committed").await;
        Ok(())
    })
    .await?;
    engine.wake();
    Ok(())
}

/// Moves the cursor of an INACTIVE destination: forward skips events, back sends them again under a new `uid`. Batches
/// that are on their way end with it.
///
/// # Errors
/// It is ACTIVE; the sequence is not one that the trail has; no such destination; no permission.
pub async fn move_cursor(
    engine: &Engine,
    actor: &Actor,
    identifier: &str,
    sequence: Sequence,
) -> Result<DestinationView> {
    move_cursor_if(engine, actor, identifier, sequence, &Precondition::None).await
}

/// [`move_cursor`] on a condition.
///
/// # Errors
/// The same, and [`Code::PreconditionFailed`].
pub async fn move_cursor_if(
    engine: &Engine,
    actor: &Actor,
    identifier: &str,
    sequence: Sequence,
    condition: &Precondition,
) -> Result<DestinationView> {
    engine.require_streaming()?;
    actor.require(Permission::EditDestination)?;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let row = rows::lock(&mut tx, actor.account_id(), identifier).await?;
        condition.check(Some(&row.view()?))?;
        if row.is_active() {
            return Err(Error::refused(
                Code::Conflict,
                "The cursor can be moved while the destination is inactive. Deactivate it first.",
            ));
        }
        if row.cursor.is_none() {
            return Err(Error::refused(
                Code::Conflict,
                "The destination was never active, so it has nothing to skip or to replay. Where it starts is its option start_at.",
            ));
        }
        let (oldest, last): (Option<Sequence>, Sequence) = sqlx::query_as(
            "SELECT (SELECT min(sequence) FROM audit_event WHERE account_id = $1), last_sequence FROM account WHERE id = $1",
        )
        .bind(row.account_id)
        .fetch_one(&mut *tx)
        .await?;
        let lowest = oldest.map_or(last, |oldest| oldest - 1);
        if !(lowest..=last).contains(&sequence) {
            return Err(FieldErrors::one(
                "sequence",
                format!("The trail has room for a cursor from {lowest} to {last}."),
            )
            .into());
        }
        sqlx::query("DELETE FROM streaming_batch WHERE destination_id = $1 AND status <> 'SUCCESS'")
            .bind(row.id)
            .execute(&mut *tx)
            .await?;
        sqlx::query("UPDATE streaming_destination SET cursor = $2, uid = $3, epoch = epoch + 1, updated = $4 WHERE id = $1")
            .bind(row.id)
            .bind(sequence)
            .bind(new_uid())
            .bind(changed_after(row.updated))
            .execute(&mut *tx)
            .await?;
        let change = Change::of(
            KIND,
            identifier,
            "UPDATE",
            json!({"cursor": row.cursor}),
            json!({"cursor": sequence}),
        );
        record(&mut tx, actor, change).await?;
        let moved = rows::require(&mut *tx, actor.account_id(), identifier).await?.view()?;
        failpoint::reached("cursor.committing").await;
        tx.commit().await?;
        failpoint::reached("cursor.committed").await;
        Ok(moved)
    })
    .await
}

#[derive(FromRow)]
struct Blocked {
    status: String,
    first_sequence: Sequence,
    last_sequence: Sequence,
    format: String,
    compression: String,
    key: String,
    created: EpochMillis,
    failure: Option<String>,
}

impl Blocked {
    fn is_blocked(&self) -> Result<bool> {
        let failure: Option<Failure> = self.failure.as_deref().map(serde_json::from_str).transpose()?;
        Ok(self.status == "FAILED"
            && failure.is_some_and(|failure| failure.blocked && failure.code == FailureCode::ObjectExists))
    }
}

/// Gives a blocked batch, whose name somebody else's object has, a name with a `uid` of its own, and starts a run. Number,
/// range and content stay, and later batches keep the destination's `uid`. The other object is not touched.
///
/// # Errors
/// [`Code::Conflict`] when the batch is not blocked by another object; no such batch; no permission.
pub async fn rename_batch(engine: &Engine, actor: &Actor, identifier: &str, number: i64) -> Result<()> {
    engine.require_streaming()?;
    actor.require(Permission::EditDestination)?;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let row = rows::lock(&mut tx, actor.account_id(), identifier).await?;
        let batch: Option<Blocked> = sqlx::query_as(
            "SELECT status, first_sequence, last_sequence, format, compression, key, created, failure FROM streaming_batch \
             WHERE destination_id = $1 AND number = $2",
        )
        .bind(row.id)
        .bind(number)
        .fetch_optional(&mut *tx)
        .await?;
        let batch = batch.ok_or_else(|| Error::not_found("batch", &number.to_string()))?;
        if !batch.is_blocked()? {
            return Err(Error::refused(
                Code::Conflict,
                format!(
                    "Batch {number} of “{identifier}” is not blocked by another object of its name, so it keeps the name."
                ),
            ));
        }
        let key = encode::key(
            &row.account,
            batch.created,
            number,
            (batch.first_sequence, batch.last_sequence),
            &new_uid(),
            serde_json::from_str(&batch.format)?,
            serde_json::from_str(&batch.compression)?,
        )?;
        // A run that still has the old name in hand notices, and sends nothing more.
        sqlx::query("UPDATE streaming_destination SET epoch = epoch + 1 WHERE id = $1")
            .bind(row.id)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "UPDATE streaming_batch SET key = $3, status = 'READY', in_doubt = 0, failure = NULL \
             WHERE destination_id = $1 AND number = $2",
        )
        .bind(row.id)
        .bind(number)
        .bind(&key)
        .execute(&mut *tx)
        .await?;
        let change = Change::of(
            KIND,
            identifier,
            "UPDATE",
            json!({"batch": number, "key": batch.key}),
            json!({"batch": number, "key": key}),
        );
        want_run(&mut tx, row.id).await?;
        record(&mut tx, actor, change).await?;
        failpoint::reached("rename.committing").await;
        tx.commit().await?;
        failpoint::reached("rename.committed").await;
        Ok(())
    })
    .await?;
    engine.wake();
    Ok(())
}
