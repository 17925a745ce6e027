//! The database: a SQLite file, or PostgreSQL. One SQL text serves both wherever it is portable;
//! otherwise the two texts are next to each other and [`Dialect::pick`] chooses.
//!
//! |  | SQLite | PostgreSQL |
//! | --- | --- | --- |
//! | durable | WAL, synced at every commit | `synchronous_commit = on` in every transaction |
//! | writes | one connection, which takes the one write lock at the start of a transaction | any connection; rows are locked |
//! | isolation | serializable | read committed: rows that a decision depends on are locked when read |
//!
//! Transactions lock rows in one order, other rows first and the account's row last (in
//! [`append`](crate::trail)), so that two of them never deadlock.

mod background;
mod checkpoints;
mod clock;
pub(crate) mod column;
pub(crate) mod errors;
mod limits;
mod memory;
mod migrate;
mod pool;
mod postgres;
mod reader;
mod search_pool;
mod single_connection;
mod sqlite;
mod transaction;
mod url;
pub(crate) mod usable;

use std::sync::{Arc, Once};
use std::time::Duration;

use sqlx::{AnyConnection, Connection as _};

use crate::error::{Error, Result};
use crate::id_filters::IdFilters;
use crate::marks::Numbering;
use crate::months::KnownMonths;
use background::BackgroundQueue;
use checkpoints::Checkpoints;
pub use clock::{Clock, now};
pub(crate) use clock::{SeenTime, is_future, time_after};
pub(crate) use column::Json;
pub use limits::Limits;
pub use pool::Pool;
pub(crate) use postgres::SETUP as POSTGRES_SETUP;
use search_pool::SearchPool;
pub(crate) use search_pool::{Caller, SearchConnection, SearchRow, Value};
pub(crate) use single_connection::connect_sqlite;
pub use transaction::WriteTx;
pub(crate) use url::sqlite_url;
pub use url::{DatabaseUrl, PostgresUrl};

fn install_drivers() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Fails only when drivers are registered already, and no other code registers any.
        let _ = sqlx::any::install_drivers(&[sqlx_sqlite::any::DRIVER, sqlx_postgres::any::DRIVER]);
    });
}

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

/// Why a database is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To serve or to execute a command.
    Use,
    /// To move it.
    Move,
}

/// The database.
#[derive(Clone, Debug)]
pub struct Database {
    dialect: Dialect,
    writers: Pool,
    readers: Pool,
    /// Only for the heartbeat, so that a busy server does not look like a dead one.
    pulse: Pool,
    search: SearchPool,
    background: BackgroundQueue,
    /// The statements that begin a transaction.
    begin: String,
    /// `None` with PostgreSQL.
    checkpoints: Option<Arc<Checkpoints>>,
    numbering: Numbering,
    clock: Clock,
    id_filters: IdFilters,
    months: KnownMonths,
}

impl Database {
    /// Opens the database and brings its tables up to date. A missing SQLite file is created.
    ///
    /// # Errors
    /// [`Error::Opening`] with the reason: missing, not a database, not ours, created by another
    /// version.
    pub async fn open(database: &DatabaseUrl, limits: &Limits) -> Result<Self> {
        Self::open_for(Purpose::Use, database, limits).await
    }

    /// Like [`Self::open`], also a database that was moved or is the target of an unfinished move.
    pub(crate) async fn open_for_move(database: &DatabaseUrl, limits: &Limits) -> Result<Self> {
        Self::open_for(Purpose::Move, database, limits).await
    }

    async fn open_for(purpose: Purpose, database: &DatabaseUrl, limits: &Limits) -> Result<Self> {
        install_drivers();
        let opened = match database {
            DatabaseUrl::Sqlite(file) => sqlite::open(file, limits, purpose).await,
            DatabaseUrl::Postgres(url) => postgres::open(url, limits, purpose).await,
        };
        opened.map_err(|why| Error::Opening(format!("cannot open the database {database}: {why}")))
    }

    /// Uses a clock in place of the system's.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Uses these filters of event ids. Without them each id is looked up in the table.
    #[must_use]
    pub(crate) fn with_id_filters(self, id_filters: IdFilters) -> Self {
        Self { id_filters, ..self }
    }

    /// The filters of event ids that are in memory.
    pub(crate) fn id_filters(&self) -> &IdFilters {
        &self.id_filters
    }

    /// The partitions of the trail that this server knows.
    pub(crate) fn months(&self) -> &KnownMonths {
        &self.months
    }

    /// The clock by which times are recorded.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns which of the two databases this is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The connections for reading, with a deadline for each statement. A statement sees everything
    /// committed before it began.
    #[must_use]
    pub fn read(&self) -> &Pool {
        &self.readers
    }

    /// The connections of searches and exports.
    pub(crate) fn search(&self) -> &SearchPool {
        &self.search
    }

    pub(crate) fn pulse(&self) -> &Pool {
        &self.pulse
    }

    /// The number of transactions that can be open at a time.
    pub(crate) fn concurrent_writes(&self) -> u32 {
        self.writers.size()
    }

    /// How long a statement, the statements of a transaction, or a commit can take.
    pub(crate) fn deadline(&self) -> Duration {
        self.writers.deadline()
    }

    pub(crate) fn numbering(&self) -> &Numbering {
        &self.numbering
    }

    /// Closes every connection; SQLite folds its write-ahead log into the file.
    pub async fn close(&self) {
        self.search.close().await;
        self.readers.close().await;
        self.pulse.close().await;
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.stop().await;
        }
        self.writers.close().await;
    }
}

async fn connect(url: &str, size: u32, limits: &Limits, dialect: Dialect, setup: &str) -> Result<Pool, String> {
    let pool = Pool::open(url, size, limits, dialect, setup).await;
    pool.map_err(|error| error.to_string())
}

/// Opens a connection to look at a database, which is neither created nor brought up to date.
pub(crate) async fn connect_read_only(database: &DatabaseUrl) -> Result<AnyConnection, sqlx::Error> {
    install_drivers();
    match database {
        DatabaseUrl::Sqlite(file) => AnyConnection::connect(&url::sqlite_url(file, "ro")?).await,
        DatabaseUrl::Postgres(url) => AnyConnection::connect(&url.with_tls()).await,
    }
}

/// Returns the version and the checksum of every migration of this version of Auditstream.
pub(crate) fn migrations(database: &DatabaseUrl) -> Vec<(i64, Vec<u8>)> {
    migrate::migrations(match database {
        DatabaseUrl::Sqlite(_) => Dialect::Sqlite,
        DatabaseUrl::Postgres(_) => Dialect::Postgres,
    })
}
