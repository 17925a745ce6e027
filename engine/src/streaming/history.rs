//! Removes the records of delivered batches, in small steps. Number, range and key of a batch are
//! retained as long as one of its events, the details of its delivery for a month.
//!
//! Batches have positions without gaps. A destination's row has the positions up to which this work
//! is done, so that no step reads the batches before.

use std::time::Duration;

use auditstream_model::{EpochMillis, Sequence};
use sqlx::FromRow;

use crate::Engine;
use crate::clock::{self, Judgement};
use crate::database::WriteTx;
use crate::error::Result;
use crate::failpoint;
use crate::task::{Stop, Task};

/// The most batches that one transaction removes or reduces.
const STEP: i64 = 500;
/// The time for which details of a delivery are retained, unless its events are removed earlier.
const DETAILS: Duration = Duration::from_secs(30 * 86_400);

/// Starts to remove old records, now and at the intervals of the retention. Stops after the current
/// step.
pub(crate) fn start(engine: Engine) -> Task {
    Task::spawn("batches", engine.metrics().clone(), move |stop| {
        sweep_periodically(engine.clone(), stop)
    })
}

async fn sweep_periodically(engine: Engine, mut stop: Stop) {
    while !*stop.borrow() {
        failpoint::reached("batches.sweep").await;
        if let Err(error) = sweep(&engine, &mut stop).await {
            tracing::error!(%error, "old batches cannot be removed; retrying later");
        }
        tokio::select! {
            _ = stop.changed() => {}
            () = tokio::time::sleep(engine.retention().every) => {}
        }
    }
}

async fn sweep(engine: &Engine, stop: &mut Stop) -> Result<()> {
    let accounts: Vec<i64> = sqlx::query_scalar("SELECT id FROM account ORDER BY id")
        .fetch_all(engine.database().read())
        .await?;
    // Removal by age depends on the clock; other removal follows the events.
    let look = clock::look(engine).await?;
    let now = (look.judgement == Judgement::Trusted).then_some(look.wall);
    let keep = millis(engine.retention().keep.min(DETAILS));
    let details_until = now.map_or(EpochMillis::MIN, |now| now.saturating_sub(keep));
    for account_id in accounts {
        expire(engine, account_id, details_until, stop).await?;
    }
    remove_deleted(engine, stop).await
}

/// Removes the batches of an account whose events no longer exist, and the details of deliveries
/// that ended before `details_until`.
async fn expire(engine: &Engine, account_id: i64, details_until: EpochMillis, stop: &mut Stop) -> Result<()> {
    while !*stop.borrow() {
        let oldest = oldest_event(engine, account_id).await?;
        let due = due(engine, account_id, oldest, details_until).await?;
        if due.is_empty() {
            return Ok(());
        }
        for destination_id in due {
            expire_step(engine, destination_id, oldest, details_until).await?;
            pause(engine, stop).await;
        }
    }
    Ok(())
}

/// Removes the batches of deleted destinations.
async fn remove_deleted(engine: &Engine, stop: &mut Stop) -> Result<()> {
    let deleted: Vec<i64> = sqlx::query_scalar("SELECT id FROM deleted_destination ORDER BY id")
        .fetch_all(engine.database().read())
        .await?;
    for destination_id in deleted {
        while !*stop.borrow() && !remove_step(engine, destination_id).await? {
            pause(engine, stop).await;
        }
    }
    Ok(())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

async fn pause(engine: &Engine, stop: &mut Stop) {
    tokio::select! {
        _ = stop.changed() => {}
        () = tokio::time::sleep(engine.retention().pause) => {}
    }
}

/// Returns the first sequence that exists; the next one if there are no events.
async fn oldest_event(engine: &Engine, account_id: i64) -> Result<Sequence> {
    let query = sqlx::query_scalar(
        "SELECT coalesce((SELECT first_sequence FROM audit_segment
                          WHERE account_id = $1 ORDER BY last_sequence LIMIT 1), last_sequence + 1)
         FROM account
         WHERE id = $1",
    );
    Ok(query.bind(account_id).fetch_one(engine.database().read()).await?)
}

/// Returns the destinations of which the next batch can be removed or reduced.
async fn due(engine: &Engine, account_id: i64, oldest: Sequence, details_until: EpochMillis) -> Result<Vec<i64>> {
    let query = sqlx::query_scalar(
        "SELECT d.id
         FROM streaming_destination d
         WHERE d.account_id = $1
           AND (
               (
                   SELECT b.last_sequence
                   FROM streaming_batch b
                   WHERE b.destination_id = d.id
                     AND b.position = d.batches_removed + 1
                     AND b.status = 'SUCCESS'
               ) < $2
               OR (
                   SELECT b.finished
                   FROM streaming_batch b
                   WHERE b.destination_id = d.id
                     AND b.position = d.batches_reduced + 1
                     AND b.status = 'SUCCESS'
               ) < $3
           )",
    );
    let query = query.bind(account_id).bind(oldest).bind(details_until);
    Ok(query.fetch_all(engine.database().read()).await?)
}

