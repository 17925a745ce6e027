//! Opens a PostgreSQL database, directly or through a pooler.

use sqlx::FromRow;

use super::background::BackgroundQueue;
use super::migrate::migrate_postgres;
use super::pool::Pool;
use super::search_pool::SearchPool;
use super::url::{PostgresUrl, Tls};
use super::{Clock, Database, Dialect, Limits, Purpose, connect, usable};
use crate::error::Error;
use crate::id_filters::IdFilters;
use crate::marks::Numbering;
use crate::months::KnownMonths;

/// Each execution is planned anew: a generic plan from the time when a table was small would keep
/// scanning an account where an index finds one row. Where it can, the server looks whether its
/// client is still there, so that neither work nor locks outlive a connection that was closed or
/// went silent.
pub(crate) const SETUP: &str = "SET plan_cache_mode = force_custom_plan; \
    SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 3; SET tcp_keepalives_count = 3; \
    DO $$ BEGIN \
        PERFORM set_config('tcp_user_timeout', '20s', false); \
        PERFORM set_config('client_connection_check_interval', '5s', false); \
    EXCEPTION WHEN OTHERS THEN NULL; END $$";

pub(super) async fn open(url: &PostgresUrl, limits: &Limits, purpose: Purpose) -> Result<Database, String> {
    let dialect = Dialect::Postgres;
    let tls = url.tls();
    if let Tls::Weak(mode) = &tls {
        tracing::warn!(
            database = %url,
            "sslmode={mode} does not prove that the database is the right one; use sslmode=verify-full, or \
             sslmode=disable in a network that you trust"
        );
    }
    let address = url.with_tls();
    let explained = |message: String| explain(&message, &tls);
    let all = connect(&address, limits.postgres_connections, limits, dialect, SETUP);
    let all = all.await.map_err(explained)?;
    let synchronous_commit = check_settings(&all).await?;
    if purpose == Purpose::Use {
        usable::require(&all, dialect).await?;
    }
    migrate_postgres(&address).await.map_err(explained)?;
    let pulse = connect(&address, 1, &limits.for_pulse(), dialect, SETUP).await;
    let database = Database {
        dialect,
        writers: all.clone(),
        readers: all,
        pulse: pulse.map_err(explained)?,
        search: SearchPool::postgres(&address)?,
        background: BackgroundQueue::new(dialect),
        begin: limits.begin(dialect, synchronous_commit),
        checkpoints: None,
        numbering: Numbering::default(),
        clock: Clock::default(),
        id_filters: IdFilters::default(),
        months: KnownMonths::default(),
    };
    check_commits(&database).await.map_err(|error| error.to_string())?;
    Ok(database)
}

#[derive(FromRow)]
struct Settings {
    synchronous_commit: String,
    fsync: String,
    full_page_writes: String,
    is_standby: i32,
}

/// Refuses a standby and warns of a server that can lose commits. Returns the level at which
/// transactions commit: that of the server if it waits for more than a disk.
async fn check_settings(pool: &Pool) -> Result<&'static str, String> {
    let query = sqlx::query_as(
        "SELECT current_setting('synchronous_commit') AS synchronous_commit,
                current_setting('fsync') AS fsync,
                current_setting('full_page_writes') AS full_page_writes,
                CAST(pg_is_in_recovery() AS INTEGER) AS is_standby",
    );
    let settings: Settings = query.fetch_one(pool).await.map_err(|error| error.to_string())?;
    if settings.is_standby != 0 {
        return Err("it is a standby, which cannot be written to; connect to the primary".to_owned());
    }
    for (name, value) in [
        ("fsync", &settings.fsync),
        ("full_page_writes", &settings.full_page_writes),
    ] {
        if value == "off" {
            tracing::warn!("PostgreSQL runs with {name} = off and can lose acknowledged events when its host fails");
        }
    }
    let waits_for_standby = settings.synchronous_commit == "remote_apply";
    Ok(if waits_for_standby { "remote_apply" } else { "on" })
}

/// Checks that a transaction commits synchronously, whatever a pooler does with settings.
async fn check_commits(database: &Database) -> Result<(), Error> {
    let level = async {
        let mut tx = database.write().await?;
        let level: String = sqlx::query_scalar("SELECT current_setting('synchronous_commit')")
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(level)
    };
    let level = database.within(level).await?;
    if matches!(level.as_str(), "on" | "remote_apply") {
        return Ok(());
    }
    Err(Error::Opening(format!(
        "synchronous_commit is {level} in a transaction that sets it to on; let the server or pooler allow that setting"
    )))
}

/// Adds to an error of the driver what to do about it.
fn explain(message: &str, tls: &Tls) -> String {
    let advice = if message.contains("unsupported startup parameter") {
        "this is a pooler such as PgBouncer: let it accept the parameter (ignore_startup_parameters = \
         extra_float_digits); see docs/operations.md"
    } else if message.contains("prepared statement") {
        "this is a pooler that loses prepared statements: let it keep them (PgBouncer 1.21 or newer with \
         max_prepared_statements = 200) or pool sessions (pool_mode = session); see docs/operations.md"
    } else if *tls == Tls::Added && (message.contains("TLS") || message.contains("certificate")) {
        "beyond this host the connection is encrypted and the certificate is checked unless the URL has an sslmode: \
         name the file with the certificate authority (sslrootcert=FILE), or use sslmode=disable in a network that \
         you trust"
    } else {
        return message.to_owned();
    };
    format!("{message}; {advice}")
}
