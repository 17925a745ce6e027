//! A connection for searches in PostgreSQL. Everything that a search sets is local to its
//! transaction, so that it also holds behind a pooler.

use std::time::Duration;

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};
use sqlx_postgres::{PgConnectOptions, PgConnection, PgRow, Postgres};

use super::Value;

/// How long opening a connection for a cancellation and sending it may take.
const CANCELLATION: Duration = Duration::from_secs(5);
/// The transaction of a backend: the process alone may serve another one later.
const CANCEL: &str = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity \
    WHERE pid = $1 AND (extract(epoch FROM xact_start) * 1000000)::bigint = $2";

pub(super) fn options(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let options = options.extra_float_digits(None);
    Ok(if options.get_application_name().is_none() {
        options.application_name("auditstream-search")
    } else {
        options
    })
}

#[derive(Debug)]
pub(super) struct Connection {
    connection: PgConnection,
    backend: Backend,
}

/// A transaction: the process that executes it, and when it began, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Backend {
    process: i32,
    began: i64,
}

impl Connection {
    pub(super) async fn open(options: &PgConnectOptions, limit: Duration) -> Result<Self, sqlx::Error> {
        let mut connection = options.connect().await?;
        let backend = begin(&mut connection, limit).await?;
        Ok(Self { connection, backend })
    }

    /// Begins the next search on this connection.
    pub(super) async fn begin(&mut self, limit: Duration) -> Result<(), sqlx::Error> {
        self.backend = begin(&mut self.connection, limit).await?;
        Ok(())
    }

    pub(super) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("COMMIT").execute(&mut self.connection).await.map(drop)
    }

    pub(super) async fn fetch<T>(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<T>, sqlx::Error>
    where
        T: for<'r> sqlx::FromRow<'r, PgRow> + Send + Unpin,
    {
        // Without a name, which a pooler could not keep apart from those of others.
        let mut query = sqlx::query_as::<Postgres, T>(sql).persistent(false);
        for value in values {
            query = match value {
                Value::Integer(number) => query.bind(number),
                Value::Text(text) => query.bind(text),
                Value::Bytes(bytes) => query.bind(bytes),
            };
        }
        query.fetch_all(&mut self.connection).await
    }

    /// Cancels the statement that runs, if any, from another connection, and closes both.
    pub(super) async fn cancel(self, options: PgConnectOptions) {
        let backend = self.backend;
        let cancellation = async {
            let mut other = options.connect().await?;
            sqlx::query::<Postgres>(CANCEL)
                .bind(backend.process)
                .bind(backend.began)
                .execute(&mut other)
                .await?;
            other.close().await
        };
        match tokio::time::timeout(CANCELLATION, cancellation).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a search could not be cancelled; it ends at its deadline"),
            Err(_) => tracing::warn!("cancelling a search took too long; it ends at its deadline"),
        }
        drop(self.connection);
    }

    pub(super) async fn close(self) {
        let _ = self.connection.close().await;
    }
}

/// Begins the transaction of a search. A search uses one process: it must leave processors to
/// ingest and streaming.
async fn begin(connection: &mut PgConnection, limit: Duration) -> Result<Backend, sqlx::Error> {
    let limit = limit.as_millis();
    // Interpolates only our own number.
    let sql = format!(
        "BEGIN READ ONLY; SET LOCAL statement_timeout = {limit}; SET LOCAL idle_in_transaction_session_timeout = '30s'; \
         SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_custom_plan; \
         SELECT pg_backend_pid(), (extract(epoch FROM now()) * 1000000)::bigint"
    );
    let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(connection).await?;
    Ok(Backend {
        process: row.try_get(0)?,
        began: row.try_get(1)?,
    })
}

/// Whether a statement was cancelled, by its timeout or by a request.
pub(super) fn is_cancelled(error: &sqlx::Error) -> bool {
    const QUERY_CANCELED: &str = "57014";
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == QUERY_CANCELED)
}
