//! How long the trail keeps events, and who makes it keep them longer.
//!
//! Events older than the retention, by when they were received, are removed in small steps with pauses between them, so
//! that ingest is not held up. What goes is always the beginning of an account's trail, so that no hole comes about, and
//! never reaches beyond what a destination that was ever active has yet to receive: each of them holds what is behind its
//! cursor, and so the batch that it has under way, which begins there. One that was never active holds nothing.
//!
//! Receipt never goes back along the trail (see the engine's `trail::append`), so that the oldest events are the first by
//! sequence and no index of receipt is needed.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use auditstream_model::{EpochMillis, HeldBack, Permission, Sequence};
use sqlx::any::AnyExecutor;
use tokio::sync::Mutex as AsyncMutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::database::{Database, Dialect, now, retried};
use crate::error::Result;
use crate::{Actor, Engine};

/// How long events are kept, and at which pace they go.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// For how long events are kept after they were received.
    pub keep: Duration,
    /// How many are removed in one transaction at most.
    pub step: u32,
    /// Between two steps, for those who wait to write.
    pub pause: Duration,
    /// Between two looks at what is old enough.
    pub every: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(730 * 86_400),
            step: 1_000,
            pause: Duration::from_millis(100),
            every: Duration::from_secs(60),
        }
    }
}

