//! Removes the next old events of an account, in one transaction.

use std::collections::HashSet;

use auditstream_model::Sequence;
use sqlx::FromRow;
use sqlx::any::AnyExecutor;

use super::expiry::Expiry;
use crate::Engine;
use crate::database::{Dialect, WriteTx};
use crate::error::Result;

/// The PostgreSQL advisory lock under which one server at a time removes events: "retain" in ASCII.
const POSTGRES_LOCK: i64 = 0x7265_7461_696e;

/// The progress of a destination.
#[derive(FromRow)]
struct Progress {
    id: i64,
    /// The last sequence that it does not need any more. `None` if it was never active.
    done: Option<Sequence>,
}

/// The first events of a trail.
#[derive(FromRow)]
struct Prefix {
    /// The first that has not expired.
    young: Option<Sequence>,
    last: Option<Sequence>,
}

/// Removes up to `rows` events and returns their number: 0 if none is left, or another server is
/// removing.
pub(super) async fn step(engine: &Engine, account_id: i64, expiry: Expiry, rows: u32) -> Result<u64> {
    // Most sweeps find nothing: check without a lock first.
    let progress = read_progress(engine.database().read(), account_id).await?;
    let first: Sequence = sqlx::query_scalar("SELECT first_sequence FROM account WHERE id = $1")
        .bind(account_id)
        .fetch_one(engine.database().read())
        .await?;
    if removable(&progress, expiry) < first {
        return Ok(0);
    }
    engine
        .database()
        .background()
        .transaction("remove_events", async |tx| {
            if !lock_sweep(tx).await? {
                return tx.roll_back(0);
            }
            let Some((first, progress)) = lock_progress(tx, account_id).await? else {
                return tx.roll_back(0);
            };
            let prefix = read_prefix(tx, account_id, first, expiry, rows).await?;
            let last_expired = prefix.young.map(|young| young - 1).or(prefix.last);
            let last = last_expired.map_or(0, |last| last.min(removable(&progress, expiry)));
            if last < first {
                return tx.roll_back(0);
            }
            let query = sqlx::query(
                "DELETE FROM audit_event
                 WHERE account_id = $1
                   AND sequence >= $2
                   AND sequence <= $3",
            );
            let deleted = query.bind(account_id).bind(first).bind(last).execute(&mut **tx).await?;
            sqlx::query("UPDATE account SET first_sequence = $2 WHERE id = $1")
                .bind(account_id)
                .bind(last + 1)
                .execute(&mut **tx)
                .await?;
            Ok(deleted.rows_affected())
        })
        .await
}

/// The last event that neither a destination nor an admin has to release.
fn removable(progress: &[Progress], expiry: Expiry) -> Sequence {
    let done_by_all = progress.iter().filter_map(|destination| destination.done).min();
    done_by_all.map_or(expiry.removable, |done| done.min(expiry.removable))
}

/// Reads the first `rows` events of a trail that begins at `first`.
async fn read_prefix(tx: &mut WriteTx, account_id: i64, first: Sequence, expiry: Expiry, rows: u32) -> Result<Prefix> {
    let query = sqlx::query_as(
        "SELECT min(CASE WHEN received >= $4 THEN sequence END) AS young,
                max(sequence) AS last
         FROM (
             SELECT sequence, received
             FROM audit_event
             WHERE account_id = $1
               AND sequence >= $2
             ORDER BY sequence
             LIMIT $3
         ) AS prefix",
    );
    let query = query.bind(account_id).bind(first).bind(i64::from(rows));
    Ok(query.bind(expiry.cutoff).fetch_one(&mut **tx).await?)
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

/// Locks the destinations, then the account. Returns its first event and the progress of the
/// destinations. Until the end of the transaction no cursor moves back and no first activation
/// looks for the oldest event. Returns `None` if a destination was created between the two locks.
async fn lock_progress(tx: &mut WriteTx, account_id: i64) -> Result<Option<(Sequence, Vec<Progress>)>> {
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
        "SELECT first_sequence FROM account WHERE id = $1",
        "SELECT first_sequence FROM account WHERE id = $1 FOR NO KEY UPDATE",
    );
    let first = sqlx::query_scalar(lock_account)
        .bind(account_id)
        .fetch_one(&mut **tx)
        .await?;
    let progress = read_progress(&mut **tx, account_id).await?;
    let all_locked = progress.iter().all(|destination| locked.contains(&destination.id));
    Ok(all_locked.then_some((first, progress)))
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
