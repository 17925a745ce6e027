//! Checks both databases, freezes the source and marks the target as unfinished.

use super::catalog;
use super::connection::Connection;
use super::freeze::freeze;
use super::months::create_partitions;
use super::state::{self, ARRIVED, ARRIVING, LEAVING, LEFT, SETTLED, State};
use super::table::{Kind, Pair, Table};
use super::value::Value;
use super::{Relocation, connect, marks};
use crate::continuity;
use crate::database::{self, Database, DatabaseUrl, Dialect, Limits};
use crate::error::{Error, Result};
use crate::failpoint;

/// Both databases, ready to be copied or, if that was done before, to be switched over.
pub(super) struct Prepared {
    pub(super) source: Connection,
    pub(super) target: Connection,
    pub(super) pairs: Vec<Pair>,
}

pub(super) async fn prepare(relocation: &Relocation) -> Result<Prepared> {
    let Relocation {
        source, target, limits, ..
    } = relocation;
    let of_source = limits_of_source(limits);
    let begun = begun(source, target, &of_source).await?;
    let place = match &begun {
        None => Some(check_source(relocation).await?),
        Some(_) => None,
    };
    let has_tables = look_at_target(target, begun.as_ref(), limits).await?;
    if !has_tables {
        // Creates the tables.
        Database::open_for_move(target, limits).await?.close().await;
    }
    let mut source = connect(source, &of_source).await?;
    let mut target = connect(target, limits).await?;
    require_current(&mut source, &relocation.source).await?;
    require_current(&mut target, &relocation.target).await?;
    let pairs = catalog::pairs(&mut source, &mut target).await?;
    let moving = match (begun, place) {
        (None, Some(place)) => leave(&mut source, &pairs, target.shown().to_owned(), &place).await?,
        (Some(state), _) => state,
        (None, None) => return Err(Error::Broken("a move has not begun and cannot begin".to_owned())),
    };
    failpoint::reached("migrate.frozen").await;
    begin(&mut source, &mut target, &pairs, &moving).await?;
    create_partitions(&mut source, &mut target).await?;
    failpoint::reached("migrate.begun").await;
    Ok(Prepared { source, target, pairs })
}

/// Returns the limits of the source, without one on its size: it does not grow.
fn limits_of_source(limits: &Limits) -> Limits {
    Limits {
        sqlite_pages: None,
        ..*limits
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::Opening(message.into())
}

/// Returns the state of a source whose move has begun before.
async fn begun(source: &DatabaseUrl, target: &DatabaseUrl, limits: &Limits) -> Result<Option<State>> {
    let Some(state) = peek(source, limits).await? else {
        return Ok(None);
    };
    let other = &state.other;
    match state.status.as_str() {
        ARRIVED | SETTLED => Ok(None),
        LEAVING if *other == target.to_string() => Ok(Some(state)),
        LEAVING => Err(refused(format!(
            "{source} is being moved to {other}: continue with that database, or undo that move with auditstream \
             migrate --undo --to URL"
        ))),
        LEFT => Err(refused(format!("{source} was moved to {other} already"))),
        _ => Err(refused(format!(
            "{source} is itself an unfinished or abandoned copy of {other}: move that one"
        ))),
    }
}

/// Returns the state of an existing database, of whatever version.
async fn peek(database: &DatabaseUrl, limits: &Limits) -> Result<Option<State>> {
    if let DatabaseUrl::Sqlite(file) = database
        && !file.is_file()
    {
        return Err(refused(format!("there is no database {database}")));
    }
    let mut connection = connect(database, limits).await?;
    let names = catalog::names(&mut connection).await?;
    let state = if names.iter().any(|name| name == "relocation") {
        state::read(&mut connection).await?
    } else {
        None
    };
    connection.close().await;
    Ok(state)
}

/// Brings the source up to date and checks that it may be moved. Returns its server and timeline.
async fn check_source(relocation: &Relocation) -> Result<[Value; 2]> {
    let database = Database::open_for_move(&relocation.source, &limits_of_source(&relocation.limits)).await?;
    let file = marks(&relocation.source, relocation.data_dir.as_ref());
    let checked = async {
        if database.dialect() == Dialect::Postgres {
            require_idle(&database, &relocation.source).await?;
        }
        continuity::require_continuous(&database, file.as_ref()).await
    };
    let checked = checked.await;
    database.close().await;
    let server = checked?;
    let text = |text: Option<String>| text.map_or(Value::Null, Value::Text);
    Ok([text(server.identity), text(server.timeline)])
}

async fn require_idle(database: &Database, source: &DatabaseUrl) -> Result<()> {
    let servers: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM replica
         WHERE heartbeat > CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) - 5000",
    )
    .fetch_one(database.read())
    .await?;
    if servers == 0 {
        return Ok(());
    }
    Err(refused(format!(
        "{servers} server(s) use {source}: stop them first, and run this again some seconds later"
    )))
}

