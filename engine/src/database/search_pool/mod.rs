//! The connections of searches and exports. They are few and apart from all others, so that a
//! search delays only searches (rule 11), and use the drivers themselves: their statements can be
//! interrupted.
//!
//! - A search waits for one of the [places](places); a short queue bounds how many wait.
//! - Each statement has a deadline. A connection that missed it is closed, not reused (rule 16).
//! - A search whose client leaves is dropped, which cancels its statement and closes its
//!   connection.

mod places;
mod postgres;
mod sqlite;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use auditstream_model::Code;
use sqlx_postgres::{PgConnectOptions, PgRow};
use sqlx_sqlite::{SqliteConnectOptions, SqliteRow};
use tokio::sync::watch;

use super::Dialect;
use crate::error::{Error, Result};
pub(crate) use places::Caller;
use places::{Place, Places};

/// The deadline of a statement. Searches look at rows in small steps, so that one that is reached
/// means a disk or a database in trouble.
const STATEMENT: Duration = Duration::from_secs(10);
/// How much later the server itself gives up a statement that the database should have ended.
const GRACE: Duration = Duration::from_secs(2);
/// How long connecting may take, and reusing an idle connection.
const CONNECTING: Duration = Duration::from_secs(5);

/// The connections of searches and exports.
#[derive(Clone)]
pub(crate) struct SearchPool(Arc<Shared>);

struct Shared {
    source: Source,
    statement: Duration,
    places: Places,
    idle: Mutex<Vec<Connection>>,
    is_closed: watch::Sender<bool>,
}

impl fmt::Debug for SearchPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SearchPool")
    }
}

enum Source {
    Sqlite(Box<SqliteConnectOptions>),
    Postgres(Box<PgConnectOptions>),
}

impl Source {
    fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }
}

enum Connection {
    Sqlite(sqlite::Connection),
    Postgres(Box<postgres::Connection>),
}

impl Connection {
    async fn close(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection) => connection.close().await,
        }
    }
}

/// A value that a statement binds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Integer(i64),
    Text(Option<String>),
    Bytes(Vec<u8>),
}

/// A row of either database.
pub(crate) trait SearchRow:
    for<'r> sqlx::FromRow<'r, SqliteRow> + for<'r> sqlx::FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> SearchRow for T where T: for<'r> sqlx::FromRow<'r, SqliteRow> + for<'r> sqlx::FromRow<'r, PgRow> + Send + Unpin {}

impl SearchPool {
    /// Prepares the connections to a SQLite file. They are opened by the first searches.
    pub(super) fn sqlite(file: &Path) -> Result<Self, String> {
        Ok(Self::with(Source::Sqlite(Box::new(sqlite::options(file)?)), STATEMENT))
    }

    /// Prepares the connections to a PostgreSQL server. They are opened by the first searches.
    pub(super) fn postgres(url: &str) -> Result<Self, String> {
        let options = postgres::options(url).map_err(|error| error.to_string())?;
        Ok(Self::with(Source::Postgres(Box::new(options)), STATEMENT))
    }

