//! The database: SQLite in WAL mode, synced at every commit; one writer and many readers.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auditstream_model::EpochMillis;
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};

use crate::error::{Error, Result};

/// How long a write waits for another process, such as a command beside the server.
const BUSY: Duration = Duration::from_secs(10);

/// Text of every migration, part of the binary.
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations/sqlite");

/// A transaction that may write.
pub type WriteTx = Transaction<'static, Sqlite>;

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Store {
    /// Opens or makes the file and brings its tables up to date.
    ///
    /// # Errors
    /// [`Error::Opening`] with what is wrong: not a database, not readable, made by a newer version.
    pub async fn open(file: &Path) -> Result<Self> {
        let refuse = |why: String| Error::Opening(format!("cannot open the database {}: {why}", file.display()));
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .pragma("cache_size", "-16384")
            .pragma("journal_size_limit", "67108864");
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None);
        let writer = writer
            .connect_with(options.clone())
            .await
            .map_err(|error| refuse(error.to_string()))?;
        MIGRATIONS.run(&writer).await.map_err(|error| match error {
            MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => refuse(format!(
                "it was made by a newer version of Auditstream (migration {version}); run that version or a newer one"
            )),
            MigrateError::VersionMismatch(version) => {
                refuse(format!("its migration {version} is not the one of this version"))
            }
            other => refuse(other.to_string()),
        })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options.read_only(true))
            .await;
        Ok(Self {
            writer,
            readers: readers.map_err(|error| refuse(error.to_string()))?,
        })
    }

    /// The connections that read. Each statement sees what was committed before it began.
    #[must_use]
    pub fn read(&self) -> &SqlitePool {
        &self.readers
    }

    /// Begins a transaction that holds the one write lock from its start, so that it never fails half way for a lock.
    ///
    /// # Errors
    /// When the lock is not had in time.
    pub async fn write(&self) -> Result<WriteTx> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Closes every connection, so that the write-ahead log is folded into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Now, in epoch ms.
#[must_use]
pub fn now() -> EpochMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
