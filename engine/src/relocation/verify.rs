//! Reads both databases again and compares them, table by table.

use sha2::{Digest as _, Sha256};

use super::connection::Connection;
use super::copy::Reporter;
use super::steps::next;
use super::table::{Kind, Pair, Table};
use super::value::Value;
use super::{Moved, Progress, Report};
use crate::error::{Error, Result};

/// A summary of a table, by which it is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Summary {
    rows: i64,
    bytes: i64,
    /// The hash of all values, in the order of the key.
    sha256: Vec<u8>,
}

/// Compares every table that was not compared yet.
pub(super) async fn verify(
    source: &mut Connection,
    target: &mut Connection,
    pairs: &[Pair],
    report: &mut Report<'_>,
) -> Result<()> {
    const NOTE: &str = "UPDATE relocation_table SET sha256 = $1 WHERE name = $2";
    let mut reporter = Reporter::new(report);
    for pair in pairs {
        let name = &pair.target.name;
        if is_verified(target, name).await? {
            continue;
        }
        let mut show = |rows, bytes| {
            reporter.report(Progress {
                is_copied: true,
                table: name,
                rows,
                bytes,
            });
        };
        let mut silent = |_, _| {};
        let (here, there) = tokio::join!(
            summary(source, &pair.source, &mut show),
            summary(target, &pair.target, &mut silent)
        );
        let (here, there) = (here?, there?);
        if here != there {
            return Err(Error::Opening(format!(
                "the table {name} has {} rows in {} and {} in {}, or their content differs: nothing was switched over. \
                 Give the move up with auditstream migrate --undo, and begin again with an empty database",
                here.rows,
                source.shown(),
                there.rows,
                target.shown()
            )));
        }
        let values = [Value::Bytes(there.sha256), Value::Text(name.clone())];
        target.execute(NOTE, &values).await?;
    }
    Ok(())
}

async fn is_verified(target: &mut Connection, name: &str) -> Result<bool> {
    const VERIFIED: &str = "SELECT sha256 FROM relocation_table WHERE name = $1";
    let rows = target
        .rows(VERIFIED, &[Kind::Bytes], &[Value::Text(name.to_owned())])
        .await?;
    Ok(rows.first().is_some_and(|row| row[0] != Value::Null))
}

async fn summary(
    connection: &mut Connection,
    table: &Table,
    show: &mut (dyn FnMut(i64, i64) + Send),
) -> Result<Summary> {
    let (mut summary, mut hash, mut after) = (Summary::default(), Sha256::new(), None);
    while let Some(step) = next(connection, table, after.as_ref()).await? {
        summary.rows += i64::try_from(step.rows.len()).unwrap_or(i64::MAX);
        summary.bytes += i64::try_from(step.bytes).unwrap_or(i64::MAX);
        step.rows.iter().flatten().for_each(|value| value.hash(&mut hash));
        show(summary.rows, summary.bytes);
        after = Some(step.last);
    }
    summary.sha256 = hash.finalize().to_vec();
    Ok(summary)
}

/// Returns the size of a move that has ended.
pub(super) async fn total(target: &mut Connection) -> Result<Moved> {
    const TOTAL: &str = "
        SELECT count(*), CAST(coalesce(sum(copied_rows), 0) AS BIGINT), CAST(coalesce(sum(copied_bytes), 0) AS BIGINT)
        FROM relocation_table";
    let rows = target.rows(TOTAL, &[Kind::Integer; 3], &[]).await?;
    let number = |index: usize| rows.first().map_or(0, |row| row[index].integer());
    Ok(Moved {
        tables: usize::try_from(number(0)).unwrap_or(0),
        rows: number(1),
        bytes: number(2),
    })
}
