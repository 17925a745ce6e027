//! A connection of either driver. Each call has a deadline; after a failure the connection is not
//! used again.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use sqlx_postgres::{PgConnectOptions, PgConnection, Postgres};
use sqlx_sqlite::{Sqlite, SqliteConnectOptions, SqliteConnection};
use tokio::time::timeout;

use super::table::{Kind, Table};
use super::value::{Value, Values, copy_format, decode};
use crate::database::errors::overdue;
use crate::database::{DatabaseUrl, Dialect, Limits, POSTGRES_SETUP, PostgresUrl, sqlite_url};
use crate::error::{Error, Result};

/// The largest number of values that one statement of SQLite binds.
const SQLITE_VALUES: usize = 32_766;
const SQLITE_ROWS: usize = 200;

pub(super) struct Connection {
    driver: Driver,
    /// The address, without a password.
    shown: String,
    deadline: Duration,
    /// The statements that begin a transaction.
    begin: String,
}

enum Driver {
    Sqlite(Box<SqliteConnection>),
    Postgres(Box<PgConnection>),
}

impl Connection {
    /// Connects to an existing database.
    pub(super) async fn open(database: &DatabaseUrl, limits: &Limits) -> Result<Self> {
        let opening = async {
            Ok::<_, sqlx::Error>(match database {
                DatabaseUrl::Sqlite(file) => Driver::Sqlite(Box::new(sqlite(file, limits).await?)),
                DatabaseUrl::Postgres(url) => Driver::Postgres(Box::new(postgres(url, limits).await?)),
            })
        };
        let opened = timeout(limits.deadline, opening).await;
        let driver = opened
            .unwrap_or_else(|_| Err(overdue()))
            .map_err(|error| Error::Opening(format!("cannot open the database {database}: {error}")))?;
        let begin = match &driver {
            Driver::Sqlite(_) => limits.begin(Dialect::Sqlite, ""),
            Driver::Postgres(_) => limits.begin(Dialect::Postgres, "on"),
        };
        Ok(Self {
            driver,
            shown: database.to_string(),
            deadline: limits.deadline,
            begin,
        })
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self.driver {
            Driver::Sqlite(_) => Dialect::Sqlite,
            Driver::Postgres(_) => Dialect::Postgres,
        }
    }

    /// The address of its database, without a password.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Returns the rows of a statement whose columns are of these kinds. Each row has a value per
    /// kind.
    pub(super) async fn rows(&mut self, sql: &str, kinds: &[Kind], values: &[Value]) -> Result<Vec<Values>> {
        let sql = AssertSqlSafe(sql.to_owned());
        let fetching = async {
            match &mut self.driver {
                Driver::Sqlite(connection) => {
                    let query = values
                        .iter()
                        .fold(sqlx::query::<Sqlite>(sql), |query, value| match value {
                            Value::Null => query.bind(None::<String>),
                            Value::Integer(number) => query.bind(*number),
                            Value::Text(text) => query.bind(text.as_str()),
                            Value::Bytes(bytes) => query.bind(bytes.as_slice()),
                        });
                    let rows = query.fetch_all(&mut **connection).await?;
                    rows.iter().map(|row| decode(row, kinds)).collect()
                }
                Driver::Postgres(connection) => {
                    // A statement without a name: names of a pooler's clients could collide.
                    let query = sqlx::query::<Postgres>(sql).persistent(false);
                    let query = values.iter().fold(query, |query, value| match value {
                        Value::Null => query.bind(None::<String>),
                        Value::Integer(number) => query.bind(*number),
                        Value::Text(text) => query.bind(text.as_str()),
                        Value::Bytes(bytes) => query.bind(bytes.as_slice()),
                    });
                    let rows = query.fetch_all(&mut **connection).await?;
                    rows.iter().map(|row| decode(row, kinds)).collect()
                }
            }
        };
        let fetched = timeout(self.deadline, fetching).await;
        fetched
            .unwrap_or_else(|_| Err(overdue()))
            .map_err(|error| failed(&self.shown, &error))
    }

    /// Executes a statement that returns no rows.
    pub(super) async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<()> {
        self.rows(sql, &[], values).await.map(drop)
    }

    /// Executes statements without values.
    pub(super) async fn script(&mut self, sql: &str) -> Result<()> {
        let script = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let executing = async {
            match &mut self.driver {
                Driver::Sqlite(connection) => script.execute(&mut **connection).await.map(drop),
                Driver::Postgres(connection) => script.execute(&mut **connection).await.map(drop),
            }
        };
        let executed = timeout(self.deadline, executing).await;
        executed
            .unwrap_or_else(|_| Err(overdue()))
            .map_err(|error| failed(&self.shown, &error))
    }

