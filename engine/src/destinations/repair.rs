//! Run now, skip, replay.

use auditstream_model::{Code, DestinationView, FieldErrors, Permission, Sequence};
use serde_json::json;

use super::rows::{self, KIND, new_uid, want_run};
use crate::error::{Error, Result};
use crate::store::{now, retried};
use crate::trail::own::{Change, record};
use crate::{Actor, Engine};

/// Starts a run of an ACTIVE destination.
///
/// # Errors
/// [`Code::Conflict`] when it is INACTIVE; no such destination; no permission.
pub async fn stream_now(engine: &Engine, actor: &Actor, identifier: &str) -> Result<()> {
    engine.require_streaming()?;
    actor.require(Permission::EditDestination)?;
    retried(|| async {
        let mut tx = engine.store().write().await?;
        let row = rows::lock(&mut tx, actor.account_id(), identifier).await?;
        if !row.is_active() {
            return Err(Error::refused(
                Code::Conflict,
                format!("The streaming destination “{identifier}” is inactive. Activate it first."),
            ));
        }
        want_run(&mut tx, row.id).await?;
        tx.commit().await
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
    engine.require_streaming()?;
    actor.require(Permission::EditDestination)?;
    retried(|| async {
        let mut tx = engine.store().write().await?;
        let row = rows::lock(&mut tx, actor.account_id(), identifier).await?;
        if row.is_active() {
            return Err(Error::refused(
                Code::Conflict,
                "The cursor can be moved while the destination is inactive. Deactivate it first.",
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
        sqlx::query("UPDATE streaming_destination SET cursor = $2, uid = $3, epoch = epoch + 1, failure = NULL, updated = $4 WHERE id = $1")
            .bind(row.id)
            .bind(sequence)
            .bind(new_uid())
            .bind(now())
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
        tx.commit().await
    })
    .await?;
    rows::require(engine.store().read(), actor.account_id(), identifier)
        .await?
        .view()
}
