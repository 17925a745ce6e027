//! The row of a database that records whether it was moved; see
//! [`usable`](crate::database::usable).

use super::connection::Connection;
use super::table::Kind;
use super::value::Value;
use crate::database::now;
use crate::error::Result;

/// The role of a database in a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// The same in both databases.
    pub(super) identifier: String,
    pub(super) status: String,
    /// The address of the other database, without a password.
    pub(super) other: String,
}

pub(super) const LEAVING: &str = "LEAVING";
pub(super) const LEFT: &str = "LEFT";
pub(super) const ARRIVING: &str = "ARRIVING";
pub(super) const ARRIVED: &str = "ARRIVED";
pub(super) const SETTLED: &str = "SETTLED";
pub(super) const RETURNED: &str = "RETURNED";

impl State {
    /// Whether servers may open the database.
    pub(super) fn can_be_opened(&self) -> bool {
        self.status == ARRIVED || self.status == SETTLED
    }
}

/// Returns the state; `None` if the database was never part of a move.
pub(super) async fn read(connection: &mut Connection) -> Result<Option<State>> {
    const STATE: &str = "SELECT identifier, status, other FROM relocation WHERE id = 1";
    let rows = connection.rows(STATE, &[Kind::Text; 3], &[]).await?;
    let state = |row: &Vec<Value>| State {
        identifier: row[0].text().to_owned(),
        status: row[1].text().to_owned(),
        other: row[2].text().to_owned(),
    };
    Ok(rows.first().map(state))
}

/// Replaces the state, as part of a transaction. `server` and `timeline` are those of the source.
pub(super) async fn replace(connection: &mut Connection, state: &State, place: &[Value; 2]) -> Result<()> {
    connection.execute("DELETE FROM relocation", &[]).await?;
    let text = |text: &str| Value::Text(text.to_owned());
    let values = [
        text(&state.identifier),
        text(&state.status),
        text(&state.other),
        Value::Integer(now()),
    ];
    const INSERT: &str = "INSERT INTO relocation (id, identifier, status, other, begun) VALUES (1, $1, $2, $3, $4)";
    connection.execute(INSERT, &values).await?;
    for (value, update) in place.iter().zip([
        "UPDATE relocation SET server = $1 WHERE id = 1",
        "UPDATE relocation SET timeline = $1 WHERE id = 1",
    ]) {
        if *value != Value::Null {
            connection.execute(update, std::slice::from_ref(value)).await?;
        }
    }
    Ok(())
}

/// Marks the source as moved.
pub(super) async fn leave(source: &mut Connection) -> Result<()> {
    const LEAVE: &str = "UPDATE relocation SET status = $1, ended = $2 WHERE id = 1 AND status = $3";
    let values = [
        Value::Text(LEFT.to_owned()),
        Value::Integer(now()),
        Value::Text(LEAVING.to_owned()),
    ];
    source.execute(LEAVE, &values).await
}
