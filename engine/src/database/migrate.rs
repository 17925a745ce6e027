//! Migrations, part of the binary. The two folders are twins: same numbers, same names, same order.

use sqlx::migrate::{MigrateError, Migrator};

use super::{Dialect, Pool};

static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../migrations/postgres");

/// The migration that was rewritten before the first release.
const FIRST: i64 = 1;

pub(super) async fn migrate(dialect: Dialect, pool: &Pool) -> Result<(), String> {
    let migrations = match dialect {
        Dialect::Sqlite => &SQLITE,
        Dialect::Postgres => &POSTGRES,
    };
    let mut lent = pool.acquire().await.map_err(|error| error.to_string())?;
    let done = migrations.run_direct(None, &mut *lent, false).await;
    done.map_err(|error| explain(dialect, &error))?;
    lent.give_back();
    Ok(())
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
