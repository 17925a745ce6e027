//! Moves the cursor, or records the failure. A destination that begins to fail or recovers gets its
//! audit event in the same transaction.
//!
//! A failed attempt that is retried is recorded on its batch only. The destination begins to fail
//! when the run ends without a delivery, or when its batch has failed for five minutes. So a
//! failure that a retry cures is neither an event nor a message, and no event causes another one.

use auditstream_model::{EpochMillis, Failure, Sequence, SequenceGap};
use serde_json::json;

use super::failure::DeliveryFailure;
use super::freeze::{self, OpenBatch};
use super::lease::Lease;
use super::objects::Object;
use super::reconcile::Delivered;
use crate::alerts::outbox::{self, EventKind};
use crate::aws::AwsProfile;
use crate::database::{Json, WriteTx, column, now};
use crate::destinations::rows::{DestinationRow, KIND};
use crate::error::Result;
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine, continuity};

/// How long a batch can fail before its destination fails, even if retries are left, ms.
pub(super) const FAILS_AFTER: EpochMillis = 5 * 60 * 1000;

/// The effect of a delivered batch on its run.
#[derive(Debug)]
pub(super) enum Moved {
    /// The cursor moved; further events wait. The next batch, if the transaction froze it.
    Further(Option<Box<OpenBatch>>),
    /// The cursor moved to the end of the run, which released its lease.
    Ended,
    /// Nothing changed: the cursor is no longer directly before the batch, or the run no longer
    /// owns the destination.
    No,
}

/// A batch that is in the bucket.
#[derive(Clone, Copy)]
pub(super) struct Landed<'a> {
    pub(super) lease: Lease,
    pub(super) row: &'a DestinationRow,
    pub(super) batch: &'a OpenBatch,
    pub(super) delivered: &'a Delivered,
    pub(super) note: Option<&'a str>,
}

impl Landed<'_> {
    /// Whether it is the last batch of its run.
    fn ends_run(&self) -> bool {
        self.batch.last_sequence >= self.lease.up_to
    }

    fn count(&self, engine: &Engine, moved: Moved) -> Moved {
        if !matches!(moved, Moved::No) {
            let events = self.batch.last_sequence - self.batch.first_sequence + 1;
            engine.metrics().delivered(events, self.batch.bytes);
        }
        moved
    }
}

/// Records that a batch is in the bucket, and moves the cursor over it. The last batch of a run
/// also ends the run.
pub(super) async fn delivered(engine: &Engine, landed: Landed<'_>) -> Result<Moved> {
    let moved = engine
        .database()
        .background()
        .transaction("confirm", async |tx| {
            continuity::require(tx).await?;
            if !confirm(tx, landed).await? {
                return tx.roll_back(Moved::No);
            }
            Ok(if landed.ends_run() {
                Moved::Ended
            } else {
                Moved::Further(None)
            })
        })
        .await?;
    Ok(landed.count(engine, moved))
}

/// As [`delivered`], for a batch that is not the last one of its run: also freezes the next batch
/// and records its first attempt, unless the destination was paused.
pub(super) async fn delivered_and_frozen(
    engine: &Engine,
    landed: Landed<'_>,
    next: &DestinationRow,
    object: &Object,
    profile: &AwsProfile,
) -> Result<Moved> {
    let moved = engine
        .database()
        .background()
        .transaction("advance", async |tx| {
            continuity::require(tx).await?;
            if !confirm(tx, landed).await? {
                return tx.roll_back(Moved::No);
            }
            let frozen = freeze::freeze_in(tx, next, object, Some(profile)).await?;
            Ok(Moved::Further(frozen.map(Box::new)))
        })
        .await?;
    Ok(landed.count(engine, moved))
}

