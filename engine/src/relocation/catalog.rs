//! Reads the tables of a database from its catalog. All statements about them are built from names
//! that the catalog returned, in quotes.

use std::collections::BTreeMap;

use super::OWN_TABLES;
use super::connection::Connection;
use super::months::without_months;
use super::table::{Column, Kind, Pair, Table};
use super::value::Value;
use crate::error::{Error, Result};

/// Returns the names of all tables, in alphabetical order.
pub(super) async fn names(connection: &mut Connection) -> Result<Vec<String>> {
    const SQLITE: &str =
        r"SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name";
    const POSTGRES: &str = r#"
        SELECT CAST(relname AS TEXT)
        FROM pg_class
        WHERE relnamespace = CAST(current_schema() AS regnamespace)
          AND relkind IN ('r', 'p')
          AND NOT relispartition
        ORDER BY CAST(relname AS TEXT) COLLATE "C""#;
    let sql = connection.dialect().pick(SQLITE, POSTGRES);
    let rows = connection.rows(sql, &[Kind::Text], &[]).await?;
    Ok(rows.iter().map(|row| row[0].text().to_owned()).collect())
}

/// Returns the tables to copy, each after those to which it refers.
pub(super) async fn tables(connection: &mut Connection) -> Result<Vec<Table>> {
    let mut waiting = Vec::new();
    for name in names(connection).await? {
        if !OWN_TABLES.contains(&name.as_str()) {
            waiting.push(table(connection, name).await?);
        }
    }
    let mut ordered: Vec<Table> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let is_there = |name: &String| ordered.iter().any(|table| table.name == *name);
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|table| {
            table
                .references
                .iter()
                .all(|name| *name == table.name || is_there(name))
        });
        if ready.is_empty() {
            let names: Vec<_> = rest.iter().map(|table| table.name.as_str()).collect();
            return Err(Error::Broken(format!(
                "the tables {} refer to each other",
                names.join(", ")
            )));
        }
        ordered.extend(ready);
        waiting = rest;
    }
    Ok(ordered)
}

async fn table(connection: &mut Connection, name: String) -> Result<Table> {
    const SQLITE: &str = r#"
        SELECT c.name, upper(c.type),
               CASE WHEN EXISTS (SELECT 1 FROM pragma_table_info($1) WHERE pk > 0) THEN c.pk
                    ELSE coalesce((SELECT i.seqno + 1
                                   FROM pragma_index_list($1) l JOIN pragma_index_info(l.name) i
                                   WHERE l."unique" AND NOT l.partial AND i.cid = c.cid
                                     AND l.seq = (SELECT max(seq) FROM pragma_index_list($1) WHERE "unique" AND NOT partial)),
                                  0)
               END,
               c.pk > 0 AND t.sql LIKE '%AUTOINCREMENT%'
        FROM pragma_table_xinfo($1) c JOIN sqlite_master t ON t.type = 'table' AND t.name = $1
        WHERE c.hidden = 0
        ORDER BY c.cid"#;
    const POSTGRES: &str = "
        SELECT CAST(a.attname AS TEXT), CAST(t.typname AS TEXT),
               coalesce((SELECT CAST(array_position(CAST(i.indkey AS int2[]), a.attnum) + 1 AS BIGINT)
                         FROM pg_index i
                         WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indpred IS NULL
                         ORDER BY i.indisprimary DESC, i.indexrelid
                         LIMIT 1), 0),
               CAST(CAST(a.attidentity <> '' AS INTEGER) AS BIGINT)
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = CAST(quote_ident($1) AS regclass)
          AND a.attnum > 0
          AND NOT a.attisdropped
        ORDER BY a.attnum";
    let sql = connection.dialect().pick(SQLITE, POSTGRES);
    let kinds = [Kind::Text, Kind::Text, Kind::Integer, Kind::Integer];
    let rows = connection.rows(sql, &kinds, &[Value::Text(name.clone())]).await?;
    let mut columns = Vec::with_capacity(rows.len());
    let mut key = BTreeMap::new();
    let mut counter = None;
    for (index, row) in rows.iter().enumerate() {
        let (column, kind) = (row[0].text(), row[1].text());
        columns.push(Column::of(column, kind).ok_or_else(|| {
            Error::Broken(format!(
                "the column {name}.{column} has the type {kind}, which is not copied"
            ))
        })?);
        if row[2].integer() > 0 {
            key.insert(row[2].integer(), index);
        }
        if row[3].integer() != 0 {
            counter = Some(column.to_owned());
        }
    }
    if key.is_empty() {
        return Err(Error::Broken(format!("the table {name} has no primary key")));
    }
    let references = references(connection, &name).await?;
    Ok(Table {
        name,
        columns,
        key: key.into_values().collect(),
        references,
        counter,
    })
}

async fn references(connection: &mut Connection, name: &str) -> Result<Vec<String>> {
    const SQLITE: &str = r#"SELECT DISTINCT "table" FROM pragma_foreign_key_list($1)"#;
    const POSTGRES: &str = "
        SELECT DISTINCT CAST(c.relname AS TEXT)
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.confrelid
        WHERE k.conrelid = CAST(quote_ident($1) AS regclass) AND k.contype = 'f'";
    let sql = connection.dialect().pick(SQLITE, POSTGRES);
    let rows = connection
        .rows(sql, &[Kind::Text], &[Value::Text(name.to_owned())])
        .await?;
    Ok(rows.iter().map(|row| row[0].text().to_owned()).collect())
}

/// Pairs the tables of two databases, in the order of the source.
pub(super) async fn pairs(source: &mut Connection, target: &mut Connection) -> Result<Vec<Pair>> {
    let (mut of_source, mut of_target) = (tables(source).await?, tables(target).await?);
    if source.dialect() != target.dialect() {
        of_source = without_months(of_source);
        of_target = without_months(of_target);
    }
    let mut others: BTreeMap<String, Table> = of_target.into_iter().map(|table| (table.name.clone(), table)).collect();
    let mut pairs = Vec::new();
    for table in of_source {
        let other = others
            .remove(&table.name)
            .ok_or_else(|| differ(&table.name, "is missing in the target"))?;
        pairs.push(Pair {
            target: arranged(&table, other)?,
            source: table,
        });
    }
    match others.into_keys().next() {
        Some(name) => Err(differ(&name, "is missing in the source")),
        None => Ok(pairs),
    }
}

/// Arranges the columns of a table, and its key, as those of the other one.
fn arranged(like: &Table, table: Table) -> Result<Table> {
    let find = |wanted: &Column| table.columns.iter().find(|column| column.is_like(wanted)).cloned();
    let columns: Option<Vec<Column>> = like.columns.iter().map(find).collect();
    match columns {
        Some(columns) if columns.len() == table.columns.len() => Ok(Table {
            columns,
            key: like.key.clone(),
            ..table
        }),
        _ => Err(differ(&like.name, "has other columns in the target")),
    }
}

fn differ(table: &str, how: &str) -> Error {
    Error::Opening(format!(
        "the table {table} {how}: both databases must have the tables of this version of Auditstream"
    ))
}
