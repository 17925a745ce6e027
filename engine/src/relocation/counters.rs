//! Ids that the source has assigned, also those of deleted rows, and that the target must not
//! assign again.

use super::connection::Connection;
use super::table::{Kind, Pair, Table, quote};
use super::value::Value;
use crate::database::Dialect;
use crate::error::Result;

/// Sets each counter of the target to continue after that of the source, and after every row.
pub(super) async fn continue_after(source: &mut Connection, target: &mut Connection, pairs: &[Pair]) -> Result<()> {
    for pair in pairs {
        let Some(column) = &pair.target.counter else { continue };
        let given = last_given(source, &pair.source).await?;
        let highest = highest(target, &pair.target, column).await?;
        set(target, &pair.target, column, given.max(highest)).await?;
    }
    Ok(())
}

/// Returns the last id that a counter has assigned; 0 before the first.
async fn last_given(connection: &mut Connection, table: &Table) -> Result<i64> {
    const SQLITE: &str = "SELECT seq FROM sqlite_sequence WHERE name = $1";
    const POSTGRES: &str =
        "SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence(quote_ident($1), $2) AS regclass))";
    let Some(column) = &table.counter else { return Ok(0) };
    let name = Value::Text(table.name.clone());
    let rows = match connection.dialect() {
        Dialect::Sqlite => connection.rows(SQLITE, &[Kind::Integer], &[name]).await?,
        Dialect::Postgres => {
            let values = [name, Value::Text(column.clone())];
            connection.rows(POSTGRES, &[Kind::Integer], &values).await?
        }
    };
    Ok(rows.first().map_or(0, |row| row[0].integer()))
}

async fn highest(connection: &mut Connection, table: &Table, column: &str) -> Result<i64> {
    let sql = ["SELECT max(", &quote(column), ") FROM ", &table.quoted()].concat();
    let rows = connection.rows(&sql, &[Kind::Integer], &[]).await?;
    Ok(rows.first().map_or(0, |row| row[0].integer()))
}

async fn set(connection: &mut Connection, table: &Table, column: &str, last: i64) -> Result<()> {
    if last < 1 {
        return Ok(());
    }
    let (name, last) = (Value::Text(table.name.clone()), Value::Integer(last));
    match connection.dialect() {
        Dialect::Sqlite => {
            connection
                .execute(
                    "DELETE FROM sqlite_sequence WHERE name = $1",
                    std::slice::from_ref(&name),
                )
                .await?;
            connection
                .execute("INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)", &[name, last])
                .await
        }
        Dialect::Postgres => {
            const SET: &str = "SELECT setval(CAST(pg_get_serial_sequence(quote_ident($1), $2) AS regclass), $3)";
            connection
                .execute(SET, &[name, Value::Text(column.to_owned()), last])
                .await
        }
    }
}
