//! Which server streams which destination.
//!
//! A server is a replica with a random id, and renews one heartbeat. A run is claimed by one statement, which takes the
//! lease and raises the destination's epoch; whatever the run then writes compares the epoch. So a lease keeps two
//! servers from doing the same work, and the epoch keeps the data right when it could not: a server that was frozen and
//! wakes up finds its epoch gone.
//!
//! A SQLite file has one server, by the file's lock: those of earlier processes are gone when it starts, and nobody has
//! to be told that it lives.

use std::collections::HashSet;

use crate::Engine;
use crate::database::Database;
use crate::error::Result;
use crate::failpoint;

macro_rules! sqlite_clock {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}

macro_rules! postgres_clock {
    () => {
        "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
    };
}

/// Its heartbeat was renewed within 5 seconds.
macro_rules! postgres_lives {
    () => {
        concat!("heartbeat > ", postgres_clock!(), " - 5000")
    };
}

/// Whether a run of an ACTIVE destination should begin: nobody else has it, and it was asked for, its tick has come, its last
/// one was of a clock that has been set back since, or it was interrupted. `$1` is the replica that asks, `$2` the interval in ms.
macro_rules! due {
    ($clock:expr, $lives:expr) => {
        concat!(
            "status = 'ACTIVE' AND (lease_replica IS NULL OR lease_replica = $1 ",
            "OR NOT EXISTS (SELECT 1 FROM replica WHERE replica.id = lease_replica AND ",
            $lives,
            ")) AND (lease_replica IS NOT NULL OR runs_requested > runs_served OR last_tick < ",
            $clock,
            " / $2 * $2 OR last_tick > ",
            $clock,
            ")"
        )
    };
}

macro_rules! select_due {
    ($clock:expr, $lives:expr) => {
        concat!(
            "SELECT id, CASE WHEN failure IS NULL THEN 0 ELSE 1 END, ",
            "CASE WHEN lease_replica IS NULL OR lease_replica = $1 THEN 0 ELSE 1 END, (SELECT count(*) FROM replica WHERE ",
            $lives,
            ") FROM streaming_destination WHERE ",
            due!($clock, $lives),
            " ORDER BY random()"
        )
    };
}

macro_rules! claim {
    ($clock:expr, $lives:expr) => {
        concat!(
            "UPDATE streaming_destination SET lease_replica = $1, epoch = epoch + 1, last_tick = ",
            $clock,
            " / $2 * $2 WHERE id = $3 AND ",
            due!($clock, $lives),
            " RETURNING epoch, runs_requested"
        )
    };
}

/// A server, as the others on its database see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replica {
    id: i64,
    /// Between two ticks, ms.
    interval: i64,
}

/// A destination for which a run should begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) destination_id: i64,
    /// Whether its last attempt failed.
    pub(super) failing: bool,
    /// Whether a server that has gone left a run of it unfinished.
    pub(super) abandoned: bool,
}

/// The right to one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) destination_id: i64,
    /// Whatever the run writes, it writes only while the destination has this epoch.
    pub(super) epoch: i64,
    /// How many runs had been asked for when this one began.
    wanted: i64,
}

impl Replica {
    /// One with an id of its own.
    pub(super) fn new(engine: &Engine) -> Self {
        let interval = i64::try_from(engine.stream_interval().as_millis()).unwrap_or(i64::MAX);
        Self {
            id: i64::from_ne_bytes(rand::random()),
            interval: interval.max(1),
        }
    }

    /// Says that this server is there.
    pub(super) async fn register(self, database: &Database) -> Result<()> {
        let gone = database.dialect().pick(
            "DELETE FROM replica",
            concat!("DELETE FROM replica WHERE NOT ", postgres_lives!()),
        );
        let here = database.dialect().pick(
            concat!("INSERT INTO replica (id, heartbeat) VALUES ($1, ", sqlite_clock!(), ")"),
            concat!(
                "INSERT INTO replica (id, heartbeat) VALUES ($1, ",
                postgres_clock!(),
                ") ON CONFLICT (id) DO UPDATE SET heartbeat = excluded.heartbeat"
            ),
        );
        let mut tx = database.pulse().begin().await?;
        sqlx::query(gone).execute(&mut *tx).await?;
        sqlx::query(here).bind(self.id).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Says that it goes; its leases are free.
    pub(super) async fn leave(self, database: &Database) -> Result<()> {
        let query = sqlx::query("DELETE FROM replica WHERE id = $1");
        query.bind(self.id).execute(database.pulse()).await?;
        Ok(())
    }

    /// This server's part of the runs that should begin, in random order: what it leaves is for the others, which look
    /// as often as it does. Those that it runs already are not among them.
    pub(super) async fn due(self, database: &Database, running: &HashSet<i64>) -> Result<Vec<Due>> {
        let query = database.dialect().pick(
            select_due!(sqlite_clock!(), "TRUE"),
            select_due!(postgres_clock!(), postgres_lives!()),
        );
        let mut found: Vec<(i64, i64, i64, i64)> = sqlx::query_as(query)
            .bind(self.id)
            .bind(self.interval)
            .fetch_all(database.read())
            .await?;
        found.retain(|(destination_id, ..)| !running.contains(destination_id));
        let replicas = found
            .first()
            .map_or(1, |row| usize::try_from(row.3).unwrap_or(1).max(1));
        let part = found.len().div_ceil(replicas);
        let due = found
            .into_iter()
            .take(part)
            .map(|(destination_id, failing, abandoned, _)| Due {
                destination_id,
                failing: failing != 0,
                abandoned: abandoned != 0,
            });
        Ok(due.collect())
    }

    /// Takes the right to a run; none when another was first.
    pub(super) async fn claim(self, database: &Database, destination_id: i64) -> Result<Option<Lease>> {
        let query = database.dialect().pick(
            claim!(sqlite_clock!(), "TRUE"),
            claim!(postgres_clock!(), postgres_lives!()),
        );
        let mut tx = database.write().await?;
        let claimed: Option<(i64, i64)> = sqlx::query_as(query)
            .bind(self.id)
            .bind(self.interval)
            .bind(destination_id)
            .fetch_optional(&mut *tx)
            .await?;
        failpoint::reached("claim.committing").await;
        tx.commit().await?;
        failpoint::reached("claim.committed").await;
        Ok(claimed.map(|(epoch, wanted)| Lease {
            destination_id,
            epoch,
            wanted,
        }))
    }

    /// The run has ended. Where the epoch has changed meanwhile, what was asked for is still to be done.
    pub(super) async fn release(self, database: &Database, lease: Lease) -> Result<()> {
        let mut tx = database.write().await?;
        sqlx::query(
            "UPDATE streaming_destination SET lease_replica = NULL, runs_served = CASE WHEN epoch = $3 THEN $4 ELSE runs_served END \
             WHERE id = $1 AND lease_replica = $2",
        )
        .bind(lease.destination_id)
        .bind(self.id)
        .bind(lease.epoch)
        .bind(lease.wanted)
        .execute(&mut *tx)
        .await?;
        failpoint::reached("release.committing").await;
        tx.commit().await?;
        failpoint::reached("release.committed").await;
        Ok(())
    }
}
