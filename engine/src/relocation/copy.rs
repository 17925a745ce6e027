//! Copies the rows of each table. Each step is committed with its position.

use std::time::{Duration, Instant};

use super::connection::Connection;
use super::steps::{Step, next};
use super::table::{Kind, Pair, Table};
use super::value::{Value, Values};
use super::{Progress, Report};
use crate::error::{Error, Result};
use crate::failpoint;

/// The pause between two reports.
const PAUSE: Duration = Duration::from_millis(200);

/// Reports a few times a second.
pub(super) struct Reporter<'a, 'b> {
    report: &'a mut Report<'b>,
    last: Option<Instant>,
}

impl<'a, 'b> Reporter<'a, 'b> {
    pub(super) fn new(report: &'a mut Report<'b>) -> Self {
        Self { report, last: None }
    }

    pub(super) fn report(&mut self, progress: Progress<'_>) {
        if self.last.is_none_or(|last| last.elapsed() >= PAUSE) {
            self.last = Some(Instant::now());
            (self.report)(progress);
        }
    }
}

/// The progress of a table.
#[derive(Clone, Debug, Default)]
struct Position {
    /// The key of the last row that was copied; `None` before the first.
    after: Option<Values>,
    rows: i64,
    bytes: i64,
    is_complete: bool,
}

/// Copies every table that is not complete.
pub(super) async fn copy(
    source: &mut Connection,
    target: &mut Connection,
    pairs: &[Pair],
    report: &mut Report<'_>,
) -> Result<()> {
    let mut reporter = Reporter::new(report);
    for pair in pairs {
        let position = position(target, &pair.target).await?;
        if !position.is_complete {
            copy_table(source, target, pair, position, &mut reporter).await?;
        }
    }
    Ok(())
}

/// The next step is read while the last one is written.
async fn copy_table(
    source: &mut Connection,
    target: &mut Connection,
    pair: &Pair,
    mut position: Position,
    reporter: &mut Reporter<'_, '_>,
) -> Result<()> {
    let mut step = next(source, &pair.source, position.after.as_ref()).await?;
    while let Some(current) = step {
        position.rows += i64::try_from(current.rows.len()).unwrap_or(i64::MAX);
        position.bytes += i64::try_from(current.bytes).unwrap_or(i64::MAX);
        let (following, written) = tokio::join!(
            next(source, &pair.source, Some(&current.last)),
            write(target, &pair.target, &current, &position)
        );
        written?;
        step = following?;
        reporter.report(Progress {
            is_copied: false,
            table: &pair.source.name,
            rows: position.rows,
            bytes: position.bytes,
        });
    }
    const COMPLETE: &str = "UPDATE relocation_table SET is_complete = 1 WHERE name = $1";
    target.execute(COMPLETE, &[Value::Text(pair.target.name.clone())]).await
}

async fn write(target: &mut Connection, table: &Table, step: &Step, position: &Position) -> Result<()> {
    const MOVE: &str = "UPDATE relocation_table SET position = $1, copied_rows = $2, copied_bytes = $3 WHERE name = $4";
    target.begin().await?;
    target.insert(table, &step.rows).await?;
    let values = [
        Value::Text(serde_json::to_string(&step.last)?),
        Value::Integer(position.rows),
        Value::Integer(position.bytes),
        Value::Text(table.name.clone()),
    ];
    target.execute(MOVE, &values).await?;
    failpoint::reached("migrate.step.committing").await;
    target.commit().await?;
    failpoint::reached("migrate.step.committed").await;
    Ok(())
}

async fn position(target: &mut Connection, table: &Table) -> Result<Position> {
    const POSITION: &str =
        "SELECT position, copied_rows, copied_bytes, is_complete FROM relocation_table WHERE name = $1";
    let kinds = [Kind::Text, Kind::Integer, Kind::Integer, Kind::Integer];
    let rows = target
        .rows(POSITION, &kinds, &[Value::Text(table.name.clone())])
        .await?;
    let Some(row) = rows.first() else {
        return Err(Error::Opening(format!(
            "the move was begun without the table {}: give it up with auditstream migrate --undo, and begin again with an \
             empty database",
            table.name
        )));
    };
    let after = match &row[0] {
        Value::Text(json) => Some(serde_json::from_str(json)?),
        _ => None,
    };
    Ok(Position {
        after,
        rows: row[1].integer(),
        bytes: row[2].integer(),
        is_complete: row[3].integer() != 0,
    })
}
