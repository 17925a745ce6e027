//! Which server streams which destination.
//!
//! One statement claims a run: it takes the lease and raises the destination's epoch, which every
//! later write of the run compares. The lease keeps two servers from doing the same work; the epoch
//! keeps the data correct when the lease could not, as when a server that was frozen wakes up.
//!
//! A SQLite file has one server, by the file's lock, so replicas found at its start are gone.

use std::collections::{HashMap, HashSet};

use auditstream_model::{EpochMillis, Sequence};
use sqlx::FromRow;

use crate::Engine;
use crate::database::{Database, now};
use crate::error::Result;

/// The destinations for which replica `$1` may begin a run, with a tick every `$2` ms unless they
/// have their own interval: ACTIVE, not leased to another replica that is alive, and one of:
/// interrupted (still leased), requested, its tick has come, or its last tick is in the future
/// because the clock was set back. It is idle if [`SQLITE_SERVE_IDLE`] can serve it.
const SQLITE_DUE: &str = "
    SELECT id,
           failure IS NOT NULL AS failing,
           lease_replica IS NOT NULL AND lease_replica <> $1 AS abandoned,
           coalesce(
               lease_replica IS NULL
               AND runs_requested = runs_served
               AND failure IS NULL
               AND cursor >= (SELECT last_sequence FROM account WHERE account.id = account_id)
               AND NOT EXISTS (SELECT 1 FROM streaming_batch
                               WHERE destination_id = streaming_destination.id AND streaming_batch.status <> 'SUCCESS'),
               0) AS idle,
           (SELECT count(*) FROM replica) AS replicas
    FROM streaming_destination
    WHERE status = 'ACTIVE'
      AND (lease_replica IS NULL
           OR lease_replica = $1
           OR NOT EXISTS (SELECT 1 FROM replica WHERE replica.id = lease_replica))
      AND (lease_replica IS NOT NULL
           OR runs_requested > runs_served
           OR last_tick < CAST(unixepoch('subsec') * 1000 AS INTEGER)
               / coalesce(interval_seconds * 1000, $2) * coalesce(interval_seconds * 1000, $2)
           OR last_tick > CAST(unixepoch('subsec') * 1000 AS INTEGER))
    ORDER BY random()";

/// The same on PostgreSQL, where a replica is alive if it renewed its heartbeat within 5 seconds.
const POSTGRES_DUE: &str = "
    SELECT id,
           CAST(failure IS NOT NULL AS INTEGER) AS failing,
           CAST(lease_replica IS NOT NULL AND lease_replica <> $1 AS INTEGER) AS abandoned,
           CAST(coalesce(
               lease_replica IS NULL
               AND runs_requested = runs_served
               AND failure IS NULL
               AND cursor >= (SELECT last_sequence FROM account WHERE account.id = account_id)
               AND NOT EXISTS (SELECT 1 FROM streaming_batch
                               WHERE destination_id = streaming_destination.id AND streaming_batch.status <> 'SUCCESS'),
               FALSE) AS INTEGER) AS idle,
           (SELECT count(*) FROM replica
            WHERE heartbeat > CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) - 5000) AS replicas
    FROM streaming_destination
    WHERE status = 'ACTIVE'
      AND (lease_replica IS NULL
           OR lease_replica = $1
           OR NOT EXISTS (SELECT 1 FROM replica
                          WHERE replica.id = lease_replica
                            AND heartbeat > CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) - 5000))
      AND (lease_replica IS NOT NULL
           OR runs_requested > runs_served
           OR last_tick < CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)
               / coalesce(interval_seconds * 1000, $2) * coalesce(interval_seconds * 1000, $2)
           OR last_tick > CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT))
    ORDER BY random()";

/// Serves the tick of every destination that has nothing to send, which needs no run. Those with a
/// failure are left to a run, which reports the recovery, and so are requested runs: their events
/// may be newer than the snapshot of this statement.
const SQLITE_SERVE_IDLE: &str = "
    UPDATE streaming_destination
    SET last_tick = CAST(unixepoch('subsec') * 1000 AS INTEGER)
        / coalesce(interval_seconds * 1000, $1) * coalesce(interval_seconds * 1000, $1),
        last_streamed_at = $2
    WHERE status = 'ACTIVE'
      AND lease_replica IS NULL
      AND runs_requested = runs_served
      AND failure IS NULL
      AND (last_tick < CAST(unixepoch('subsec') * 1000 AS INTEGER)
          / coalesce(interval_seconds * 1000, $1) * coalesce(interval_seconds * 1000, $1)
           OR last_tick > CAST(unixepoch('subsec') * 1000 AS INTEGER))
      AND cursor >= (SELECT last_sequence FROM account WHERE account.id = account_id)
      AND NOT EXISTS (SELECT 1 FROM streaming_batch
                      WHERE destination_id = streaming_destination.id AND streaming_batch.status <> 'SUCCESS')";

