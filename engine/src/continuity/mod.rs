//! Whether the database continues where it was, and what happens if it is older: after a restore
//! from a backup, and after a failover to a standby that had not received everything.
//!
//! ```text
//! marks of this server ─┐
//! PostgreSQL's server   ├─▶ verdict ─┬─ continuous: numbers are given out
//!  and timeline         │            ├─ older: declare a gap, continue beyond it
//! objects in the bucket ┘            └─ unknown: give out nothing until an operator confirms
//! ```
//!
//! A restore is declared in one transaction: each account gets a gap in its sequences and an audit
//! event, and each destination a new `uid`. So neither a sequence nor an object's key is used
//! twice.
//!
//! - `facts`: the numbers and the identity that the database has
//! - `verdict`: compares them with the marks
//! - `watch`: compares at the start, every other second, and when a transaction doubts
//! - `declare`: declares a restore
//! - `bucket`: looks for objects that the database does not know
//! - `confirm`: the operator's confirmation
//! - `backup`: copies of a SQLite database
//! - `moved`: a database that was moved to another server

mod backup;
pub(crate) mod bucket;
mod confirm;
mod declare;
mod facts;
mod moved;
mod verdict;
pub(crate) mod watch;

pub use backup::{Copy, backup, remember_numbers, restore};
pub use bucket::look_at_buckets;
pub use confirm::{closed, confirm};
pub(crate) use moved::{continue_marks, require_continuous, server};

use std::path::Path;

use crate::database::{DatabaseUrl, WriteTx};
use crate::error::Result;
use crate::marks::{BLOCK, MarksFile, Numbering};

/// Returns the place for the marks of a database: next to a SQLite file, else in this server's
/// folder, if it has one.
pub(crate) fn marks_file(database: &DatabaseUrl, folder: Option<&Path>) -> Option<MarksFile> {
    let path = match database {
        DatabaseUrl::Sqlite(file) => Some(file.with_extension("marks")),
        DatabaseUrl::Postgres(_) => folder.map(|folder| folder.join("auditstream.marks")),
    };
    path.map(MarksFile::new)
}

/// Lets a new account start after the numbers of one with the same name that a restore lost.
pub(crate) async fn skip_lost_numbers(tx: &mut WriteTx, account_id: i64, name: &str) -> Result<()> {
    let marks = tx.numbering().and_then(Numbering::marks);
    let Some(mark) = marks.map(|marks| marks.of(name)).filter(|mark| mark.lost) else {
        return Ok(());
    };
    let reason = "an account of this name was lost by a restore";
    declare::insert_gap(tx, account_id, 1, mark.reserved + BLOCK, reason).await
}

/// Refuses a transaction on a database that may be older than the numbers given out.
pub(crate) async fn require(tx: &mut WriteTx) -> Result<()> {
    let Some(numbering) = tx.numbering().cloned() else {
        return Ok(());
    };
    let timeline: Option<String> = match numbering.timeline() {
        None => None,
        Some(_) => {
            sqlx::query_scalar("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)")
                .fetch_one(&mut **tx)
                .await?
        }
    };
    numbering.check_timeline(timeline.as_deref())
}
