//! The database: reachable, of a known version, with safe settings.

use std::time::Duration;

use sqlx::{AnyConnection, Connection as _};

use super::{Finding, Severity, clock};
use crate::database::{self, DatabaseUrl, Dialect, now};

const SUBJECT: &str = "database";
const TABLES: &str = "tables";
const TIMEOUT: Duration = Duration::from_secs(10);
/// The oldest supported version of PostgreSQL, as `server_version_num`.
const POSTGRES_MIN: i64 = 140_000;
/// The connections that one server needs.
const CONNECTIONS: i64 = 20;

/// Checks the database without changing it: it neither creates one nor brings it up to date.
pub async fn check_database(url: &DatabaseUrl) -> Vec<Finding> {
    if let DatabaseUrl::Sqlite(file) = url
        && !file.exists()
    {
        let advice = "Start the server, which creates it, or correct AUDITSTREAM_DATA_DIR or AUDITSTREAM_DATABASE_URL.";
        return vec![Finding::failed(SUBJECT, format!("there is no file {url}. {advice}"))];
    }
    match tokio::time::timeout(TIMEOUT, check(url)).await {
        Ok(Ok(findings)) => findings,
        Ok(Err(error)) => {
            let advice = match url {
                DatabaseUrl::Sqlite(_) => "Check that the file is a database of Auditstream, and its permissions.",
                DatabaseUrl::Postgres(_) => {
                    "Check AUDITSTREAM_DATABASE_URL, and that PostgreSQL runs and accepts this host."
                }
            };
            vec![Finding::failed(
                SUBJECT,
                format!("{url} cannot be used: {error}. {advice}"),
            )]
        }
        Err(_) => {
            let detail = format!("{url} did not respond within {} seconds", TIMEOUT.as_secs());
            let advice = "Check the network, its load, and locks that are held for long.";
            vec![Finding::failed(SUBJECT, format!("{detail}. {advice}"))]
        }
    }
}

/// Whether the engine can be opened without changing the database, after
/// [`check_database`] found this.
#[must_use]
pub fn can_open(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| match finding.subject.as_str() {
        TABLES => finding.severity == Severity::Good,
        SUBJECT => finding.severity != Severity::Failed,
        _ => true,
    })
}

async fn check(url: &DatabaseUrl) -> Result<Vec<Finding>, sqlx::Error> {
    let mut connection = database::connect_read_only(url).await?;
    let mut findings = match url {
        DatabaseUrl::Sqlite(_) => check_sqlite(&mut connection, url).await?,
        DatabaseUrl::Postgres(_) => check_postgres(&mut connection, url).await?,
    };
    let dialect = match url {
        DatabaseUrl::Sqlite(_) => Dialect::Sqlite,
        DatabaseUrl::Postgres(_) => Dialect::Postgres,
    };
    if let Some(obstacle) = database::usable::obstacle(&mut connection, dialect).await? {
        findings.push(Finding::failed(
            SUBJECT,
            format!("{url} is not to be used: {obstacle}."),
        ));
    }
    findings.push(check_migrations(&mut connection, url).await?);
    connection.close().await?;
    Ok(findings)
}

async fn check_sqlite(connection: &mut AnyConnection, url: &DatabaseUrl) -> Result<Vec<Finding>, sqlx::Error> {
    let version: String = text(connection, "SELECT sqlite_version()").await?;
    let journal: String = text(connection, "PRAGMA journal_mode").await?;
    let found = format!("SQLite {version}, {url}");
    if journal == "wal" {
        return Ok(vec![Finding::good(SUBJECT, found)]);
    }
    let advice = "The journal mode must be wal: run one server, on a local disk, which sets it";
    Ok(vec![Finding::warning(
        SUBJECT,
        format!("{found}, with the journal mode {journal}. {advice}."),
    )])
}

async fn check_postgres(connection: &mut AnyConnection, url: &DatabaseUrl) -> Result<Vec<Finding>, sqlx::Error> {
    let before = now();
    let theirs: i64 = number(
        connection,
        "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
    )
    .await?;
    let time = clock::compare("the database", theirs, (before, now()), Duration::ZERO);
    let version = text(connection, "SHOW server_version").await?;
    let number_of_version = number(
        connection,
        "SELECT CAST(current_setting('server_version_num') AS BIGINT)",
    )
    .await?;
    let found = format!("PostgreSQL {version}, {url}");
    let mut findings = vec![Finding::good(SUBJECT, found), time];
    let mut fail = |what: &str, advice: &str| findings.push(Finding::failed(SUBJECT, format!("{what}. {advice}.")));
    if number_of_version < POSTGRES_MIN {
        fail("this version of PostgreSQL is too old", "Upgrade it to 14 or newer");
    }
    if number(connection, "SELECT CAST(pg_is_in_recovery() AS INTEGER)").await? != 0 {
        fail("this is a standby, which cannot be written", "Connect to the primary");
    }
    for (setting, harm) in [
        ("fsync", "a crash of the host can lose acknowledged events"),
        ("full_page_writes", "a crash of the host can damage the database"),
    ] {
        let query = format!("SELECT current_setting('{setting}')");
        let value: String = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(&mut *connection)
            .await?;
        if value != "on" {
            let detail = format!("{setting} is {value}: {harm}. Set it to on in postgresql.conf.");
            findings.push(Finding::warning(SUBJECT, detail));
        }
    }
    let free = number(
        connection,
        "SELECT CAST(current_setting('max_connections') AS BIGINT) - (SELECT count(*) FROM pg_stat_activity)",
    )
    .await?;
    if free < CONNECTIONS {
        let detail = format!("only {free} more connections are possible, and a server needs up to {CONNECTIONS}");
        findings.push(Finding::warning(SUBJECT, format!("{detail}. Raise max_connections.")));
    }
    Ok(findings)
}

async fn check_migrations(connection: &mut AnyConnection, url: &DatabaseUrl) -> Result<Finding, sqlx::Error> {
    let applied: Result<Vec<(i64, Vec<u8>)>, sqlx::Error> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")
            .fetch_all(connection)
            .await;
    let applied = match applied {
        Ok(applied) => applied,
        Err(sqlx::Error::Database(_)) => Vec::new(),
        Err(error) => return Err(error),
    };
    let known = database::migrations(url);
    let newest = known.iter().map(|migration| migration.0).max().unwrap_or_default();
    Ok(if applied.is_empty() {
        Finding::failed(TABLES, "there are none yet. Start the server, which creates them.")
    } else if applied == known {
        Finding::good(TABLES, format!("up to date (migration {newest})"))
    } else if applied.iter().any(|(version, _)| *version > newest) {
        Finding::failed(
            TABLES,
            "a newer version of Auditstream created them. Run that version, or a newer one.",
        )
    } else if known.starts_with(&applied) {
        Finding::warning(
            TABLES,
            "they are those of an older version. Make a backup; the next start of the server brings them up to date.",
        )
    } else {
        Finding::failed(
            TABLES,
            "another version of Auditstream created them, with another shape. Run the version that created them.",
        )
    })
}

async fn text(connection: &mut AnyConnection, query: &'static str) -> Result<String, sqlx::Error> {
    sqlx::query_scalar(query).fetch_one(connection).await
}

async fn number(connection: &mut AnyConnection, query: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(query).fetch_one(connection).await
}
