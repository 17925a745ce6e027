//! A connection for searches in a SQLite file, whose statements can be interrupted.

use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::{ConnectOptions as _, Connection as _};
use sqlx_sqlite::{Sqlite, SqliteConnectOptions, SqliteConnection, SqliteRow};

use super::Value;
use crate::database::url::sqlite_url;

/// Steps of SQLite's virtual machine between two looks at the deadline: a fraction of a
/// millisecond.
const STEPS: i32 = 1_000;

pub(super) fn options(file: &Path) -> Result<SqliteConnectOptions, String> {
    let url = sqlite_url(file, "ro").map_err(|error| error.to_string())?;
    let options = SqliteConnectOptions::from_str(&url).map_err(|error| error.to_string())?;
    Ok(options
        .read_only(true)
        .busy_timeout(Duration::from_secs(2))
        .pragma("cache_size", "-8192"))
}

#[derive(Debug)]
pub(super) struct Connection {
    connection: SqliteConnection,
    watch: Arc<Watch>,
}

/// When the statement that runs must end. SQLite asks between its steps.
#[derive(Debug)]
struct Watch {
    opened: Instant,
    /// Milliseconds after `opened`.
    deadline: AtomicU64,
    is_abandoned: AtomicBool,
}

impl Watch {
    fn allows(&self) -> bool {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        !self.is_abandoned.load(Ordering::Relaxed) && now < self.deadline.load(Ordering::Relaxed)
    }

    fn set(&self, limit: Duration) {
        let deadline = (self.opened.elapsed() + limit).as_millis();
        self.deadline
            .store(u64::try_from(deadline).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Connection {
    pub(super) async fn open(options: &SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = options.connect().await?;
        let watch = Arc::new(Watch {
            opened: Instant::now(),
            deadline: AtomicU64::new(u64::MAX),
            is_abandoned: AtomicBool::new(false),
        });
        let handler = Arc::clone(&watch);
        connection
            .lock_handle()
            .await?
            .set_progress_handler(STEPS, move || handler.allows());
        Ok(Self { connection, watch })
    }

    pub(super) async fn fetch<T>(
        &mut self,
        sql: &'static str,
        values: Vec<Value>,
        limit: Duration,
    ) -> Result<Vec<T>, sqlx::Error>
    where
        T: for<'r> sqlx::FromRow<'r, SqliteRow> + Send + Unpin,
    {
        self.watch.set(limit);
        let mut query = sqlx::query_as::<Sqlite, T>(sql);
        for value in values {
            query = match value {
                Value::Integer(number) => query.bind(number),
                Value::Text(text) => query.bind(text),
                Value::Bytes(bytes) => query.bind(bytes),
            };
        }
        query.fetch_all(&mut self.connection).await
    }

    /// Interrupts the statement that runs, if any.
    pub(super) fn interrupt(&self) {
        self.watch.is_abandoned.store(true, Ordering::Relaxed);
    }

    pub(super) async fn close(self) {
        // It only read.
        let _ = self.connection.close().await;
    }
}

/// Whether a statement was interrupted.
pub(super) fn is_interrupted(error: &sqlx::Error) -> bool {
    const SQLITE_INTERRUPT: &str = "9";
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == SQLITE_INTERRUPT)
}
