//! How long the database may take, and how much of it is used.

use std::time::Duration;

use super::Dialect;

/// The largest time for which a transaction waits for its next statement: longer than any pause
/// between two, and shorter than other transactions wait for its locks.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);
/// The deadline of the heartbeat: a server without one for 5 seconds counts as gone.
const PULSE_DEADLINE: Duration = Duration::from_secs(5);

/// Limits on the use of the database.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a write waits for another one, by a command or by another server, and how long a
    /// statement waits for a connection.
    pub busy: Duration,
    /// How long a statement, the statements of a transaction, or a commit can take. The connection
    /// of one that takes longer is closed.
    pub deadline: Duration,
    /// The number of connections to PostgreSQL, besides the one of the heartbeat.
    pub postgres_connections: u32,
    /// The largest size of the SQLite file, in pages of 4 KiB; beyond it the disk counts as full.
    pub sqlite_pages: Option<u32>,
    /// The size of SQLite's write-ahead log, in bytes, beyond which it begins anew even if reads
    /// have to wait for that.
    pub wal_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            busy: Duration::from_secs(10),
            deadline: Duration::from_secs(30),
            postgres_connections: 16,
            sqlite_pages: None,
            wal_bytes: 64 << 20,
        }
    }
}

impl Limits {
    pub(super) fn for_pulse(self) -> Self {
        Self {
            deadline: self.deadline.min(PULSE_DEADLINE),
            ..self
        }
    }

    /// The statements run on each new connection, after `setup`. Interpolates only our own numbers,
    /// never input.
    pub(crate) fn session(&self, dialect: Dialect, setup: &str) -> String {
        let busy = self.busy.as_millis();
        match dialect {
            Dialect::Sqlite => {
                let pages = self
                    .sqlite_pages
                    .map(|pages| format!("; PRAGMA max_page_count = {pages}"));
                format!("{setup}; PRAGMA busy_timeout = {busy}{}", pages.unwrap_or_default())
            }
            Dialect::Postgres => format!(
                "{setup}; SET lock_timeout = {busy}; SET statement_timeout = {}",
                self.statement_timeout()
            ),
        }
    }

    /// The statements that begin a transaction that writes, sent together. On SQLite they take the
    /// one write lock. On PostgreSQL they repeat what a session has set, because a pooler may have
    /// replaced the session meanwhile.
    pub(crate) fn begin(&self, dialect: Dialect, synchronous_commit: &str) -> String {
        match dialect {
            Dialect::Sqlite => "BEGIN IMMEDIATE".to_owned(),
            Dialect::Postgres => format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
                 SET LOCAL synchronous_commit = {synchronous_commit}; \
                 SET LOCAL lock_timeout = {}; \
                 SET LOCAL statement_timeout = {}; \
                 SET LOCAL idle_in_transaction_session_timeout = {}; \
                 SET LOCAL plan_cache_mode = force_custom_plan",
                self.busy.as_millis(),
                self.statement_timeout(),
                self.deadline.min(IDLE_IN_TRANSACTION).as_millis(),
            ),
        }
    }

    /// Milliseconds after which PostgreSQL gives up a statement: shortly before its client does, so
    /// that the connection survives.
    fn statement_timeout(&self) -> u128 {
        (self.deadline * 9 / 10).as_millis()
    }
}
