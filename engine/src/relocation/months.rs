//! The months of the trail, which only PostgreSQL has.
//!
//! Between two PostgreSQL databases rows keep their partition. From SQLite, all of the trail
//! arrives in partition 0, and a server moves it to its months in the background. To SQLite, the
//! months are left out.

use super::connection::Connection;
use super::table::{Kind, Table};
use crate::database::Dialect;
use crate::error::Result;
use crate::trail::partitions;

/// The table of the ranges of months.
const RANGES: &str = "trail_range";
const COLUMNS: [&str; 2] = ["month", "month_changes"];

/// Leaves out the table and the columns of the months.
pub(super) fn without_months(tables: Vec<Table>) -> Vec<Table> {
    let tables = tables.into_iter().filter(|table| table.name != RANGES);
    tables
        .map(|mut table| {
            let is_month = |index: &usize| {
                let column = table.columns.get(*index);
                column.is_some_and(|column| COLUMNS.contains(&column.name.as_str()))
            };
            let kept: Vec<usize> = (0..table.columns.len()).filter(|index| !is_month(index)).collect();
            let place = |index: &usize| kept.iter().position(|kept| kept == index);
            table.key = table.key.iter().filter_map(place).collect();
            table.columns = kept
                .iter()
                .filter_map(|index| table.columns.get(*index))
                .cloned()
                .collect();
            table
        })
        .collect()
}

/// Creates the partitions of the source in the target.
pub(super) async fn create_partitions(source: &mut Connection, target: &mut Connection) -> Result<()> {
    const MONTHS: &str = "
        SELECT DISTINCT CAST(substring(CAST(c.relname AS TEXT) FROM '_([1-9][0-9]*)$') AS BIGINT)
        FROM pg_class c
        JOIN pg_inherits i ON i.inhrelid = c.oid
        WHERE i.inhparent = CAST('audit_segment' AS regclass)
          AND c.relname <> 'audit_segment_0'";
    if source.dialect() == Dialect::Sqlite || target.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    let wanted = source.rows(MONTHS, &[Kind::Integer], &[]).await?;
    let existing = target.rows(MONTHS, &[Kind::Integer], &[]).await?;
    for row in wanted {
        if !existing.contains(&row) {
            let month = row.first().map_or(0, super::value::Value::integer);
            let statements = partitions::creation(month);
            target.begin().await?;
            target.script(&statements.join("; ")).await?;
            target.commit().await?;
        }
    }
    Ok(())
}
