//! The database: a SQLite file, or PostgreSQL. One SQL text serves both wherever it is portable;
//! otherwise the two texts are next to each other and [`Dialect::pick`] chooses.
//!
//! |  | SQLite | PostgreSQL |
//! | --- | --- | --- |
//! | durable | WAL, synced at every commit | `synchronous_commit = on` |
//! | writes | one connection, which takes the one write lock at the start of a transaction | any connection; rows are locked |
//! | isolation | serializable | read committed: rows that a decision depends on are locked when read |
//!
//! Transactions lock rows in one order, other rows first and the account's row last (in
//! [`append`](crate::trail)), so that two of them never deadlock.

pub(crate) mod column;
pub(crate) mod errors;
mod migrate;
mod transaction;
mod url;

use std::path::Path;
use std::sync::Once;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auditstream_model::EpochMillis;
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection, Executor};

use crate::error::{Error, Result};
pub(crate) use column::Json;
use migrate::migrate;
pub use transaction::WriteTx;
pub use url::{DatabaseUrl, PostgresUrl};

/// Limits on the use of the database.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a write waits for another one, by a command or by another server.
    pub busy: Duration,
    /// The largest size of the SQLite file, in pages of 4 KiB; beyond it the disk counts as full.
    pub sqlite_pages: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            busy: Duration::from_secs(10),
            sqlite_pages: None,
        }
    }
}

impl Limits {
    /// The statements run on each new connection. Interpolates only our own numbers, never input.
    fn setup(&self, dialect: Dialect, setup: &str) -> String {
        let busy = self.busy.as_millis();
        match dialect {
            Dialect::Sqlite => {
                let pages = self
                    .sqlite_pages
                    .map(|pages| format!("; PRAGMA max_page_count = {pages}"));
                format!("{setup}; PRAGMA busy_timeout = {busy}{}", pages.unwrap_or_default())
            }
            Dialect::Postgres => format!("{setup}; SET lock_timeout = {busy}"),
        }
    }
}

const POSTGRES_CONNECTIONS: u32 = 16;

fn install_drivers() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Fails only when drivers are registered already, and no other code registers any.
        let _ = sqlx::any::install_drivers(&[sqlx_sqlite::any::DRIVER, sqlx_postgres::any::DRIVER]);
    });
}

const SQLITE_WRITER: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
    PRAGMA cache_size = -16384; PRAGMA journal_size_limit = 67108864";
const SQLITE_READER: &str = "PRAGMA cache_size = -16384";
/// A process that freezes or is cut off during a transaction loses it, and its row locks, before
/// waiting transactions time out. Each execution is planned anew: a generic plan from the time when
/// a table was small would keep scanning an account where an index finds one row.
const POSTGRES: &str = "SET synchronous_commit = on; SET default_transaction_isolation = 'read committed'; \
    SET idle_in_transaction_session_timeout = '5s'; SET plan_cache_mode = force_custom_plan";

/// One of the two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl Dialect {
    pub(crate) fn pick(self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self {
            Self::Sqlite => sqlite,
            Self::Postgres => postgres,
        }
    }
}

/// The database.
#[derive(Clone, Debug)]
pub struct Database {
    dialect: Dialect,
    writers: AnyPool,
    readers: AnyPool,
    /// Only for the heartbeat, so that a busy server does not look like a dead one.
    pulse: AnyPool,
}

impl Database {
    /// Opens the database and brings its tables up to date. A missing SQLite file is created.
    ///
    /// # Errors
    /// [`Error::Opening`] with the reason: missing, not a database, not ours, created by another
    /// version.
    pub async fn open(database: &DatabaseUrl, limits: &Limits) -> Result<Self> {
        install_drivers();
        let refuse = |why: String| Error::Opening(format!("cannot open the database {database}: {why}"));
        let opened = match database {
            DatabaseUrl::Sqlite(file) => {
                let url = |mode| url::sqlite_url(file, mode).map_err(|error| refuse(error.to_string()));
                let (readwrite, readonly) = (url("rwc")?, url("ro")?);
                make_private(file).map_err(|error| refuse(error.to_string()))?;
                let writers = pool(&readwrite, 1, limits, Dialect::Sqlite, SQLITE_WRITER);
                let writers = writers.await.map_err(|error| refuse(error.to_string()))?;
                migrate(Dialect::Sqlite, &writers).await.map_err(refuse)?;
                let readers = pool(&readonly, 4, limits, Dialect::Sqlite, SQLITE_READER);
                Self {
                    dialect: Dialect::Sqlite,
                    pulse: writers.clone(),
                    writers,
                    readers: readers.await.map_err(|error| refuse(error.to_string()))?,
                }
            }
            DatabaseUrl::Postgres(url) => {
                let all = pool(url.secret(), POSTGRES_CONNECTIONS, limits, Dialect::Postgres, POSTGRES);
                let all = all.await.map_err(|error| refuse(error.to_string()))?;
                migrate(Dialect::Postgres, &all).await.map_err(refuse)?;
                let pulse = pool(url.secret(), 1, limits, Dialect::Postgres, POSTGRES);
                Self {
                    dialect: Dialect::Postgres,
                    writers: all.clone(),
                    readers: all,
                    pulse: pulse.await.map_err(|error| refuse(error.to_string()))?,
                }
            }
        };
        Ok(opened)
    }

    /// Returns which of the two databases this is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The connections for reading. Each statement sees everything committed before it began.
    #[must_use]
    pub fn read(&self) -> &AnyPool {
        &self.readers
    }

    pub(crate) fn pulse(&self) -> &AnyPool {
        &self.pulse
    }

    /// Closes every connection; SQLite folds its write-ahead log into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.pulse.close().await;
        self.writers.close().await;
    }
}

/// Creates the file of a new database, readable by its owner only; SQLite gives the -wal and -shm
/// files the same mode. An existing file is left as it is.
fn make_private(file: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Connects once first, so that a failure surfaces immediately with its original message, then
/// builds the pool.
async fn pool(
    url: &str,
    connections: u32,
    limits: &Limits,
    dialect: Dialect,
    setup: &'static str,
) -> Result<AnyPool, sqlx::Error> {
    let setup = limits.setup(dialect, setup);
    let mut first = AnyConnection::connect(url).await?;
    first.execute(AssertSqlSafe(setup.clone())).await?;
    first.close().await?;
    let options = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(limits.busy)
        .after_connect(move |connection, _| {
            let setup = AssertSqlSafe(setup.clone());
            Box::pin(async move { connection.execute(setup).await.map(drop) })
        });
    let options = if connections == 1 {
        options.idle_timeout(None).max_lifetime(None)
    } else {
        options
    };
    options.connect(url).await
}

/// The current time, epoch ms.
#[must_use]
pub fn now() -> EpochMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