    pub(super) async fn begin(&mut self) -> Result<()> {
        let begin = self.begin.clone();
        self.script(&begin).await
    }

    /// Commits; the changes are on disk when this returns. After an error, it is unknown whether
    /// the transaction was committed.
    pub(super) async fn commit(&mut self) -> Result<()> {
        self.script("COMMIT").await
    }

    /// Inserts rows.
    pub(super) async fn insert(&mut self, table: &Table, rows: &[Values]) -> Result<()> {
        let inserting = async {
            match &mut self.driver {
                Driver::Sqlite(connection) => insert_in_sqlite(connection, table, rows).await,
                Driver::Postgres(connection) => copy_to_postgres(connection, table, rows).await,
            }
        };
        let inserted = timeout(self.deadline, inserting).await;
        inserted
            .unwrap_or_else(|_| Err(overdue().into()))
            .map_err(|error| match error {
                Error::Database(error) => failed(&self.shown, &error),
                other => other,
            })
    }

    pub(super) async fn close(self) {
        let closing = async {
            match self.driver {
                Driver::Sqlite(connection) => connection.close().await,
                Driver::Postgres(connection) => connection.close().await,
            }
        };
        // Everything is committed.
        let _ = timeout(self.deadline, closing).await;
    }
}

fn failed(shown: &str, error: &sqlx::Error) -> Error {
    Error::Opening(format!(
        "the database {shown} failed: {error}; run the same command again, which continues"
    ))
}

async fn sqlite(file: &std::path::Path, limits: &Limits) -> Result<SqliteConnection, sqlx::Error> {
    let url = sqlite_url(file, "rw").map_err(sqlx::Error::Io)?;
    let mut options = SqliteConnectOptions::from_str(&url)?
        .busy_timeout(limits.busy)
        .foreign_keys(true)
        .pragma("synchronous", "FULL")
        .pragma("mmap_size", "0");
    if let Some(pages) = limits.sqlite_pages {
        options = options.pragma("max_page_count", pages.to_string());
    }
    options.connect().await
}

async fn postgres(url: &PostgresUrl, limits: &Limits) -> Result<PgConnection, sqlx::Error> {
    let options: PgConnectOptions = url.with_tls().parse()?;
    let options = options.extra_float_digits(None);
    let options = match options.get_application_name() {
        None => options.application_name("auditstream-migrate"),
        Some(_) => options,
    };
    let mut connection = options.connect().await?;
    let setup = limits.session(Dialect::Postgres, POSTGRES_SETUP);
    sqlx::raw_sql(AssertSqlSafe(setup)).execute(&mut connection).await?;
    Ok(connection)
}

async fn insert_in_sqlite(connection: &mut SqliteConnection, table: &Table, rows: &[Values]) -> Result<()> {
    let most = (SQLITE_VALUES / table.columns.len().max(1)).clamp(1, SQLITE_ROWS);
    for chunk in rows.chunks(most) {
        let sql = AssertSqlSafe(insert_statement(table, chunk.len()));
        let mut query = sqlx::query::<Sqlite>(sql).persistent(chunk.len() == most);
        for value in chunk.iter().flatten() {
            query = match value {
                Value::Null => query.bind(None::<i64>),
                Value::Integer(number) => query.bind(*number),
                Value::Text(text) => query.bind(text.as_str()),
                Value::Bytes(bytes) => query.bind(bytes.as_slice()),
            };
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// `INSERT INTO t (columns) VALUES (?, ?), (?, ?)`, for SQLite.
fn insert_statement(table: &Table, rows: usize) -> String {
    let row = ["(", &vec!["?"; table.columns.len()].join(", "), ")"].concat();
    let rows = vec![row.as_str(); rows].join(", ");
    [
        "INSERT INTO ",
        &table.quoted(),
        " (",
        &table.quoted_columns(),
        ") VALUES ",
        &rows,
    ]
    .concat()
}

async fn copy_to_postgres(connection: &mut PgConnection, table: &Table, rows: &[Values]) -> Result<()> {
    let data = copy_format(table, rows)?;
    let statement = [
        "COPY ",
        &table.quoted(),
        " (",
        &table.quoted_columns(),
        ") FROM STDIN (FORMAT binary)",
    ]
    .concat();
    let mut copy = connection.copy_in_raw(&statement).await?;
    copy.send(data).await?;
    copy.finish().await?;
    Ok(())
}
