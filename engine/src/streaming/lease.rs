//! Which server streams which destination.
//!
//! One statement claims a run: it takes the lease and raises the destination's epoch, which every
//! later write of the run compares. The lease keeps two servers from doing the same work; the epoch
//! keeps the data correct when the lease could not, as when a server that was frozen wakes up.
//!
//! A SQLite file has one server, by the file's lock, so replicas found at its start are gone.

use std::collections::HashSet;

use sqlx::FromRow;

use crate::Engine;
use crate::database::Database;
use crate::error::Result;

/// The destinations for which replica `$1` may begin a run, with a tick every `$2` ms: ACTIVE, not
/// leased to another replica that is alive, and one of: interrupted (still leased), requested, its
/// tick has come, or its last tick is in the future because the clock was set back.
const SQLITE_DUE: &str = "
    SELECT id,
           failure IS NOT NULL AS failing,
           lease_replica IS NOT NULL AND lease_replica <> $1 AS abandoned,
           (SELECT count(*) FROM replica) AS replicas
    FROM streaming_destination
    WHERE status = 'ACTIVE'
      AND (lease_replica IS NULL
           OR lease_replica = $1
           OR NOT EXISTS (SELECT 1 FROM replica WHERE replica.id = lease_replica))
      AND (lease_replica IS NOT NULL
           OR runs_requested > runs_served
           OR last_tick < CAST(unixepoch('subsec') * 1000 AS INTEGER) / $2 * $2
           OR last_tick > CAST(unixepoch('subsec') * 1000 AS INTEGER))
    ORDER BY random()";

/// The same on PostgreSQL, where a replica is alive if it renewed its heartbeat within 5 seconds.
const POSTGRES_DUE: &str = "
    SELECT id,
           CAST(failure IS NOT NULL AS INTEGER) AS failing,
           CAST(lease_replica IS NOT NULL AND lease_replica <> $1 AS INTEGER) AS abandoned,
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
           OR last_tick < CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) / $2 * $2
           OR last_tick > CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT))
    ORDER BY random()";

const SQLITE_CLAIM: &str = "
    UPDATE streaming_destination
    SET lease_replica = $1,
        epoch = epoch + 1,
        last_tick = CAST(unixepoch('subsec') * 1000 AS INTEGER) / $2 * $2
    WHERE id = $3
      AND status = 'ACTIVE'
      AND (lease_replica IS NULL
           OR lease_replica = $1
           OR NOT EXISTS (SELECT 1 FROM replica WHERE replica.id = lease_replica))
      AND (lease_replica IS NOT NULL
           OR runs_requested > runs_served
           OR last_tick < CAST(unixepoch('subsec') * 1000 AS INTEGER) / $2 * $2
           OR last_tick > CAST(unixepoch('subsec') * 1000 AS INTEGER))
    RETURNING epoch, runs_requested";

const POSTGRES_CLAIM: &str = "
    UPDATE streaming_destination
    SET lease_replica = $1,
        epoch = epoch + 1,
        last_tick = CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) / $2 * $2
    WHERE id = $3
      AND status = 'ACTIVE'
      AND (lease_replica IS NULL
           OR lease_replica = $1
           OR NOT EXISTS (SELECT 1 FROM replica
                          WHERE replica.id = lease_replica
                            AND heartbeat > CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) - 5000))
      AND (lease_replica IS NOT NULL
           OR runs_requested > runs_served
           OR last_tick < CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) / $2 * $2
           OR last_tick > CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT))
    RETURNING epoch, runs_requested";

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
    /// Between two ticks, ms.
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
    replicas: i64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) destination_id: i64,
    /// The run writes only while the destination has this epoch.
    pub(super) epoch: i64,
    /// The number of runs that had been requested when this one began.
    runs_requested: i64,
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
    pub(super) async fn due(self, database: &Database, running: &HashSet<i64>) -> Result<Vec<Due>> {
        let mut rows: Vec<DueRow> = sqlx::query_as(database.dialect().pick(SQLITE_DUE, POSTGRES_DUE))
            .bind(self.id)
            .bind(self.interval)
            .fetch_all(database.read())
            .await?;
        rows.retain(|row| !running.contains(&row.id));
        let replicas = rows
            .first()
            .map_or(1, |row| usize::try_from(row.replicas).unwrap_or(1).max(1));
        let share = rows.len().div_ceil(replicas);
        let due = rows.into_iter().take(share).map(|row| Due {
            destination_id: row.id,
            failing: row.failing != 0,
            abandoned: row.abandoned != 0,
        });
        Ok(due.collect())
    }

    /// Claims a run; `None` if another server was first.
    pub(super) async fn claim(self, database: &Database, destination_id: i64) -> Result<Option<Lease>> {
        let claimed: Option<(i64, i64)> = database
            .transaction("claim", async |tx| {
                let claim = sqlx::query_as(tx.dialect().pick(SQLITE_CLAIM, POSTGRES_CLAIM))
                    .bind(self.id)
                    .bind(self.interval)
                    .bind(destination_id);
                Ok(claim.fetch_optional(&mut **tx).await?)
            })
            .await?;
        Ok(claimed.map(|(epoch, runs_requested)| Lease {
            destination_id,
            epoch,
            runs_requested,
        }))
    }

    /// Ends a run. If the epoch has changed meanwhile, the requested runs are not counted as
    /// served.
    pub(super) async fn release(self, database: &Database, lease: Lease) -> Result<()> {
        database
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
