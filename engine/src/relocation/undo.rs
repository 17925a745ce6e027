//! Returns to the source of a move.

use super::arrive::write_marks;
use super::catalog;
use super::connection::Connection;
use super::freeze::thaw;
use super::state::{self, ARRIVED, ARRIVING, LEAVING, LEFT, RETURNED, SETTLED, State};
use super::value::Value;
use super::{Relocation, connect};
use crate::database::DatabaseUrl;
use crate::error::{Error, Result};
use crate::failpoint;

/// Lets servers use the source again, and no longer the target. With `is_forced`, the target is not
/// opened, and the source counts as a restored backup: numbering continues after a gap, and the
/// source lacks everything that the target has stored or streamed.
///
/// # Errors
/// [`Error::Opening`] if there is no move to undo, or the target cannot be reached or has been
/// used.
pub async fn undo(relocation: &Relocation, is_forced: bool) -> Result<()> {
    let mut source = connect(&relocation.source, &relocation.limits).await?;
    let state = state_of_source(&mut source, &relocation.source).await?;
    if !is_forced {
        if state.other != relocation.target.to_string() {
            return Err(Error::Opening(format!(
                "{} was moved to {}, not to {}",
                relocation.source, state.other, relocation.target
            )));
        }
        give_up(relocation, &state).await?;
        failpoint::reached("migrate.given_up").await;
        write_marks(&relocation.source, relocation).await?;
    }
    let tables = catalog::tables(&mut source).await?;
    source.begin().await?;
    thaw(&mut source, &tables).await?;
    source.execute("DELETE FROM relocation", &[]).await?;
    if is_forced {
        const OLDER: &str = "UPDATE installation SET copied = 1 WHERE id = 1";
        source.execute(OLDER, &[]).await?;
    }
    failpoint::reached("migrate.thaw.committing").await;
    source.commit().await?;
    source.close().await;
    Ok(())
}

async fn state_of_source(source: &mut Connection, url: &DatabaseUrl) -> Result<State> {
    let names = catalog::names(source).await?;
    let state = if names.iter().any(|name| name == "relocation") {
        state::read(source).await?
    } else {
        None
    };
    state
        .filter(|state| state.status == LEAVING || state.status == LEFT)
        .ok_or_else(|| Error::Opening(format!("there is nothing to undo: {url} has not been moved")))
}

/// Prevents servers from opening the target.
async fn give_up(relocation: &Relocation, moving: &State) -> Result<()> {
    const RETURN: &str = "UPDATE relocation SET status = $1 WHERE id = 1 AND status IN ($2, $3)";
    if let DatabaseUrl::Sqlite(file) = &relocation.target
        && !file.exists()
    {
        return Ok(());
    }
    let mut target = connect(&relocation.target, &relocation.limits).await.map_err(|error| {
        Error::Opening(format!(
            "{error}. If it is lost, add --force: this database then counts as a restored backup"
        ))
    })?;
    let names = catalog::names(&mut target).await?;
    let is_known = names.iter().any(|name| name == "relocation");
    let known = if is_known {
        state::read(&mut target).await?
    } else {
        None
    };
    if known.is_some_and(|known| known.identifier == moving.identifier) {
        let values = [RETURNED, ARRIVING, ARRIVED].map(|status| Value::Text(status.to_owned()));
        target.execute(RETURN, &values).await?;
        let known = state::read(&mut target).await?;
        if known.is_none_or(|known| known.status == SETTLED) {
            return Err(Error::Opening(format!(
                "{} has been used since: move it back with auditstream migrate --to, to a new database",
                relocation.target
            )));
        }
    }
    target.close().await;
    Ok(())
}
