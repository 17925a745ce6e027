//! Moves the cursor, or notes the failure: always beside the audit event of a destination that begins to fail or recovers.

use auditstream_model::{AccountName, Failure};
use serde_json::json;

use super::freeze::OpenBatch;
use super::upload::Delivered;
use crate::alerts::outbox::{self, Word};
use crate::aws::failure::Cause;
use crate::database::{WriteTx, now, retried};
use crate::destinations::rows::{KIND, Row};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// The batch is in the bucket: moves the cursor over it, if it still stands before it and the run still has its right to
/// the destination. Answers whether it did.
pub(super) async fn delivered(
    engine: &Engine,
    row: &Row,
    batch: &OpenBatch,
    delivered: &Delivered,
    remark: Option<&str>,
) -> Result<bool> {
    let moved = retried(|| async {
        let mut tx = engine.database().write().await?;
        let moved = sqlx::query("UPDATE streaming_destination SET cursor = $4, last_streamed_at = $5 WHERE id = $1 AND epoch = $2 AND cursor = $3")
            .bind(row.id)
            .bind(row.epoch)
            .bind(batch.first_sequence - 1)
            .bind(batch.last_sequence)
            .bind(now())
            .execute(&mut *tx)
            .await?;
        if moved.rows_affected() != 1 {
            return Ok(false);
        }
        sqlx::query(
            "UPDATE streaming_batch SET status = 'SUCCESS', finished = $3, verified = $4, in_doubt = 0, failure = NULL, \
             request_id = $5, note = $6 WHERE destination_id = $1 AND number = $2",
        )
        .bind(row.id)
        .bind(batch.number)
        .bind(now())
        .bind(i64::from(delivered.verified))
        .bind(delivered.request_id.as_deref())
        .bind(remark)
        .execute(&mut *tx)
        .await?;
        recovered(&mut tx, row).await?;
        failpoint::reached("confirm.committing").await;
        tx.commit().await?;
        failpoint::reached("confirm.committed").await;
        Ok(true)
    })
    .await?;
    if moved {
        let events = batch.last_sequence - batch.first_sequence + 1;
        engine.metrics().delivered(events, batch.bytes);
    }
    Ok(moved)
}

/// A run that found nothing more to send.
pub(super) async fn caught_up(engine: &Engine, row: &Row) -> Result<()> {
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let query = sqlx::query("UPDATE streaming_destination SET last_streamed_at = $3 WHERE id = $1 AND epoch = $2");
        let noted = query.bind(row.id).bind(row.epoch).bind(now()).execute(&mut *tx).await?;
        if noted.rows_affected() == 1 {
            recovered(&mut tx, row).await?;
        }
        failpoint::reached("caught_up.committing").await;
        tx.commit().await?;
        failpoint::reached("caught_up.committed").await;
        Ok(())
    })
    .await
}

/// The destination's row is locked already.
async fn recovered(tx: &mut WriteTx, row: &Row) -> Result<()> {
    let was: Option<String> = sqlx::query_scalar("SELECT failure FROM streaming_destination WHERE id = $1")
        .bind(row.id)
        .fetch_one(&mut **tx)
        .await?;
    let Some(was) = was else { return Ok(()) };
    sqlx::query("UPDATE streaming_destination SET failure = NULL WHERE id = $1")
        .bind(row.id)
        .execute(&mut **tx)
        .await?;
    let was: Failure = serde_json::from_str(&was)?;
    let system = system(row)?;
    outbox::recovered(tx, row.account_id, system.account(), row.id, &row.identifier).await?;
    record(
        tx,
        &system,
        Change::of(KIND, &row.identifier, "STREAMING_RECOVERED", &was, ()),
    )
    .await?;
    Ok(())
}

/// An attempt failed, or a batch could not be built. `batch` is the one it was about, if any.
pub(super) async fn failed(engine: &Engine, row: &Row, batch: Option<&OpenBatch>, cause: &Cause) -> Result<()> {
    let failure = cause.failure();
    let json = serde_json::to_string(&failure)?;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let query = sqlx::query_scalar::<_, Option<String>>(tx.dialect().pick(
            "SELECT failure FROM streaming_destination WHERE id = $1 AND epoch = $2",
            "SELECT failure FROM streaming_destination WHERE id = $1 AND epoch = $2 FOR NO KEY UPDATE",
        ));
        let before = query.bind(row.id).bind(row.epoch).fetch_optional(&mut *tx).await?;
        let Some(before) = before else { return Ok(()) };
        sqlx::query("UPDATE streaming_destination SET failure = $2 WHERE id = $1")
            .bind(row.id)
            .bind(&json)
            .execute(&mut *tx)
            .await?;
        if let Some(batch) = batch {
            sqlx::query("UPDATE streaming_batch SET status = 'FAILED', failure = $3, in_doubt = $4, request_id = $5 WHERE destination_id = $1 AND number = $2")
                .bind(row.id)
                .bind(batch.number)
                .bind(&json)
                .bind(i64::from(batch.is_in_doubt() || cause.in_doubt))
                .bind(cause.request_id.as_deref())
                .execute(&mut *tx)
                .await?;
        }
        if before.is_none() {
            let data = json!({"failure": failure});
            outbox::tell(&mut tx, row.account_id, &row.account, &row.identifier, Word::Failing, data).await?;
            let change = Change::of(KIND, &row.identifier, "STREAMING_FAILED", (), &failure);
            record(&mut tx, &system(row)?, change).await?;
        }
        failpoint::reached("failure.committing").await;
        tx.commit().await?;
        failpoint::reached("failure.committed").await;
        Ok(())
    })
    .await
}

fn system(row: &Row) -> Result<Actor> {
    let account = AccountName::try_from(row.account.clone()).map_err(|error| Error::Broken(error.to_string()))?;
    Ok(Actor::system(row.account_id, account))
}
