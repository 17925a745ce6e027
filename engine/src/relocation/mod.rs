//! Moves an installation to another database: from SQLite to PostgreSQL, back, or to another place
//! of the same kind.
//!
//! ```text
//!            source                            target
//!   freeze   LEAVING: triggers refuse writes   must be empty
//!   begin                                      ARRIVING: no server opens it
//!   copy     steps of rows, in key order ────▶ each committed with its position
//!   verify   SHA-256 of each table      ◀────▶ equal
//!   arrive                                     ARRIVED: servers may open it
//!   leave    LEFT: no server opens it          SETTLED: one has opened it
//! ```
//!
//! Each step can be repeated: a command that was killed, or lost a connection, continues where it
//! was when it is run again. At every moment at most one of the two databases can be opened. Tables
//! and columns are read from the catalogs, so that a new table needs no change here.
//!
//! - `table`: a table and its columns, as statements name them
//! - `value`: values as both drivers read and write them
//! - `connection`: a connection with a deadline for each call
//! - `catalog`: the tables of a database, in an order in which references exist
//! - `state`: the row that records whether a database may be used
//! - `freeze`: the triggers that keep the source as it is
//! - `steps`: reads a table in steps of bounded size
//! - `copy`, `verify`: the two passes
//! - `months`: the partitions of PostgreSQL
//! - `counters`: the ids that were assigned and must not be assigned again
//! - `arrive`: makes the target the installation's database
//! - `undo`: returns to the source

mod arrive;
mod catalog;
mod connection;
mod copy;
mod counters;
mod freeze;
mod months;
mod prepare;
mod state;
mod steps;
mod table;
mod undo;
mod value;
mod verify;

use std::path::PathBuf;

use crate::continuity;
use crate::database::{DatabaseUrl, Limits};
use crate::error::Result;
use crate::failpoint;
use crate::marks::MarksFile;
use connection::Connection;
use prepare::Prepared;

pub(crate) use arrive::announce;
pub use undo::undo;

/// The tables that describe the database itself, and are not copied.
pub(crate) const OWN_TABLES: [&str; 3] = ["_sqlx_migrations", "relocation", "relocation_table"];

/// A move from one database to another.
#[derive(Clone, Debug)]
pub struct Relocation {
    /// The database of the installation. No server uses it.
    pub source: DatabaseUrl,
    /// An empty database, or that of an unfinished move from the same source.
    pub target: DatabaseUrl,
    /// The folder of the high-water marks of a PostgreSQL database.
    pub data_dir: Option<PathBuf>,
    /// Limits on the use of both databases.
    pub limits: Limits,
}

/// The progress of a move.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Whether all rows were copied, and are compared now.
    pub is_copied: bool,
    /// The table.
    pub table: &'a str,
    /// The rows of the table that were copied or compared.
    pub rows: i64,
    /// The bytes of those rows.
    pub bytes: i64,
}

/// Called several times a second at most.
pub type Report<'a> = dyn FnMut(Progress<'_>) + Send + 'a;

/// The result of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The number of tables.
    pub tables: usize,
    /// The number of rows, which are equal in both databases.
    pub rows: i64,
    /// The bytes of their values.
    pub bytes: i64,
}

/// Moves the installation, or continues a move that was interrupted.
///
/// # Errors
/// [`Error::Opening`](crate::Error::Opening) if the source is in use or has been moved, the target
/// is not empty, either fails, or the rows differ. The source remains frozen then.
pub async fn relocate(relocation: &Relocation, report: &mut Report<'_>) -> Result<Moved> {
    let Prepared {
        mut source,
        mut target,
        pairs,
    } = prepare::prepare(relocation).await?;
    let state = state::read(&mut target).await?;
    if !state.is_some_and(|state| state.can_be_opened()) {
        copy::copy(&mut source, &mut target, &pairs, report).await?;
        failpoint::reached("migrate.copied").await;
        counters::continue_after(&mut source, &mut target, &pairs).await?;
        verify::verify(&mut source, &mut target, &pairs, report).await?;
        failpoint::reached("migrate.verified").await;
        arrive::arrive(relocation, &mut target).await?;
        failpoint::reached("migrate.arrived").await;
    }
    arrive::write_marks(&relocation.target, relocation).await?;
    state::leave(&mut source).await?;
    failpoint::reached("migrate.left").await;
    let moved = verify::total(&mut target).await?;
    source.close().await;
    target.close().await;
    Ok(moved)
}

/// Returns the file of the high-water marks of a database.
fn marks(database: &DatabaseUrl, data_dir: Option<&PathBuf>) -> Option<MarksFile> {
    continuity::marks_file(database, data_dir.map(PathBuf::as_path))
}

/// Opens a connection with the deadlines of every other one.
async fn connect(database: &DatabaseUrl, limits: &Limits) -> Result<Connection> {
    Connection::open(database, limits).await
}
