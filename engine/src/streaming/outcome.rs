//! Moves the cursor, or records the failure. A destination that begins to fail or recovers gets its
//! audit event in the same transaction.

use auditstream_model::Failure;
use serde_json::json;

use super::failure::DeliveryFailure;
use super::freeze::OpenBatch;
use super::reconcile::Delivered;
use crate::alerts::outbox::{self, EventKind};
use crate::database::{Json, WriteTx, column, now};
use crate::destinations::rows::{DestinationRow, KIND};
use crate::error::Result;
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// Records that a batch is in the bucket, and moves the cursor over it. Returns `false`, and
/// changes nothing, if the cursor is no longer directly before the batch or the run no longer owns
/// the destination.
pub(super) async fn delivered(
    engine: &Engine,
    row: &DestinationRow,
    batch: &OpenBatch,
    delivered: &Delivered,
    note: Option<&str>,
) -> Result<bool> {
    let moved = engine
        .database()
        .transaction("confirm", async |tx| {
            let moved = sqlx::query(
                "UPDATE streaming_destination SET cursor = $4, last_streamed_at = $5 \
                 WHERE id = $1 AND epoch = $2 AND cursor = $3",
            )
            .bind(row.id)
            .bind(row.epoch)
            .bind(batch.first_sequence - 1)
            .bind(batch.last_sequence)
            .bind(now())
            .execute(&mut **tx)
            .await?;
            if moved.rows_affected() != 1 {
                return tx.roll_back(false);
            }
            sqlx::query(
                "UPDATE streaming_batch \
                 SET status = 'SUCCESS', finished = $3, verified = $4, in_doubt = 0, failure = NULL, \
                 request_id = $5, note = $6 \
                 WHERE destination_id = $1 AND number = $2",
            )
            .bind(row.id)
            .bind(batch.number)
            .bind(now())
            .bind(i64::from(delivered.verified))
            .bind(delivered.request_id.as_deref())
            .bind(note)
            .execute(&mut **tx)
            .await?;
            recovered(tx, row).await?;
            Ok(true)
        })
        .await?;
    if moved {
        let events = batch.last_sequence - batch.first_sequence + 1;
        engine.metrics().delivered(events, batch.bytes);
    }
    Ok(moved)
}

pub(super) async fn caught_up(engine: &Engine, row: &DestinationRow) -> Result<()> {
    engine
        .database()
        .transaction("caught_up", async |tx| {
            let query =
                sqlx::query("UPDATE streaming_destination SET last_streamed_at = $3 WHERE id = $1 AND epoch = $2");
            let recorded = query
                .bind(row.id)
                .bind(row.epoch)
                .bind(now())
                .execute(&mut **tx)
                .await?;
            if recorded.rows_affected() == 1 {
                recovered(tx, row).await?;
            }
            Ok(())
        })
        .await
}

/// Clears the failure of a destination, if it has one. The transaction has already locked its row.
async fn recovered(tx: &mut WriteTx, row: &DestinationRow) -> Result<()> {
    let failure: Option<Json<Failure>> = sqlx::query_scalar("SELECT failure FROM streaming_destination WHERE id = $1")
        .bind(row.id)
        .fetch_one(&mut **tx)
        .await?;
    let Some(failure) = failure else { return Ok(()) };
    sqlx::query("UPDATE streaming_destination SET failure = NULL WHERE id = $1")
        .bind(row.id)
        .execute(&mut **tx)
        .await?;
    outbox::enqueue_recovered(tx, row.account_id, &row.account, row.id, &row.identifier).await?;
    let change = Change::of(KIND, &row.identifier, "STREAMING_RECOVERED", failure.get()?, ());
    record(tx, &system(row), change).await?;
    Ok(())
}

pub(super) async fn failed(
    engine: &Engine,
    row: &DestinationRow,
    batch: Option<&OpenBatch>,
    failure: &DeliveryFailure,
) -> Result<()> {
    let json = column::to_json(&failure.failure)?;
    engine
        .database()
        .transaction("failure", async |tx| {
            let query = sqlx::query_scalar::<_, Option<String>>(tx.dialect().pick(
                "SELECT failure FROM streaming_destination WHERE id = $1 AND epoch = $2",
                "SELECT failure FROM streaming_destination WHERE id = $1 AND epoch = $2 FOR NO KEY UPDATE",
            ));
            let before = query.bind(row.id).bind(row.epoch).fetch_optional(&mut **tx).await?;
            let Some(before) = before else { return tx.roll_back(()) };
            sqlx::query("UPDATE streaming_destination SET failure = $2 WHERE id = $1")
                .bind(row.id)
                .bind(&json)
                .execute(&mut **tx)
                .await?;
            if let Some(batch) = batch {
                sqlx::query(
                    "UPDATE streaming_batch \
                     SET status = 'FAILED', failure = $3, in_doubt = $4, request_id = $5 \
                     WHERE destination_id = $1 AND number = $2",
                )
                .bind(row.id)
                .bind(batch.number)
                .bind(&json)
                .bind(i64::from(batch.is_in_doubt() || failure.in_doubt))
                .bind(failure.failure.request_id.as_deref())
                .execute(&mut **tx)
                .await?;
            }
            if before.is_none() {
                let data = json!({"failure": failure.failure});
                outbox::enqueue(
                    tx,
                    row.account_id,
                    &row.account,
                    &row.identifier,
                    EventKind::Failing,
                    data,
                )
                .await?;
                let change = Change::of(KIND, &row.identifier, "STREAMING_FAILED", (), &failure.failure);
                record(tx, &system(row), change).await?;
            }
            Ok(())
        })
        .await
}

fn system(row: &DestinationRow) -> Actor {
    Actor::system(row.account_id, row.account.clone())
}