/// Returns `false` if the run no longer owns the destination, or the cursor is not directly before
/// the batch.
async fn confirm(tx: &mut WriteTx, landed: Landed<'_>) -> Result<bool> {
    let Landed { lease, row, batch, .. } = landed;
    let moved = sqlx::query(
        "UPDATE streaming_destination \
         SET cursor = $4, \
             last_streamed_at = $5, \
             lease_replica = CASE WHEN $6 = 1 THEN NULL ELSE lease_replica END, \
             runs_served = CASE WHEN $6 = 1 THEN $7 ELSE runs_served END \
         WHERE id = $1 AND epoch = $2 AND cursor = $3",
    )
    .bind(row.id)
    .bind(row.epoch)
    .bind(batch.first_sequence - 1)
    .bind(batch.last_sequence)
    .bind(now())
    .bind(i64::from(landed.ends_run()))
    .bind(lease.runs_requested)
    .execute(&mut **tx)
    .await?;
    if moved.rows_affected() != 1 {
        return Ok(false);
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
    .bind(i64::from(landed.delivered.verified))
    .bind(landed.delivered.request_id.as_deref())
    .bind(landed.note)
    .execute(&mut **tx)
    .await?;
    recovered(tx, row).await?;
    Ok(true)
}

/// Ends a run that has nothing to send. Returns `false` if the run no longer owns the destination.
pub(super) async fn caught_up(engine: &Engine, lease: Lease, row: &DestinationRow) -> Result<bool> {
    engine
        .database()
        .background()
        .transaction("caught_up", async |tx| {
            let recorded = sqlx::query(
                "UPDATE streaming_destination SET last_streamed_at = $3, lease_replica = NULL, runs_served = $4 \
                 WHERE id = $1 AND epoch = $2",
            )
            .bind(row.id)
            .bind(row.epoch)
            .bind(now())
            .bind(lease.runs_requested)
            .execute(&mut **tx)
            .await?;
            if recorded.rows_affected() != 1 {
                return tx.roll_back(false);
            }
            recovered(tx, row).await?;
            Ok(true)
        })
        .await
}

/// Moves the cursor of a destination from the event before a gap to the end of the gap. Returns
/// `false` if the destination was changed meanwhile.
pub(super) async fn pass_gap(
    engine: &Engine,
    row: &DestinationRow,
    cursor: Sequence,
    gap: &SequenceGap,
) -> Result<bool> {
    engine
        .database()
        .transaction("pass_gap", async |tx| {
            let moved = sqlx::query(
                "UPDATE streaming_destination SET cursor = $4
                 WHERE id = $1 AND epoch = $2 AND cursor = $3 AND status = 'ACTIVE'",
            )
            .bind(row.id)
            .bind(row.epoch)
            .bind(cursor)
            .bind(gap.last)
            .execute(&mut **tx)
            .await?;
            Ok(moved.rows_affected() == 1)
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

/// Records that a run ends without a delivery: the destination fails.
pub(super) async fn failed(
    engine: &Engine,
    row: &DestinationRow,
    batch: Option<&OpenBatch>,
    failure: &DeliveryFailure,
) -> Result<()> {
    record_failure(engine, row, batch, failure, true).await.map(drop)
}

/// Records a failed attempt of which a retry follows. Returns when the batch began to fail, and
/// `None` if the destination fails already.
pub(super) async fn attempt_failed(
    engine: &Engine,
    row: &DestinationRow,
    batch: &OpenBatch,
    failure: &DeliveryFailure,
) -> Result<Option<EpochMillis>> {
    record_failure(engine, row, Some(batch), failure, false).await
}

async fn record_failure(
    engine: &Engine,
    row: &DestinationRow,
    batch: Option<&OpenBatch>,
    failure: &DeliveryFailure,
    run_ends: bool,
) -> Result<Option<EpochMillis>> {
    let json = column::to_json(&failure.failure)?;
    engine
        .database()
        .background()
        .transaction("failure", async |tx| {
            let query = sqlx::query_scalar::<_, Option<String>>(tx.dialect().pick(
                "SELECT failure FROM streaming_destination WHERE id = $1 AND epoch = $2",
                "SELECT failure FROM streaming_destination WHERE id = $1 AND epoch = $2 FOR NO KEY UPDATE",
            ));
            let before = query.bind(row.id).bind(row.epoch).fetch_optional(&mut **tx).await?;
            let Some(before) = before else {
                return tx.roll_back(None);
            };
            let since = match batch {
                Some(batch) => save_on_batch(tx, row, batch, failure, &json).await?,
                None => None,
            };
            let fails = before.is_some() || run_ends || since.is_some_and(|since| since <= now() - FAILS_AFTER);
            if !fails {
                return Ok(since);
            }
            sqlx::query("UPDATE streaming_destination SET failure = $2 WHERE id = $1")
                .bind(row.id)
                .bind(&json)
                .execute(&mut **tx)
                .await?;
            if before.is_none() {
                report_failing(tx, row, &failure.failure).await?;
            }
            Ok(None)
        })
        .await
}

/// Returns when the batch began to fail; `None` if it has been discarded.
async fn save_on_batch(
    tx: &mut WriteTx,
    row: &DestinationRow,
    batch: &OpenBatch,
    failure: &DeliveryFailure,
    json: &str,
) -> Result<Option<EpochMillis>> {
    let query = sqlx::query_scalar(
        "UPDATE streaming_batch \
         SET status = 'FAILED', failure = $3, in_doubt = $4, request_id = $5, \
             failing_since = COALESCE(failing_since, $6) \
         WHERE destination_id = $1 AND number = $2 \
         RETURNING failing_since",
    );
    Ok(query
        .bind(row.id)
        .bind(batch.number)
        .bind(json)
        .bind(i64::from(batch.is_in_doubt() || failure.in_doubt))
        .bind(failure.failure.request_id.as_deref())
        .bind(now())
        .fetch_optional(&mut **tx)
        .await?)
}

async fn report_failing(tx: &mut WriteTx, row: &DestinationRow, failure: &Failure) -> Result<()> {
    let data = json!({"failure": failure});
    outbox::enqueue(
        tx,
        row.account_id,
        &row.account,
        &row.identifier,
        EventKind::Failing,
        data,
    )
    .await?;
    let change = Change::of(KIND, &row.identifier, "STREAMING_FAILED", (), failure);
    record(tx, &system(row), change).await.map(drop)
}

fn system(row: &DestinationRow) -> Actor {
    Actor::system(row.account_id, row.account.clone())
}
