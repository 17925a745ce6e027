//! Removes old events, one account and one step after the other.

use std::collections::HashSet;

use auditstream_model::{EpochMillis, Sequence};
use sqlx::FromRow;
use sqlx::any::AnyExecutor;

use crate::Engine;
use crate::database::{Dialect, WriteTx};
use crate::error::Result;
use crate::failpoint;
use crate::task::{Stop, Task};

/// The PostgreSQL advisory lock under which one server at a time removes events: "retain" in ASCII.
const POSTGRES_LOCK: i64 = 0x7265_7461_696e;

/// The progress of a destination.
#[derive(FromRow)]
struct Progress {
    id: i64,
    /// The last sequence that it does not need any more. `None` if it was never active.
    done: Option<Sequence>,
}

/// Starts to sweep all accounts, now and at regular intervals. Stops after the current step.
pub(crate) fn start(engine: Engine) -> Task {
    Task::spawn("retention", engine.metrics().clone(), move |stop| {
        sweep_periodically(engine.clone(), stop)
    })
}

async fn sweep_periodically(engine: Engine, mut stop: Stop) {
    while !*stop.borrow() {
        failpoint::reached("retention.sweep").await;
        sweep(&engine, &mut stop).await;
        engine.metrics().fold();
        tokio::select! {
            _ = stop.changed() => {}
            () = tokio::time::sleep(engine.retention().every) => {}
        }
    }
}

/// Removes the old events of every account. An account that fails does not stop the others.
async fn sweep(engine: &Engine, stop: &mut Stop) {
    let accounts: Result<Vec<i64>, _> = sqlx::query_scalar("SELECT id FROM account ORDER BY id")
        .fetch_all(engine.database().read())
        .await;
    let accounts = accounts.unwrap_or_else(|error| {
        let error = crate::Error::from(error);
        tracing::error!(%error, "accounts cannot be read; the next sweep removes their old events");
        engine.metrics().retention_failed();
        Vec::new()
    });
    for account_id in accounts {
        if let Err(error) = sweep_account(engine, account_id, stop).await {
            tracing::error!(account_id, %error, "old events of an account cannot be removed; the next sweep retries");
            engine.metrics().retention_failed();
        }
    }
}

async fn sweep_account(engine: &Engine, account_id: i64, stop: &mut Stop) -> Result<()> {
    let mut removed = 0;
    while !*stop.borrow() {
        let step = remove_step(engine, account_id).await?;
        if step == 0 {
            break;
        }
        removed += step;
        engine.metrics().removed(step);
        tokio::select! {
            _ = stop.changed() => {}
            () = tokio::time::sleep(engine.retention().pause) => {}
        }
    }
    if removed > 0 {
        tracing::info!(account_id, removed, "removed events older than the retention");
    }
    Ok(())
}

/// Removes one step's events and returns their number: 0 if none is left, or another server is
/// removing.
async fn remove_step(engine: &Engine, account_id: i64) -> Result<u64> {
    let (step, cutoff) = (engine.retention().step, engine.retention().cutoff());
    // Most sweeps find nothing: check without a lock first.
    let progress = read_progress(engine.database().read(), account_id).await?;
    let last = last_removable(engine.database().read(), account_id, &progress, step, cutoff).await?;
    if last.is_none() {
        return Ok(0);
    }
    engine
        .database()
        .transaction("remove_events", async |tx| {
            if !lock_sweep(tx).await? {
                return tx.roll_back(0);
            }
            let Some(progress) = lock_progress(tx, account_id).await? else {
                return tx.roll_back(0);
            };
            let Some(last) = last_removable(&mut **tx, account_id, &progress, step, cutoff).await? else {
                return tx.roll_back(0);
            };
            let query = sqlx::query(
                "DELETE FROM audit_event
                 WHERE account_id = $1
                   AND sequence <= $2",
            );
            let deleted = query.bind(account_id).bind(last).execute(&mut **tx).await?;
            Ok(deleted.rows_affected())
        })
        .await
}

/// Locks out the sweeps of other servers. Returns `false` if one is removing events now.
async fn lock_sweep(tx: &mut WriteTx) -> Result<bool> {
    if tx.dialect() == Dialect::Sqlite {
        return Ok(true);
    }
    Ok(sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
        .bind(POSTGRES_LOCK)
        .fetch_one(&mut **tx)
        .await?)
}

/// Locks the destinations, then the account, and returns the progress of the destinations. Until
/// the end of the transaction no cursor moves back and no first activation looks for the oldest
/// event. Returns `None` if a destination was created between the two locks.
async fn lock_progress(tx: &mut WriteTx, account_id: i64) -> Result<Option<Vec<Progress>>> {
    let lock_destinations = tx.dialect().pick(
        "SELECT id FROM streaming_destination WHERE account_id = $1 ORDER BY id",
        "SELECT id FROM streaming_destination WHERE account_id = $1 ORDER BY id FOR SHARE",
    );
    let locked: Vec<i64> = sqlx::query_scalar(lock_destinations)
        .bind(account_id)
        .fetch_all(&mut **tx)
        .await?;
    let locked: HashSet<i64> = locked.into_iter().collect();
    let lock_account = tx.dialect().pick(
        "SELECT id FROM account WHERE id = $1",
        "SELECT id FROM account WHERE id = $1 FOR NO KEY UPDATE",
    );
    sqlx::query(lock_account).bind(account_id).execute(&mut **tx).await?;
    let progress = read_progress(&mut **tx, account_id).await?;
    let all_locked = progress.iter().all(|destination| locked.contains(&destination.id));
    Ok(all_locked.then_some(progress))
}

async fn read_progress(executor: impl AnyExecutor<'_>, account_id: i64) -> Result<Vec<Progress>> {
    let query = sqlx::query_as(
        "SELECT d.id,
                CASE WHEN b.first_sequence <= d.cursor THEN b.first_sequence - 1 ELSE d.cursor END AS done
         FROM streaming_destination d
         LEFT JOIN streaming_batch b ON b.destination_id = d.id AND b.status <> 'SUCCESS'
         WHERE d.account_id = $1",
    );
    Ok(query.bind(account_id).fetch_all(executor).await?)
}

/// The last event that one step can remove. `None` if there is nothing to remove.
async fn last_removable(
    executor: impl AnyExecutor<'_>,
    account_id: i64,
    progress: &[Progress],
    step: u32,
    cutoff: EpochMillis,
) -> Result<Option<Sequence>> {
    let done_by_all = progress.iter().filter_map(|destination| destination.done).min();
    let query = sqlx::query_scalar(
        "SELECT max(sequence)
         FROM (
             SELECT sequence, received
             FROM audit_event
             WHERE account_id = $1
               AND sequence <= $2
             ORDER BY sequence
             LIMIT $3
         ) AS first
         WHERE received < $4",
    );
    let query = query.bind(account_id).bind(done_by_all.unwrap_or(i64::MAX));
    let last = query.bind(i64::from(step)).bind(cutoff);
    Ok(last.fetch_one(executor).await?)
}
