//! Creates, detaches and drops the partitions of a month.
//!
//! The statements contain the names of tables and the number of a month, never input.

use std::collections::{BTreeMap, BTreeSet};

use auditstream_model::Sequence;
use sqlx::FromRow;
use sqlx::any::AnyExecutor;

use crate::database::errors::is_unsupported;
use crate::database::{Database, WriteTx};
use crate::error::{Error, Result};
use crate::failpoint;

/// The partitioned tables, in the order in which the partitions of a month are dropped: without the
/// first one no event can be added to the month any more, and the last one says whether it has
/// events that are needed.
const TABLES: [&str; 3] = ["event_id", "audit_event", "audit_segment"];

/// The settings of a partition. Removing old events leaves dead rows at the front of the indexes,
/// and merging leaves them at the end: vacuum early, in small parts. A new partition is analyzed
/// after a few thousand rows, long before the usual part of its later size.
const SETTINGS: &str = "autovacuum_vacuum_scale_factor = 0.005, autovacuum_vacuum_insert_scale_factor = 0.02, \
                        autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 2000";
/// The same for the payloads, which are stored apart from the rows.
const SEGMENT_SETTINGS: &str =
    ", toast.autovacuum_vacuum_scale_factor = 0.005, toast.autovacuum_vacuum_insert_scale_factor = 0.02";

/// The state of a partition, or of a table that was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Attached,
    /// An interrupted `DETACH … CONCURRENTLY`, which prevents every other one.
    Pending,
    Detached,
}

/// The partitions by month and table, without those of month 0.
#[derive(Debug, Default)]
pub(super) struct Partitions(BTreeMap<(i64, &'static str), State>);

impl Partitions {
    /// Reads them from the catalog.
    pub(super) async fn read(executor: impl AnyExecutor<'_>) -> Result<Self> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT CAST(c.relname AS TEXT),
                    CAST(CASE WHEN i.inhrelid IS NULL THEN 2 WHEN i.inhdetachpending THEN 1 ELSE 0 END AS BIGINT)
             FROM pg_class c
             LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
             WHERE c.relnamespace = CAST(current_schema() AS regnamespace)
               AND c.relkind = 'r'
               AND CAST(c.relname AS TEXT) ~ '^(audit_segment|audit_event|event_id)_[1-9][0-9]{0,4}$'",
        )
        .fetch_all(executor)
        .await?;
        let parsed = rows.into_iter().filter_map(|(name, state)| {
            let (table, month) = name.rsplit_once('_')?;
            let table = TABLES.into_iter().find(|it| *it == table)?;
            let state = match state {
                0 => State::Attached,
                1 => State::Pending,
                _ => State::Detached,
            };
            Some(((month.parse().ok()?, table), state))
        });
        Ok(Self(parsed.collect()))
    }

    /// The months of which all partitions take rows.
    pub(super) fn attached(&self) -> BTreeSet<i64> {
        let months = self.0.keys().map(|(month, _)| *month);
        months.filter(|month| self.are_all(*month, State::Attached)).collect()
    }

    fn are_all(&self, month: i64, state: State) -> bool {
        TABLES.iter().all(|table| self.0.get(&(month, *table)) == Some(&state))
    }

    /// The months of which partitions were dropped or detached, but not all.
    fn unfinished(&self) -> BTreeSet<i64> {
        let months = self.0.keys().map(|(month, _)| *month);
        months.filter(|month| !self.are_all(*month, State::Attached)).collect()
    }
}

/// Creates the partitions of a month that do not exist.
pub(super) async fn create(tx: &mut WriteTx, partitions: &Partitions, month: i64) -> Result<()> {
    for (table, sql) in TABLES.into_iter().zip(creation(month)) {
        if !partitions.0.contains_key(&(month, table)) {
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut **tx).await?;
        }
    }
    Ok(())
}

/// Returns the statements that create the partitions of a month. They lock out neither readers nor
/// writers of the tables.
pub(crate) fn creation(month: i64) -> [String; 3] {
    TABLES.map(|table| {
        let of_segments = if table == "audit_segment" { SEGMENT_SETTINGS } else { "" };
        format!(
            "CREATE TABLE {table}_{month} (LIKE {table} INCLUDING ALL) WITH ({SETTINGS}{of_segments}); \
             ALTER TABLE {table} ATTACH PARTITION {table}_{month} FOR VALUES IN ({month})"
        )
    })
}

/// The last event of an account in a month.
#[derive(Clone, Copy, Debug, FromRow)]
pub(crate) struct Live {
    pub(crate) account_id: i64,
    pub(crate) last_sequence: Sequence,
}