impl Retention {
    /// Events received before this are old enough to go.
    fn cutoff(&self) -> EpochMillis {
        now().saturating_sub(i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Of two servers on one PostgreSQL database only the one that has this advisory lock removes; "retain" in ASCII.
const POSTGRES_LOCK: i64 = 0x7265_7461_696e;

/// Held-back events are counted afresh after this long where there are many: their bytes are added up one by one.
const COUNTED_FOR: Duration = Duration::from_secs(60);
/// Fewer than this are always counted afresh.
const MANY: i64 = 10_000;

/// The keeper while it runs.
#[derive(Debug)]
pub(crate) struct Keeper {
    stopping: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Ends after the step that is under way.
    pub(crate) async fn stop(self) {
        // Fails when the task has ended by itself.
        let _ = self.stopping.send(true);
        let _ = self.task.await;
    }
}

/// Starts to remove what is old enough, now and from then on.
pub(crate) fn start(engine: Engine) -> Keeper {
    let (stopping, mut stop) = watch::channel(false);
    let task = tokio::spawn(async move {
        while !*stop.borrow() {
            if let Err(error) = sweep(&engine, &mut stop).await {
                tracing::error!(%error, "the accounts cannot be read; old events are removed later");
                engine.metrics().retention_failed();
            }
            engine.metrics().fold();
            tokio::select! {
                _ = stop.changed() => {}
                () = tokio::time::sleep(engine.retention().every) => {}
            }
        }
    });
    Keeper { stopping, task }
}

/// Removes what is old enough of every account. One that fails leaves the others theirs.
async fn sweep(engine: &Engine, stop: &mut watch::Receiver<bool>) -> Result<()> {
    let accounts: Vec<i64> = sqlx::query_scalar("SELECT id FROM account ORDER BY id")
        .fetch_all(engine.database().read())
        .await?;
    for account_id in accounts {
        if let Err(error) = sweep_account(engine, account_id, stop).await {
            tracing::error!(account_id, %error, "old events of an account could not be removed; tried again later");
            engine.metrics().retention_failed();
        }
    }
    Ok(())
}

/// Removes what is old enough of one account, step by step.
async fn sweep_account(engine: &Engine, account_id: i64, stop: &mut watch::Receiver<bool>) -> Result<()> {
    let mut removed = 0;
    while !*stop.borrow() {
        let step = remove(engine, account_id).await?;
        if step == 0 {
            break;
        }
        removed += step;
        engine.metrics().removed(step.unsigned_abs());
        tokio::select! {
            _ = stop.changed() => {}
            () = tokio::time::sleep(engine.retention().pause) => {}
        }
    }
    if removed > 0 {
        tracing::info!(account_id, removed, "events older than the retention were removed");
    }
    Ok(())
}

/// One step: answers how many events went.
async fn remove(engine: &Engine, account_id: i64) -> Result<i64> {
    let retention = engine.retention();
    let cutoff = retention.cutoff();
    // Without a lock, to see whether there is anything to do.
    let held = destinations(engine.database().read(), account_id).await?;
    if oldest(engine.database().read(), account_id, &held, retention.step, cutoff)
        .await?
        .is_none()
    {
        return Ok(0);
    }
    retried(|| async {
        let mut tx = engine.database().write().await?;
        if tx.dialect() == Dialect::Postgres {
            let mine: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
                .bind(POSTGRES_LOCK)
                .fetch_one(&mut *tx)
                .await?;
            if !mine {
                return Ok(0);
            }
        }
        // No cursor moves back and no first activation looks for the oldest event until this is over: they hold the
        // destination's row, or, of one that is just being made, the account's.
        let query = sqlx::query_scalar(tx.dialect().pick(
            "SELECT id FROM streaming_destination WHERE account_id = $1 ORDER BY id",
            "SELECT id FROM streaming_destination WHERE account_id = $1 ORDER BY id FOR SHARE",
        ));
        let locked: Vec<i64> = query.bind(account_id).fetch_all(&mut *tx).await?;
        let locked: HashSet<i64> = locked.into_iter().collect();
        let take = tx.dialect().pick(
            "SELECT id FROM account WHERE id = $1",
            "SELECT id FROM account WHERE id = $1 FOR NO KEY UPDATE",
        );
        sqlx::query(take).bind(account_id).execute(&mut *tx).await?;
        let held = destinations(&mut *tx, account_id).await?;
        if held.iter().any(|(id, _)| !locked.contains(id)) {
            // One was made between the two locks: what it holds is known for certain at the next look.
            return Ok(0);
        }
        let Some(last) = oldest(&mut *tx, account_id, &held, retention.step, cutoff).await? else {
            return Ok(0);
        };
        let removed = sqlx::query("DELETE FROM audit_event WHERE account_id = $1 AND sequence <= $2")
            .bind(account_id)
            .bind(last)
            .execute(&mut *tx)
            .await?
            .rows_affected();
        tx.commit().await?;
        Ok(i64::try_from(removed).unwrap_or(i64::MAX))
    })
    .await
}

/// Every destination of an account with the last sequence that it does not need; none of one that was never active.
async fn destinations(executor: impl AnyExecutor<'_>, account_id: i64) -> Result<Vec<(i64, Option<Sequence>)>> {
    let query = sqlx::query_as(
        "SELECT d.id, CASE WHEN b.first_sequence <= d.cursor THEN b.first_sequence - 1 ELSE d.cursor END \
         FROM streaming_destination d LEFT JOIN streaming_batch b ON b.destination_id = d.id AND b.status <> 'SUCCESS' \
         WHERE d.account_id = $1",
    );
    Ok(query.bind(account_id).fetch_all(executor).await?)
}

/// The last of the oldest events that may go in one step.
async fn oldest(
    executor: impl AnyExecutor<'_>,
    account_id: i64,
    held: &[(i64, Option<Sequence>)],
    step: u32,
    cutoff: EpochMillis,
) -> Result<Option<Sequence>> {
    let not_needed = held.iter().filter_map(|(_, cursor)| *cursor).min().unwrap_or(i64::MAX);
    let query = sqlx::query_scalar(
        "SELECT max(sequence) FROM (SELECT sequence, received FROM audit_event \
         WHERE account_id = $1 AND sequence <= $2 ORDER BY sequence LIMIT $3) AS first WHERE received < $4",
    );
    let last = query
        .bind(account_id)
        .bind(not_needed)
        .bind(i64::from(step))
        .bind(cutoff);
    Ok(last.fetch_one(executor).await?)
}

/// A destination that makes the trail keep events for longer than the retention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The destination.
    pub identifier: String,
    /// What it has yet to receive and is older than the retention.
    pub held_back: HeldBack,
}

/// Who holds back what in the actor's account; those that hold nothing are not among them.
///
/// # Errors
/// No permission.
pub async fn held_back(engine: &Engine, actor: &Actor) -> Result<Vec<Holder>> {
    engine.require_streaming()?;
    actor.require(Permission::ViewDestination)?;
    let rows: Vec<(i64, String, Option<Sequence>)> = sqlx::query_as(
        "SELECT id, identifier, cursor FROM streaming_destination WHERE account_id = $1 ORDER BY identifier",
    )
    .bind(actor.account_id())
    .fetch_all(engine.database().read())
    .await?;
    let mut holders = Vec::new();
    for (id, identifier, cursor) in rows {
        if let Some(held_back) = held_by(engine, actor.account_id(), id, cursor).await? {
            holders.push(Holder { identifier, held_back });
        }
    }
    Ok(holders)
}

/// What was counted before, and when, by destination.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    by_destination: Mutex<HashMap<i64, (Instant, Sequence, HeldBack)>>,
    /// Held while somebody counts: it reads much, and must not take every connection.
    turn: AsyncMutex<()>,
}

impl Counted {
    fn get(&self, destination_id: i64, cursor: Sequence) -> Option<HeldBack> {
        let counted = self.by_destination.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, of, held) = counted.get(&destination_id)?;
        let left = held.events - (cursor - of);
        if at.elapsed() >= COUNTED_FOR || !(1..=held.events).contains(&left) {
            return None;
        }
        // Of those that it has received since the bytes are taken to be like the others'.
        let bytes = i128::from(held.bytes) * i128::from(left) / i128::from(held.events);
        Some(HeldBack {
            events: left,
            bytes: i64::try_from(bytes).unwrap_or(held.bytes),
        })
    }