/// Returns whether the target has its tables.
///
/// # Errors
/// [`Error::Opening`] if it has anything other than the unfinished copy of this move.
async fn look_at_target(target: &DatabaseUrl, begun: Option<&State>, limits: &Limits) -> Result<bool> {
    if let DatabaseUrl::Sqlite(file) = target
        && !file.exists()
    {
        return Ok(false);
    }
    let mut connection = connect(target, limits).await?;
    let names = catalog::names(&mut connection).await?;
    let is_copy = if names.iter().any(|name| name == "relocation") {
        let state = state::read(&mut connection).await?;
        state.is_some_and(|state| begun.is_some_and(|begun| begun.identifier == state.identifier))
    } else {
        false
    };
    let is_unused = is_unused(&mut connection, &names).await?;
    connection.close().await;
    if is_copy {
        return Ok(true);
    }
    if !is_unused {
        return Err(refused(format!(
            "{target} is not empty, and not the unfinished copy of this move: create an empty database"
        )));
    }
    Ok(names.iter().any(|name| name == "installation"))
}

/// Whether a database has no tables, or those of Auditstream before their first use.
async fn is_unused(connection: &mut Connection, names: &[String]) -> Result<bool> {
    if !names.iter().any(|name| name == "installation") {
        return Ok(names.iter().all(|name| name == "_sqlx_migrations"));
    }
    const USES: &str = "SELECT (SELECT count(*) FROM installation) + (SELECT count(*) FROM account) + \
         (SELECT count(*) FROM relocation)";
    let rows = connection.rows(USES, &[Kind::Integer], &[]).await?;
    Ok(rows.first().is_some_and(|row| row[0] == Value::Integer(0)))
}

/// Refuses tables of another version.
async fn require_current(connection: &mut Connection, url: &DatabaseUrl) -> Result<()> {
    const APPLIED: &str = "SELECT version, checksum FROM _sqlx_migrations ORDER BY version";
    let applied = connection.rows(APPLIED, &[Kind::Integer, Kind::Bytes], &[]).await?;
    let known = database::migrations(url)
        .into_iter()
        .map(|(version, checksum)| vec![Value::Integer(version), Value::Bytes(checksum)]);
    if applied == known.collect::<Vec<_>>() {
        return Ok(());
    }
    Err(refused(format!(
        "the tables of {url} are those of another version of Auditstream: continue the move with the version that began it"
    )))
}

/// Freezes the source and notes where it is moved to.
async fn leave(source: &mut Connection, pairs: &[Pair], other: String, place: &[Value; 2]) -> Result<State> {
    let tables: Vec<Table> = pairs.iter().map(|pair| pair.source.clone()).collect();
    let state = State {
        identifier: format!("{:016x}", rand::random::<u64>()),
        status: LEAVING.to_owned(),
        other,
    };
    source.begin().await?;
    freeze(source, &tables).await?;
    state::replace(source, &state, place).await?;
    failpoint::reached("migrate.freeze.committing").await;
    source.commit().await?;
    Ok(state)
}

/// Empties the target's new tables and marks it as unfinished, unless that was done before.
async fn begin(source: &mut Connection, target: &mut Connection, pairs: &[Pair], moving: &State) -> Result<()> {
    const PLACE: &str = "SELECT server, timeline FROM relocation WHERE id = 1";
    const TABLE: &str = "INSERT INTO relocation_table (name) VALUES ($1)";
    let known = state::read(target).await?;
    if known.is_some_and(|known| known.identifier == moving.identifier) {
        return Ok(());
    }
    let place = source.rows(PLACE, &[Kind::Text; 2], &[]).await?;
    let place = match place.first().map(Vec::as_slice) {
        Some([server, timeline]) => [server.clone(), timeline.clone()],
        _ => {
            return Err(Error::Broken("the source is not marked as being moved".to_owned()));
        }
    };
    target.begin().await?;
    let names = catalog::names(target).await?;
    if !is_unused(target, &names).await? {
        return Err(refused(format!("{} is not empty any more", target.shown())));
    }
    for pair in pairs.iter().rev() {
        target.script(&["DELETE FROM ", &pair.target.quoted()].concat()).await?;
    }
    let state = State {
        status: ARRIVING.to_owned(),
        other: source.shown().to_owned(),
        ..moving.clone()
    };
    state::replace(target, &state, &place).await?;
    target.execute("DELETE FROM relocation_table", &[]).await?;
    for pair in pairs {
        target.execute(TABLE, &[Value::Text(pair.target.name.clone())]).await?;
    }
    failpoint::reached("migrate.begin.committing").await;
    target.commit().await
}