/// Returns the accounts that have events of a month which retention has not removed.
pub(crate) async fn live_accounts(executor: impl AnyExecutor<'_>, month: i64) -> Result<Vec<Live>> {
    let query = sqlx::query_as(
        "SELECT a.id AS account_id, s.last_sequence
         FROM account a
         CROSS JOIN LATERAL (
             SELECT last_sequence
             FROM audit_segment
             WHERE account_id = a.id AND month = $1 AND last_sequence >= a.first_sequence
             ORDER BY last_sequence DESC
             LIMIT 1
         ) AS s
         ORDER BY a.id",
    );
    Ok(query.bind(month).fetch_all(executor).await?)
}

/// Returns the oldest month that has all its partitions, up to `last`.
pub(crate) async fn oldest(database: &Database, after: i64, last: i64) -> Result<Option<i64>> {
    let attached = Partitions::read(database.read()).await?.attached();
    Ok(attached.into_iter().find(|month| *month > after && *month <= last))
}

/// Detaches and drops the partitions of a month in which nothing is needed any more, or continues
/// that. Returns `false`, and restores the partitions, if there are events that are needed.
pub(crate) async fn drop_month(database: &Database, month: i64) -> Result<bool> {
    let partitions = Partitions::read(database.read()).await?;
    for table in TABLES {
        let Some(state) = partitions.0.get(&(month, table)).copied() else {
            continue;
        };
        if state == State::Attached {
            if is_needed(database, &partitions, month).await? {
                restore(database, month).await?;
                return Ok(false);
            }
            detach(database, table, month).await?;
            failpoint::reached("partitions.detached").await;
        }
        if state == State::Pending {
            finalize(database, table, month).await?;
        }
        // Events that were added until the moment of detaching, which only a clock that was set
        // back can cause.
        if is_needed(database, &partitions, month).await? {
            restore(database, month).await?;
            return Ok(false);
        }
        database.execute_alone(format!("DROP TABLE {table}_{month}")).await?;
    }
    tracing::info!(
        month,
        "dropped the partitions of a month whose events have been removed"
    );
    Ok(true)
}

/// Completes the removals that were interrupted. One that is pending prevents every other one, and
/// a table that was detached would never be looked at again.
pub(super) async fn finish(database: &Database) -> Result<()> {
    let partitions = Partitions::read(database.read()).await?;
    for month in partitions.unfinished() {
        drop_month(database, month).await?;
    }
    Ok(())
}

/// Attaches the partitions of a month again, and creates those that have been dropped.
async fn restore(database: &Database, month: i64) -> Result<()> {
    let partitions = Partitions::read(database.read()).await?;
    if partitions.are_all(month, State::Attached) {
        return Ok(());
    }
    for table in TABLES {
        let state = partitions.0.get(&(month, table)).copied();
        if state == Some(State::Pending) {
            finalize(database, table, month).await?;
        }
        if state.is_some_and(|state| state != State::Attached) {
            let attach = format!("ALTER TABLE {table} ATTACH PARTITION {table}_{month} FOR VALUES IN ({month})");
            database.execute_alone(attach).await?;
        }
    }
    database
        .background()
        .transaction("complete_partitions", async |tx| {
            let partitions = Partitions::read(&mut **tx).await?;
            create(tx, &partitions, month).await
        })
        .await?;
    tracing::warn!(
        month,
        "restored the partitions of a month that has events which are needed"
    );
    Ok(())
}

async fn finalize(database: &Database, table: &str, month: i64) -> Result<()> {
    let sql = format!("ALTER TABLE {table} DETACH PARTITION {table}_{month} FINALIZE");
    database.execute_alone(sql).await
}

/// Whether a month has events that retention has not removed, whether its partitions are attached
/// or not.
async fn is_needed(database: &Database, partitions: &Partitions, month: i64) -> Result<bool> {
    if !partitions.0.contains_key(&(month, "audit_segment")) {
        return Ok(false);
    }
    let sql = format!(
        "SELECT CAST(count(*) AS BIGINT) FROM account a WHERE EXISTS (
             SELECT 1 FROM audit_segment_{month} s WHERE s.account_id = a.id AND s.last_sequence >= a.first_sequence)"
    );
    let query = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(sql));
    let accounts = query.fetch_one(database.read()).await?;
    Ok(accounts > 0)
}

/// Detaches a partition without locking out readers and writers. It waits for those that use the
/// table now, up to the deadline of every statement; if that ends it, it stays pending until
/// [`finish`].
async fn detach(database: &Database, table: &str, month: i64) -> Result<()> {
    let sql = format!("ALTER TABLE {table} DETACH PARTITION {table}_{month}");
    match database.execute_alone(format!("{sql} CONCURRENTLY")).await {
        Err(Error::Database(error)) if is_unsupported(&error) => {}
        detached => return detached,
    }
    // A distributed table. Others wait for this lock, which is given up soon.
    database
        .background()
        .transaction("detach_partition", async |tx| {
            let sql = format!("SET LOCAL lock_timeout = 200; {sql}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut **tx).await?;
            Ok(())
        })
        .await
}