    fn put(&self, destination_id: i64, cursor: Sequence, held: HeldBack) {
        let mut counted = self.by_destination.lock().unwrap_or_else(PoisonError::into_inner);
        counted.retain(|_, (at, ..)| at.elapsed() < COUNTED_FOR);
        if held.events >= MANY {
            counted.insert(destination_id, (Instant::now(), cursor, held));
        }
    }
}

/// What one destination holds back, none when nothing behind its cursor is older than the retention: that is one look at
/// one row. Where there is some, the end is found by halving and only the bytes are added up.
pub(crate) async fn held_by(
    engine: &Engine,
    account_id: i64,
    destination_id: i64,
    cursor: Option<Sequence>,
) -> Result<Option<HeldBack>> {
    let Some(cursor) = cursor else { return Ok(None) };
    let database = engine.database();
    let cutoff = engine.retention().cutoff();
    if !is_older(database, account_id, cursor + 1, cutoff).await? {
        return Ok(None);
    }
    let _turn = engine.counted().turn.lock().await;
    if let Some(held) = engine.counted().get(destination_id, cursor) {
        return Ok(Some(held));
    }
    let last: Sequence = sqlx::query_scalar("SELECT last_sequence FROM account WHERE id = $1")
        .bind(account_id)
        .fetch_one(database.read())
        .await?;
    let (mut old, mut young) = (cursor + 1, last + 1);
    while young - old > 1 {
        let middle = old + (young - old) / 2;
        if is_older(database, account_id, middle, cutoff).await? {
            old = middle;
        } else {
            young = middle;
        }
    }
    let bytes: Option<i64> = sqlx::query_scalar(
        "SELECT CAST(sum(octet_length(payload)) AS BIGINT) FROM audit_event WHERE account_id = $1 AND sequence > $2 AND sequence <= $3",
    )
    .bind(account_id)
    .bind(cursor)
    .bind(old)
    .fetch_one(database.read())
    .await?;
    let held = HeldBack {
        events: old - cursor,
        bytes: bytes.unwrap_or(0),
    };
    engine.counted().put(destination_id, cursor, held);
    Ok(Some(held))
}

async fn is_older(database: &Database, account_id: i64, sequence: Sequence, cutoff: EpochMillis) -> Result<bool> {
    let query = sqlx::query_scalar("SELECT received FROM audit_event WHERE account_id = $1 AND sequence = $2");
    let received: Option<EpochMillis> = query
        .bind(account_id)
        .bind(sequence)
        .fetch_optional(database.read())
        .await?;
    Ok(received.is_some_and(|received| received < cutoff))
}
