//! Makes the target the database of the installation.

use auditstream_model::AccountName;
use serde_json::json;

use super::connection::Connection;
use super::state::{ARRIVED, ARRIVING, RETURNED, SETTLED};
use super::value::Value;
use super::{Relocation, marks};
use crate::Actor;
use crate::continuity;
use crate::database::{Database, DatabaseUrl, Dialect, now};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::trail::self_audit::{Change, record};

/// Records the place of the target, and lets servers open it.
pub(super) async fn arrive(relocation: &Relocation, target: &mut Connection) -> Result<()> {
    const PLACE: &str = "UPDATE installation SET server = $1, timeline = $2 WHERE id = 1";
    const ARRIVE: &str = "UPDATE relocation SET status = $1, ended = $2 WHERE id = 1 AND status = $3";
    let database = Database::open_for_move(&relocation.target, &relocation.limits).await?;
    let server = continuity::server(&database).await;
    database.close().await;
    let server = server?;
    let text = |text: Option<String>| text.map_or(Value::Null, Value::Text);
    target.begin().await?;
    target
        .execute(PLACE, &[text(server.identity), text(server.timeline)])
        .await?;
    let values = [
        Value::Text(ARRIVED.to_owned()),
        Value::Integer(now()),
        Value::Text(ARRIVING.to_owned()),
    ];
    target.execute(ARRIVE, &values).await?;
    failpoint::reached("migrate.arrive.committing").await;
    target.commit().await
}

/// Continues the high-water marks of a database in the file of that database, so that its next
/// start does not take it for an older one.
pub(super) async fn write_marks(database: &DatabaseUrl, relocation: &Relocation) -> Result<()> {
    let folder = relocation.data_dir.as_ref();
    let Some(file) = marks(database, folder) else {
        return Ok(());
    };
    let known = [&relocation.source, &relocation.target].map(|url| marks(url, folder));
    let opened = Database::open_for_move(database, &relocation.limits).await?;
    let written = continuity::continue_marks(&opened, known.iter().flatten(), &file).await;
    let dialect = opened.dialect();
    opened.close().await;
    match written {
        // On PostgreSQL the move succeeds even if the marks cannot be written.
        Err(error) if dialect == Dialect::Postgres => {
            tracing::warn!(%error, "the high-water marks of the target could not be written");
            Ok(())
        }
        written => written,
    }
}

/// Records a move in the trail of each account, the first time that the target is opened.
///
/// # Errors
/// [`Error::Opening`] if the move was given up meanwhile.
pub(crate) async fn announce(database: &Database) -> Result<()> {
    let status: Option<String> = sqlx::query_scalar("SELECT status FROM relocation WHERE id = 1")
        .fetch_optional(database.read())
        .await?;
    // While no sequences are assigned, the event has to wait.
    if status.as_deref() != Some(ARRIVED) || database.numbering().closed().is_some() {
        return Ok(());
    }
    let status: String = database
        .transaction("announce_relocation", async |tx| {
            const SETTLE: &str = "UPDATE relocation SET status = $1 WHERE id = 1 AND status = $2 RETURNING other";
            let other: Option<String> = sqlx::query_scalar(SETTLE)
                .bind(SETTLED)
                .bind(ARRIVED)
                .fetch_optional(&mut **tx)
                .await?;
            let Some(other) = other else {
                let status = sqlx::query_scalar("SELECT status FROM relocation WHERE id = 1")
                    .fetch_one(&mut **tx)
                    .await?;
                return tx.roll_back(status);
            };
            let accounts: Vec<(i64, String)> = sqlx::query_as("SELECT id, name FROM account ORDER BY id")
                .fetch_all(&mut **tx)
                .await?;
            let database = tx.dialect().pick("SQLite", "PostgreSQL");
            for (id, name) in accounts {
                let account = AccountName::parse(&name).map_err(|error| Error::Broken(error.to_string()))?;
                let (old, new) = (json!({"database": other}), json!({"database": database}));
                let change = Change::of("ACCOUNT", &name, "MOVE", old, new);
                record(tx, &Actor::operator(id, account), change).await?;
            }
            Ok(SETTLED.to_owned())
        })
        .await?;
    if status == RETURNED {
        return Err(Error::Opening("the move to this database was given up".to_owned()));
    }
    Ok(())
}
