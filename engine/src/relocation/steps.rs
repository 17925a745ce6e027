//! Reads a table in the order of its key, in steps of bounded size.
//!
//! The first statement of a step reads only keys and sizes, the second one the rows up to the last
//! key that fits. So a step is small whatever the rows contain.

use super::connection::Connection;
use super::table::{Kind, Table, quote};
use super::value::{Value, Values};
use crate::database::Dialect;
use crate::error::{Error, Result};

/// The bytes of a step. A larger row is a step by itself.
const STEP_BYTES: usize = 4 << 20;
const STEP_ROWS: usize = 50_000;
/// The memory that a row takes besides its values.
const ROW_BYTES: usize = 64;

/// Rows that follow each other.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) rows: Vec<Values>,
    /// The key of the last row.
    pub(super) last: Values,
    pub(super) bytes: usize,
}

/// Returns the rows after a key, or the first ones; `None` if there are no more.
pub(super) async fn next(connection: &mut Connection, table: &Table, after: Option<&Values>) -> Result<Option<Step>> {
    let Some(last) = last_of_step(connection, table, after).await? else {
        return Ok(None);
    };
    let mut values = after.cloned().unwrap_or_default();
    values.extend(last.iter().cloned());
    let statement = rows_statement(table, connection.dialect(), after.is_some());
    let rows = connection.rows(&statement, &table.kinds(), &values).await?;
    if rows.is_empty() {
        return Err(Error::Opening(format!(
            "the table {} changed in {} while it was read",
            table.name,
            connection.shown()
        )));
    }
    let bytes = rows.iter().flatten().map(Value::size).sum();
    Ok(Some(Step { rows, last, bytes }))
}

async fn last_of_step(connection: &mut Connection, table: &Table, after: Option<&Values>) -> Result<Option<Values>> {
    let statement = keys_statement(table, connection.dialect(), after.is_some());
    let mut kinds: Vec<Kind> = table.key_columns().map(|column| column.kind).collect();
    kinds.push(Kind::Integer);
    let mut values = after.cloned().unwrap_or_default();
    values.push(Value::Integer(i64::try_from(STEP_ROWS).unwrap_or(i64::MAX)));
    let rows = connection.rows(&statement, &kinds, &values).await?;
    let (mut bytes, mut last) = (0_usize, None);
    for mut row in rows {
        let size = row
            .pop()
            .map_or(0, |size| usize::try_from(size.integer()).unwrap_or(usize::MAX));
        bytes = bytes.saturating_add(size).saturating_add(ROW_BYTES);
        if last.is_some() && bytes > STEP_BYTES {
            break;
        }
        last = Some(row);
    }
    Ok(last)
}

/// `SELECT k, sizes FROM t WHERE (k) > ($1) ORDER BY k LIMIT $2`
fn keys_statement(table: &Table, dialect: Dialect, is_continued: bool) -> String {
    let sizes = table.columns.iter().filter(|column| column.kind != Kind::Integer);
    let sizes: Vec<String> = sizes
        .map(|column| ["coalesce(octet_length(", &quote(&column.name), "), 0)"].concat())
        .collect();
    let size = if sizes.is_empty() {
        "0".to_owned()
    } else {
        sizes.join(" + ")
    };
    let key = sort_key(table, dialect).join(", ");
    let (after, next) = after(table, dialect, is_continued);
    let limit = (next).to_string();
    [
        "SELECT ",
        &table.key_expressions(),
        ", CAST(",
        &size,
        " AS BIGINT) FROM ",
        &table.quoted(),
        &after,
        " ORDER BY ",
        &key,
        " LIMIT $",
        &limit,
    ]
    .concat()
}

/// `SELECT columns FROM t WHERE (k) > ($1) AND (k) <= ($2) ORDER BY k`
fn rows_statement(table: &Table, dialect: Dialect, is_continued: bool) -> String {
    let key = sort_key(table, dialect).join(", ");
    let (after, next) = after(table, dialect, is_continued);
    let up_to = placeholders(next, table.key.len());
    let and = if is_continued { " AND (" } else { " WHERE (" };
    [
        "SELECT ",
        &table.expressions(),
        " FROM ",
        &table.quoted(),
        &after,
        and,
        &key,
        ") <= (",
        &up_to,
        ") ORDER BY ",
        &key,
    ]
    .concat()
}

/// Returns the condition of the rows after a key, and the number of the next placeholder.
fn after(table: &Table, dialect: Dialect, is_continued: bool) -> (String, usize) {
    if !is_continued {
        return (String::new(), 1);
    }
    let columns = table.key.len();
    let key = sort_key(table, dialect).join(", ");
    let condition = [" WHERE (", &key, ") > (", &placeholders(1, columns), ")"].concat();
    (condition, columns + 1)
}

/// The columns by which rows are ordered in the same way in both databases: texts by their bytes.
fn sort_key(table: &Table, dialect: Dialect) -> Vec<String> {
    let column = |(name, kind): (String, Kind)| match (dialect, kind) {
        (Dialect::Postgres, Kind::Text) => [&name, " COLLATE \"C\""].concat(),
        _ => name,
    };
    table
        .key_columns()
        .map(|key| column((quote(&key.name), key.kind)))
        .collect()
}

fn placeholders(first: usize, count: usize) -> String {
    let numbers: Vec<String> = (first..first + count).map(|number| format!("${number}")).collect();
    numbers.join(", ")
}