/// Skips rows that another transaction has locked, so that servers never wait for each other here;
/// they stay due.
const POSTGRES_SERVE_IDLE: &str = "
    UPDATE streaming_destination
    SET last_tick = CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)
        / coalesce(interval_seconds * 1000, $1) * coalesce(interval_seconds * 1000, $1),
        last_streamed_at = $2
    WHERE id IN (
        SELECT id
        FROM streaming_destination d
        WHERE status = 'ACTIVE'
          AND lease_replica IS NULL
          AND runs_requested = runs_served
          AND failure IS NULL
          AND (last_tick < CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)
              / coalesce(interval_seconds * 1000, $1) * coalesce(interval_seconds * 1000, $1)
               OR last_tick > CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT))
          AND cursor >= (SELECT last_sequence FROM account WHERE account.id = d.account_id)
          AND NOT EXISTS (SELECT 1 FROM streaming_batch b WHERE b.destination_id = d.id AND b.status <> 'SUCCESS')
        ORDER BY id
        FOR NO KEY UPDATE SKIP LOCKED)";

const SQLITE_CLAIM: &str = "
    UPDATE streaming_destination
    SET lease_replica = $1,
        epoch = epoch + 1,
        last_tick = CAST(unixepoch('subsec') * 1000 AS INTEGER)
            / coalesce(interval_seconds * 1000, $2) * coalesce(interval_seconds * 1000, $2)
    WHERE id = $3
      AND status = 'ACTIVE'
      AND (lease_replica IS NULL
           OR lease_replica = $1
           OR NOT EXISTS (SELECT 1 FROM replica WHERE replica.id = lease_replica))
      AND (lease_replica IS NOT NULL
           OR runs_requested > runs_served
           OR last_tick < CAST(unixepoch('subsec') * 1000 AS INTEGER)
               / coalesce(interval_seconds * 1000, $2) * coalesce(interval_seconds * 1000, $2)
           OR last_tick > CAST(unixepoch('subsec') * 1000 AS INTEGER))
    RETURNING epoch, runs_requested, runs_served, last_tick";

const POSTGRES_CLAIM: &str = "
    UPDATE streaming_destination
    SET lease_replica = $1,
        epoch = epoch + 1,
        last_tick = CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)
            / coalesce(interval_seconds * 1000, $2) * coalesce(interval_seconds * 1000, $2)
    WHERE id = $3
      AND status = 'ACTIVE'
      AND (lease_replica IS NULL
           OR lease_replica = $1
           OR NOT EXISTS (SELECT 1 FROM replica
                          WHERE replica.id = lease_replica
                            AND heartbeat > CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) - 5000))
      AND (lease_replica IS NOT NULL
           OR runs_requested > runs_served
           OR last_tick < CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)
               / coalesce(interval_seconds * 1000, $2) * coalesce(interval_seconds * 1000, $2)
           OR last_tick > CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT))
    RETURNING epoch, runs_requested, runs_served, last_tick";

const SQLITE_REMOVE_GONE: &str = "DELETE FROM replica";
const POSTGRES_REMOVE_GONE: &str = "
    DELETE FROM replica
    WHERE heartbeat <= CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) - 5000";

const SQLITE_REGISTER: &str = "
    INSERT INTO replica (id, heartbeat)
    VALUES ($1, CAST(unixepoch('subsec') * 1000 AS INTEGER))";
const POSTGRES_REGISTER: &str = "
    INSERT INTO replica (id, heartbeat)
    VALUES ($1, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT))
    ON CONFLICT (id) DO UPDATE SET heartbeat = excluded.heartbeat";

#[derive(Clone, Copy, Debug)]
pub(super) struct Replica {
    id: i64,
    /// Between two ticks of a destination without its own interval, ms.
    interval: i64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) destination_id: i64,
    pub(super) failing: bool,
    /// Whether a server that is gone left a run of it unfinished.
    pub(super) abandoned: bool,
}

#[derive(FromRow)]
struct DueRow {
    id: i64,
    failing: i64,
    abandoned: i64,
    idle: i64,
    replicas: i64,
}

/// The runs that should begin.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// This server's share, in random order.
    pub(super) due: Vec<Due>,
    /// Whether other destinations are due that have nothing to send.
    pub(super) has_idle: bool,
}

#[derive(FromRow)]
struct Claimed {
    epoch: i64,
    runs_requested: i64,
    runs_served: i64,
    last_tick: EpochMillis,
}

/// The part of a destination's row that a run compares while it waits for its next attempt.
#[derive(Clone, Copy, Debug, FromRow)]
pub(super) struct Observed {
    id: i64,
    pub(super) epoch: i64,
    /// 1 or 0.
    pub(super) active: i64,
    pub(super) runs_requested: i64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) destination_id: i64,
    /// The run writes only while the destination has this epoch.
    pub(super) epoch: i64,
    /// The number of runs that had been requested when this one began.
    pub(super) runs_requested: i64,
    /// Whether one of them had not been served.
    pub(super) is_requested: bool,
    /// The newest tick.
    pub(super) tick: EpochMillis,
    /// The last event of the run.
    pub(super) up_to: Sequence,
}

