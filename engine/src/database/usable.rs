//! Whether an installation may use a database. After a move there are two with the same content,
//! and servers on both would stream.

use sqlx::{AnyConnection, FromRow};

use super::{Dialect, Pool};

#[derive(FromRow)]
struct StateRow {
    status: String,
    other: String,
}

/// Returns the reason why a database must not be used, and the remedy; `None` if it may be used.
pub(crate) async fn obstacle(connection: &mut AnyConnection, dialect: Dialect) -> Result<Option<String>, sqlx::Error> {
    let table: Option<String> = sqlx::query_scalar(dialect.pick(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'relocation'",
        "SELECT CAST(to_regclass('relocation') AS TEXT) WHERE to_regclass('relocation') IS NOT NULL",
    ))
    .fetch_optional(&mut *connection)
    .await?;
    if table.is_none() {
        return Ok(None);
    }
    let state: Option<StateRow> = sqlx::query_as("SELECT status, other FROM relocation WHERE id = 1")
        .fetch_optional(connection)
        .await?;
    Ok(state.and_then(|state| explain(&state.status, &state.other)))
}

fn explain(status: &str, other: &str) -> Option<String> {
    match status {
        "LEAVING" => Some(format!(
            "it is being moved to {other}. Continue the move with: auditstream migrate --to URL. Or keep this database \
             with: auditstream migrate --undo --to URL"
        )),
        "LEFT" => Some(format!(
            "it was moved to {other}. Start servers with AUDITSTREAM_DATABASE_URL set to that database. Or return to this \
             one with: auditstream migrate --undo --to URL"
        )),
        "ARRIVING" => Some(format!(
            "it is the target of an unfinished move from {other}. Continue the move from there with: auditstream migrate \
             --to URL"
        )),
        "RETURNED" => Some(format!(
            "it is a copy that was given up. Use {other}, and remove this one"
        )),
        _ => None,
    }
}

/// Refuses a database that must not be used.
pub(super) async fn require(pool: &Pool, dialect: Dialect) -> Result<(), String> {
    let mut lent = pool.acquire().await.map_err(|error| error.to_string())?;
    let obstacle = obstacle(&mut lent, dialect).await.map_err(|error| error.to_string())?;
    lent.give_back();
    obstacle.map_or(Ok(()), Err)
}