#[derive(FromRow)]
struct Progress {
    batches_removed: i64,
    batches_reduced: i64,
}

#[derive(FromRow)]
struct Delivered {
    position: i64,
    last_sequence: Sequence,
    finished: Option<EpochMillis>,
}

/// Removes and reduces the next batches of a destination.
async fn expire_step(engine: &Engine, destination_id: i64, oldest: Sequence, details_until: EpochMillis) -> Result<()> {
    engine
        .database()
        .background()
        .transaction("expire_batches", async |tx| {
            let lock = sqlx::query_as(tx.dialect().pick(
                "SELECT batches_removed, batches_reduced FROM streaming_destination WHERE id = $1",
                "SELECT batches_removed, batches_reduced FROM streaming_destination WHERE id = $1 FOR NO KEY UPDATE",
            ));
            let progress: Option<Progress> = lock.bind(destination_id).fetch_optional(&mut **tx).await?;
            let Some(progress) = progress else {
                return tx.roll_back(());
            };
            let removed = prefix(tx, destination_id, progress.batches_removed, |batch| {
                batch.last_sequence < oldest
            })
            .await?;
            sqlx::query("DELETE FROM streaming_batch WHERE destination_id = $1 AND position > $2 AND position <= $3")
                .bind(destination_id)
                .bind(progress.batches_removed)
                .bind(removed)
                .execute(&mut **tx)
                .await?;
            let from = progress.batches_reduced.max(removed);
            let reduced = prefix(tx, destination_id, from, |batch| {
                batch.finished.is_some_and(|finished| finished < details_until)
            })
            .await?;
            reduce(tx, destination_id, from, reduced).await?;
            sqlx::query("UPDATE streaming_destination SET batches_removed = $2, batches_reduced = $3 WHERE id = $1")
                .bind(destination_id)
                .bind(removed)
                .bind(reduced)
                .execute(&mut **tx)
                .await?;
            Ok(())
        })
        .await
}

/// Returns the position of the last delivered batch, of at most [`STEP`] after `after`, up to which
/// all are `old`; `after` if there is no such batch.
async fn prefix(tx: &mut WriteTx, destination_id: i64, after: i64, old: impl Fn(&Delivered) -> bool) -> Result<i64> {
    let batches: Vec<Delivered> = sqlx::query_as(
        "SELECT position, last_sequence, finished
         FROM streaming_batch
         WHERE destination_id = $1
           AND position > $2
           AND position <= $3
           AND status = 'SUCCESS'
         ORDER BY position",
    )
    .bind(destination_id)
    .bind(after)
    .bind(after.saturating_add(STEP))
    .fetch_all(&mut **tx)
    .await?;
    let last = batches.iter().take_while(|batch| old(batch)).last();
    Ok(last.map_or(after, |batch| batch.position))
}

async fn reduce(tx: &mut WriteTx, destination_id: i64, after: i64, last: i64) -> Result<()> {
    sqlx::query(
        "UPDATE streaming_batch
         SET sha256 = $4, failure = NULL, request_id = NULL, note = NULL, failing_since = NULL
         WHERE destination_id = $1
           AND position > $2
           AND position <= $3",
    )
    .bind(destination_id)
    .bind(after)
    .bind(last)
    .bind(Vec::<u8>::new())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Removes batches of a deleted destination. Returns whether none is left.
async fn remove_step(engine: &Engine, destination_id: i64) -> Result<bool> {
    engine
        .database()
        .background()
        .transaction("remove_batches", async |tx| {
            let removed = sqlx::query(
                "DELETE FROM streaming_batch
                 WHERE destination_id = $1
                   AND number IN (SELECT number FROM streaming_batch WHERE destination_id = $1 ORDER BY number LIMIT $2)",
            )
            .bind(destination_id)
            .bind(STEP)
            .execute(&mut **tx)
            .await?;
            let is_last = removed.rows_affected() < STEP.unsigned_abs();
            if is_last {
                sqlx::query("DELETE FROM deleted_destination WHERE id = $1")
                    .bind(destination_id)
                    .execute(&mut **tx)
                    .await?;
            }
            Ok(is_last)
        })
        .await
}