impl Replica {
    pub(super) fn new(engine: &Engine) -> Self {
        let interval = i64::try_from(engine.stream_interval().as_millis()).unwrap_or(i64::MAX);
        Self {
            id: i64::from_ne_bytes(rand::random()),
            interval: interval.max(1),
        }
    }

    pub(super) async fn register(self, database: &Database) -> Result<()> {
        database
            .pulse_transaction(async |tx| {
                let dialect = tx.dialect();
                sqlx::query(dialect.pick(SQLITE_REMOVE_GONE, POSTGRES_REMOVE_GONE))
                    .execute(&mut **tx)
                    .await?;
                sqlx::query(dialect.pick(SQLITE_REGISTER, POSTGRES_REGISTER))
                    .bind(self.id)
                    .execute(&mut **tx)
                    .await?;
                Ok(())
            })
            .await
    }

    /// Removes this server, which frees its leases.
    pub(super) async fn leave(self, database: &Database) -> Result<()> {
        let query = sqlx::query("DELETE FROM replica WHERE id = $1");
        query.bind(self.id).execute(database.pulse()).await?;
        Ok(())
    }

    /// Returns this server's share of the runs that should begin, in random order, without those in
    /// `running`. The rest is for the other servers, which ask as often.
    pub(super) async fn look(self, database: &Database, running: &HashSet<i64>) -> Result<Look> {
        let mut rows: Vec<DueRow> = sqlx::query_as(database.dialect().pick(SQLITE_DUE, POSTGRES_DUE))
            .bind(self.id)
            .bind(self.interval)
            .fetch_all(database.read())
            .await?;
        let has_idle = rows.iter().any(|row| row.idle != 0);
        rows.retain(|row| row.idle == 0 && !running.contains(&row.id));
        let replicas = rows
            .first()
            .map_or(1, |row| usize::try_from(row.replicas).unwrap_or(1).max(1));
        let share = rows.len().div_ceil(replicas);
        let due = rows.into_iter().take(share).map(|row| Due {
            destination_id: row.id,
            failing: row.failing != 0,
            abandoned: row.abandoned != 0,
        });
        Ok(Look {
            due: due.collect(),
            has_idle,
        })
    }

    /// Serves the tick of every destination that has nothing to send, in one statement. Returns
    /// their number.
    pub(super) async fn serve_idle(self, database: &Database) -> Result<u64> {
        database
            .background()
            .transaction("serve_idle", async |tx| {
                let served = sqlx::query(tx.dialect().pick(SQLITE_SERVE_IDLE, POSTGRES_SERVE_IDLE))
                    .bind(self.interval)
                    .bind(now())
                    .execute(&mut **tx)
                    .await?;
                Ok(served.rows_affected())
            })
            .await
    }

    /// Reads the destinations that this server has leased, by their ids.
    pub(super) async fn observe(self, database: &Database) -> Result<HashMap<i64, Observed>> {
        let rows: Vec<Observed> = sqlx::query_as(
            "SELECT id, epoch, CAST(CASE WHEN status = 'ACTIVE' THEN 1 ELSE 0 END AS BIGINT) AS active, \
             runs_requested \
             FROM streaming_destination \
             WHERE lease_replica = $1",
        )
        .bind(self.id)
        .fetch_all(database.read())
        .await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }

    /// Claims a run; `None` if another server was first.
    pub(super) async fn claim(self, database: &Database, destination_id: i64) -> Result<Option<Lease>> {
        let claimed: Option<Claimed> = database
            .background()
            .transaction("claim", async |tx| {
                let claim = sqlx::query_as(tx.dialect().pick(SQLITE_CLAIM, POSTGRES_CLAIM))
                    .bind(self.id)
                    .bind(self.interval)
                    .bind(destination_id);
                Ok(claim.fetch_optional(&mut **tx).await?)
            })
            .await?;
        Ok(claimed.map(|claimed| Lease {
            destination_id,
            epoch: claimed.epoch,
            runs_requested: claimed.runs_requested,
            is_requested: claimed.runs_requested > claimed.runs_served,
            tick: claimed.last_tick,
            up_to: Sequence::MAX,
        }))
    }

    /// Ends a run that its last transaction has not ended. If the epoch has changed meanwhile, the
    /// requested runs are not counted as served.
    pub(super) async fn release(self, database: &Database, lease: Lease) -> Result<()> {
        database
            .background()
            .transaction("release", async |tx| {
                sqlx::query(
                    "UPDATE streaming_destination \
                     SET lease_replica = NULL, \
                         runs_served = CASE WHEN epoch = $3 THEN $4 ELSE runs_served END \
                     WHERE id = $1 AND lease_replica = $2",
                )
                .bind(lease.destination_id)
                .bind(self.id)
                .bind(lease.epoch)
                .bind(lease.runs_requested)
                .execute(&mut **tx)
                .await?;
                Ok(())
            })
            .await
    }
}
