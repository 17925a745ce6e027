//! The numbers and the identity that a database has.

use std::collections::BTreeMap;

use auditstream_model::{EpochMillis, Sequence};
use sqlx::FromRow;
use sqlx::any::AnyExecutor;

use crate::database::{Database, Dialect};
use crate::error::Result;
use crate::marks::{BeyondCursor, Marks, Server};

/// The numbers that an account can have given out within a few seconds, however long they are, and
/// in each further millisecond: more than a server can store.
const AT_ONCE: Sequence = 10_000_000;
const PER_MS: Sequence = 100;

/// Returns how many numbers an account can have given out in this time at most.
pub(super) fn most_given_out(elapsed_ms: i64) -> Sequence {
    elapsed_ms.max(0).saturating_mul(PER_MS).saturating_add(AT_ONCE)
}

#[derive(Clone, Debug, FromRow)]
pub(super) struct Installation {
    pub(super) identifier: String,
    pub(super) generation: i64,
    /// The server and timeline when this row was last written.
    pub(super) server: Option<String>,
    pub(super) timeline: Option<String>,
    /// 1 if this is a copy that no server has opened yet.
    pub(super) copied: i64,
    /// 1 if the database was moved here.
    pub(super) moved: i64,
    /// The server and timeline from which it was moved.
    pub(super) left_server: Option<String>,
    pub(super) left_timeline: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) id: i64,
    pub(super) last_sequence: Sequence,
    pub(super) last_received: EpochMillis,
    /// The last number of the newest declared gap; 0 without one.
    pub(super) gap_end: Sequence,
}

#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) dialect: Dialect,
    pub(super) installation: Installation,
    /// The actual server.
    pub(super) server: Server,
    /// By name.
    pub(super) accounts: BTreeMap<String, Account>,
    /// The last batch number of each destination, by `uid`.
    pub(super) batches: BTreeMap<String, i64>,
}

#[derive(FromRow)]
struct AccountRow {
    id: i64,
    name: String,
    last_sequence: Sequence,
    last_received: EpochMillis,
    gap_end: Sequence,
}

impl Facts {
    pub(super) async fn read(database: &Database) -> Result<Self> {
        let installation = installation(database.read()).await?;
        let server = match database.dialect() {
            Dialect::Sqlite => Server::default(),
            Dialect::Postgres => postgres_server(database).await?,
        };
        let rows: Vec<AccountRow> = sqlx::query_as(
            "SELECT a.id, a.name, a.last_sequence, a.last_received,
                    CAST(coalesce((SELECT max(g.last_sequence) FROM sequence_gap g WHERE g.account_id = a.id), 0)
                         AS BIGINT) AS gap_end
             FROM account a",
        )
        .fetch_all(database.read())
        .await?;
        let accounts = rows.into_iter().map(|row| {
            let account = Account {
                id: row.id,
                last_sequence: row.last_sequence,
                last_received: row.last_received,
                gap_end: row.gap_end,
            };
            (row.name, account)
        });
        let batches: Vec<(String, i64)> = sqlx::query_as("SELECT uid, last_batch FROM streaming_destination")
            .fetch_all(database.read())
            .await?;
        Ok(Self {
            dialect: database.dialect(),
            installation,
            server,
            accounts: accounts.collect(),
            batches: batches.into_iter().collect(),
        })
    }

    /// Returns these numbers as marks, in addition to those already known.
    pub(super) fn as_marks(&self, known: Option<&Marks>) -> Marks {
        let known = known.filter(|known| known.installation == self.installation.identifier);
        let mut marks = known
            .cloned()
            .unwrap_or_else(|| Marks::new(&self.installation.identifier, self.installation.generation));
        marks.enter(self.installation.generation, |name| self.accounts.contains_key(name));
        marks.server = self.server.clone();
        marks.batches.clone_from(&self.batches);
        for (name, account) in &self.accounts {
            marks.see(name, account.last_sequence);
        }
        marks
    }

    /// Returns how many numbers an account can have given out since the database was in this state.
    pub(super) fn most_given_out_since(&self, now: EpochMillis) -> Sequence {
        let newest = self.accounts.values().map(|account| account.last_received).max();
        let newest = newest.filter(|newest| *newest > 0).unwrap_or(now);
        most_given_out(now - newest)
    }

    /// Drops the objects that this database knows, or whose destination has another `uid` since a
    /// restore was declared.
    pub(super) fn still_beyond(&self, mut objects: Vec<BeyondCursor>) -> Vec<BeyondCursor> {
        objects.retain(|object| self.batches.get(&object.uid).is_some_and(|last| *last < object.batch));
        objects
    }

    /// Whether no number was ever given out.
    pub(super) fn is_new(&self) -> bool {
        self.installation.copied == 0 && self.accounts.values().all(|account| account.last_sequence == 0)
    }

    /// Whether `auditstream migrate` has moved the database here from the server that marks name.
    pub(super) fn was_moved_from(&self, server: &Server) -> bool {
        let left = &self.installation;
        left.moved != 0
            && left.left_server == server.identity
            && left.left_timeline == server.timeline
            && self.is_in_place()
    }

    /// Whether the database is on the server on which it was when its identity was last recorded.
    pub(super) fn is_in_place(&self) -> bool {
        self.installation.server == self.server.identity && self.installation.timeline == self.server.timeline
    }
}

/// Reads the installation's row, which is written once.
async fn installation(executor: impl AnyExecutor<'_>) -> Result<Installation> {
    let query = sqlx::query_as(
        "SELECT i.identifier, i.generation, i.server, i.timeline, i.copied,
                CAST(CASE WHEN r.id IS NULL THEN 0 ELSE 1 END AS BIGINT) AS moved,
                r.server AS left_server, r.timeline AS left_timeline
         FROM installation i LEFT JOIN relocation r ON r.id = 1 AND r.status IN ('ARRIVED', 'SETTLED')
         WHERE i.id = 1",
    );
    Ok(query.fetch_one(executor).await?)
}

async fn postgres_server(database: &Database) -> Result<Server> {
    // Some hosted servers do not permit these functions.
    let identity: Option<String> = optional(
        sqlx::query_scalar(
            "SELECT CAST(system_identifier AS TEXT) || '/' ||
                    (SELECT CAST(CAST(oid AS BIGINT) AS TEXT) FROM pg_database WHERE datname = current_database())
             FROM pg_control_system()",
        )
        .fetch_one(database.read())
        .await,
    )?;
    let timeline: Option<String> = optional(
        sqlx::query_scalar("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)")
            .fetch_one(database.read())
            .await,
    )?;
    let synchronous: String = sqlx::query_scalar("SELECT current_setting('synchronous_standby_names')")
        .fetch_one(database.read())
        .await?;
    Ok(Server {
        identity,
        timeline,
        synchronous: !synchronous.is_empty(),
    })
}

/// `None` if the server refused the statement, rather than that it was not reached.
fn optional<T>(result: Result<T, sqlx::Error>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(sqlx::Error::Database(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