    /// A search uses at most one processor, and the rest of the server needs one.
    fn with(source: Source, statement: Duration) -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self(Arc::new(Shared {
            source,
            statement,
            places: Places::new(processors.clamp(2, 4)),
            idle: Mutex::default(),
            is_closed: watch::Sender::new(false),
        }))
    }

    /// Returns a connection for one search, once there is a place for it.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if no place was free within `patience`, or the database cannot be
    /// reached.
    pub(crate) async fn connect(&self, caller: &Caller, patience: Duration) -> Result<SearchConnection> {
        let place = self.0.places.take(caller, patience).await?;
        self.require_open()?;
        let connection = match self.reuse().await {
            Some(connection) => connection,
            None => self.open().await?,
        };
        crate::failpoint::reached("search.connected").await;
        Ok(SearchConnection {
            pool: self.clone(),
            connection: Some(connection),
            place: Some(place),
        })
    }

    fn require_open(&self) -> Result<()> {
        if *self.0.is_closed.borrow() {
            return Err(Error::refused(Code::Unavailable, "The server is stopping."));
        }
        Ok(())
    }

    /// Returns an idle connection that still works.
    async fn reuse(&self) -> Option<Connection> {
        loop {
            let mut connection = self.idle().pop()?;
            let begun = match &mut connection {
                Connection::Sqlite(_) => return Some(connection),
                Connection::Postgres(idle) => tokio::time::timeout(CONNECTING, idle.begin(self.0.statement)).await,
            };
            if let Ok(Ok(())) = begun {
                return Some(connection);
            }
        }
    }

    async fn open(&self) -> Result<Connection> {
        let opening = async {
            Ok::<_, sqlx::Error>(match &self.0.source {
                Source::Sqlite(options) => Connection::Sqlite(sqlite::Connection::open(options).await?),
                Source::Postgres(options) => {
                    Connection::Postgres(Box::new(postgres::Connection::open(options, self.0.statement).await?))
                }
            })
        };
        match tokio::time::timeout(CONNECTING, opening).await {
            Ok(opened) => Ok(opened?),
            Err(_) => Err(sqlx::Error::PoolTimedOut.into()),
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the searches that run and closes every connection.
    pub(super) async fn close(&self) {
        self.0.is_closed.send_replace(true);
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            connection.close().await;
        }
        let freeing = async {
            while !self.0.places.are_free() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // Else the process ends with them.
        let _ = tokio::time::timeout(CONNECTING, freeing).await;
    }
}

/// A connection for one search. Dropped without [`finish`](Self::finish), it cancels its statement
/// and is closed.
pub(crate) struct SearchConnection {
    pool: SearchPool,
    /// `None` after a failure.
    connection: Option<Connection>,
    place: Option<Place>,
}

impl SearchConnection {
    /// Returns to which of the two databases it leads.
    pub(crate) fn dialect(&self) -> Dialect {
        self.pool.0.source.dialect()
    }

    /// Returns the rows of a statement.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if it missed its deadline or the server is stopping; the connection
    /// is then closed.
    pub(crate) async fn fetch<T: SearchRow>(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<T>> {
        let limit = self.pool.0.statement;
        let mut is_closed = self.pool.0.is_closed.subscribe();
        let Some(connection) = &mut self.connection else {
            return Err(Error::Broken("a failed search used its connection again".into()));
        };
        let fetching = async {
            match connection {
                Connection::Sqlite(connection) => connection.fetch(sql, values, limit).await,
                Connection::Postgres(connection) => connection.fetch(sql, values).await,
            }
        };
        let fetched = tokio::select! {
            fetched = tokio::time::timeout(limit + GRACE, fetching) => fetched.ok(),
            _ = is_closed.wait_for(|is_closed| *is_closed) => None,
        };
        let error = match fetched {
            Some(Ok(rows)) => return Ok(rows),
            Some(Err(error)) if !sqlite::is_interrupted(&error) && !postgres::is_cancelled(&error) => error.into(),
            _ => Error::refused(
                Code::Unavailable,
                "The database did not finish the search in time. Try again in a few seconds.",
            ),
        };
        self.abandon();
        Err(error)
    }

    /// Returns the connection for the next search.
    pub(crate) async fn finish(mut self) -> Result<()> {
        let Some(mut connection) = self.connection.take() else {
            return Ok(());
        };
        if let Connection::Postgres(connection) = &mut connection {
            match tokio::time::timeout(CONNECTING, connection.commit()).await {
                Ok(committed) => committed?,
                Err(_) => return Err(sqlx::Error::PoolTimedOut.into()),
            }
        }
        let mut idle = self.pool.idle();
        if !*self.pool.0.is_closed.borrow() {
            idle.push(connection);
        }
        Ok(())
    }

    /// Cancels the statement that runs and closes the connection. Its place is free after that.
    fn abandon(&mut self) {
        let place = self.place.take();
        let Some(connection) = self.connection.take() else {
            return;
        };
        if let Connection::Sqlite(connection) = &connection {
            connection.interrupt();
        }
        // Without a runtime the process is ending.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let pool = self.pool.clone();
        runtime.spawn(async move {
            match (connection, &pool.0.source) {
                (Connection::Postgres(connection), Source::Postgres(options)) => {
                    connection.cancel(PgConnectOptions::clone(options)).await;
                }
                (connection, _) => connection.close().await,
            }
            drop(place);
        });
    }
}

impl Drop for SearchConnection {
    fn drop(&mut self) {
        self.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::{Database, DatabaseUrl, Limits};

    const ENDLESS: &str = "WITH RECURSIVE counter (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM counter) \
        SELECT count(*) FROM counter";

    fn caller() -> Caller {
        Caller {
            account_id: 1,
            name: "ann".to_owned(),
        }
    }

    async fn pool(statement: Duration) -> (tempfile::TempDir, SearchPool) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("auditstream.db");
        let (url, limits) = (DatabaseUrl::Sqlite(file.clone()), Limits::default());
        Database::open(&url, &limits).await.unwrap().close().await;
        let source = Source::Sqlite(Box::new(sqlite::options(&file).unwrap()));
        (folder, SearchPool::with(source, statement))
    }

    #[tokio::test]
    async fn a_statement_that_misses_its_deadline_ends_and_its_connection_is_closed() {
        let (_folder, pool) = pool(Duration::from_millis(50)).await;
        let mut connection = pool.connect(&caller(), CONNECTING).await.unwrap();
        let late = connection.fetch::<(i64,)>(ENDLESS, Vec::new()).await.unwrap_err();
        assert_eq!(late.problem().code, Code::Unavailable);
        drop(connection);
        let mut connection = pool.connect(&caller(), CONNECTING).await.unwrap();
        assert_eq!(
            connection.fetch::<(i64,)>("SELECT 7", Vec::new()).await.unwrap(),
            [(7,)]
        );
        connection.finish().await.unwrap();
        assert_eq!(pool.idle().len(), 1, "only the second one is reused");
        pool.close().await;
    }

    /// The pool closes only when the thread that executes the statement has ended.
    #[tokio::test]
    async fn a_search_that_is_dropped_stops_its_statement() {
        let (_folder, pool) = pool(Duration::from_secs(600)).await;
        let mut connection = pool.connect(&caller(), CONNECTING).await.unwrap();
        {
            let mut endless = Box::pin(connection.fetch::<(i64,)>(ENDLESS, Vec::new()));
            for _ in 0..100 {
                assert!(futures::poll!(&mut endless).is_pending());
                tokio::task::yield_now().await;
            }
        }
        drop(connection);
        let again = pool.connect(&caller(), Duration::from_secs(60)).await.unwrap();
        again.finish().await.unwrap();
        pool.close().await;
        assert!(pool.0.places.are_free());
    }

    #[tokio::test]
    async fn closing_ends_the_searches_that_run() {
        let (_folder, pool) = pool(Duration::from_secs(600)).await;
        let mut connection = pool.connect(&caller(), CONNECTING).await.unwrap();
        let (ended, ()) = tokio::join!(connection.fetch::<(i64,)>(ENDLESS, Vec::new()), pool.close());
        assert_eq!(ended.unwrap_err().problem().code, Code::Unavailable);
        let refused = pool.connect(&caller(), CONNECTING).await.err().unwrap();
        assert_eq!(refused.problem().code, Code::Unavailable);
    }
}
