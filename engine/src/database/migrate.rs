//! Migrations, part of the binary. The two folders are twins: same numbers, same names, same order.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, Connection as _, Executor as _};
use tokio::time::timeout;

use super::{Dialect, Pool};

static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");
const POSTGRES: Migrator = sqlx::migrate!("../migrations/postgres");

/// How long a migration of PostgreSQL can take.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// The migration that was rewritten before the first release.
const FIRST: i64 = 1;

/// Returns the version and the checksum of every migration.
pub(super) fn migrations(dialect: Dialect) -> Vec<(i64, Vec<u8>)> {
    let list = |migrator: &Migrator| {
        let migrations = migrator.iter();
        migrations
            .map(|migration| (migration.version, migration.checksum.to_vec()))
            .collect()
    };
    match dialect {
        Dialect::Sqlite => list(&SQLITE),
        Dialect::Postgres => list(&POSTGRES),
    }
}

pub(super) async fn migrate_sqlite(pool: &Pool) -> Result<(), String> {
    let mut lent = pool.acquire().await.map_err(|error| error.to_string())?;
    let done = SQLITE.run_direct(None, &mut *lent, false).await;
    done.map_err(|error| explain(Dialect::Sqlite, &error))?;
    lent.give_back();
    Ok(())
}

/// The PostgreSQL advisory lock of migrations: "migrate" in ASCII.
const LOCK: &str = "
    BEGIN;
    SET LOCAL statement_timeout = 0;
    SET LOCAL lock_timeout = '10min';
    SET LOCAL idle_in_transaction_session_timeout = 0;
    DO $$ BEGIN PERFORM pg_advisory_xact_lock(30796665482998885); END $$";

/// Migrates on connections without the limits of the others. Another one has a transaction open
/// meanwhile, for a lock that also works through a pooler.
pub(super) async fn migrate_postgres(url: &str) -> Result<(), String> {
    let migration = async {
        let mut lock = AnyConnection::connect(url).await?;
        lock.execute(LOCK).await?;
        let mut connection = AnyConnection::connect(url).await?;
        let mut migrator = POSTGRES;
        migrator.set_locking(false);
        migrator.run_direct(None, &mut connection, false).await?;
        lock.execute("COMMIT").await?;
        connection.close().await?;
        lock.close().await?;
        Ok::<(), MigrateError>(())
    };
    let done = timeout(LIMIT, migration).await;
    let done = done.map_err(|_| "its migration took more than an hour".to_owned())?;
    done.map_err(|error| explain(Dialect::Postgres, &error))
}

fn explain(dialect: Dialect, error: &MigrateError) -> String {
    match error {
        MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => format!(
            "it was created by a newer version of Auditstream (migration {version}); run that version or a newer one"
        ),
        MigrateError::VersionMismatch(FIRST) => {
            let remove = match dialect {
                Dialect::Sqlite => "remove the file, with its -wal and -shm files",
                Dialect::Postgres => "drop the database and create an empty one",
            };
            format!(
                "it was created by a development version from before the first release, whose tables had another \
                 shape. If you need its events, export them with the version that created it. Then {remove} and start \
                 again. For the demo, remove data/demo."
            )
        }
        MigrateError::VersionMismatch(version) => {
            format!("its migration {version} differs from the one in this version of Auditstream")
        }
        other => other.to_string(),
    }
}
