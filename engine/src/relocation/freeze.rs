//! Triggers that refuse every change of the source, also by a process that has opened it before.

use super::connection::Connection;
use super::table::{Table, quote};
use crate::database::Dialect;
use crate::error::Result;

const REFUSAL: &str = "this database is being moved, or has been moved, to another one";

const POSTGRES_FUNCTION: &str = "
    CREATE OR REPLACE FUNCTION relocation_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'this database is being moved, or has been moved, to another one';
    END $$";

/// Refuses changes from the end of this transaction on. Waits for transactions in flight.
pub(super) async fn freeze(connection: &mut Connection, tables: &[Table]) -> Result<()> {
    match connection.dialect() {
        Dialect::Sqlite => {
            for (table, event) in triggers(tables) {
                let trigger = trigger(table, event);
                let create = [
                    "CREATE TRIGGER ",
                    &trigger,
                    " BEFORE ",
                    event,
                    " ON ",
                    &table.quoted(),
                    " BEGIN SELECT RAISE(ABORT, '",
                    REFUSAL,
                    "'); END",
                ];
                connection.script(&create.concat()).await?;
            }
        }
        Dialect::Postgres => {
            connection.script(POSTGRES_FUNCTION).await?;
            for table in tables {
                let create = [
                    "CREATE TRIGGER relocation_freeze BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ",
                    &table.quoted(),
                    " FOR EACH STATEMENT EXECUTE FUNCTION relocation_refuse()",
                ];
                connection.script(&create.concat()).await?;
            }
        }
    }
    Ok(())
}

/// Permits changes again.
pub(super) async fn thaw(connection: &mut Connection, tables: &[Table]) -> Result<()> {
    match connection.dialect() {
        Dialect::Sqlite => {
            for (table, event) in triggers(tables) {
                let drop = ["DROP TRIGGER IF EXISTS ", &trigger(table, event)];
                connection.script(&drop.concat()).await?;
            }
        }
        Dialect::Postgres => {
            for table in tables {
                let drop = ["DROP TRIGGER IF EXISTS relocation_freeze ON ", &table.quoted()];
                connection.script(&drop.concat()).await?;
            }
            connection.script("DROP FUNCTION IF EXISTS relocation_refuse()").await?;
        }
    }
    Ok(())
}

fn triggers(tables: &[Table]) -> impl Iterator<Item = (&Table, &'static str)> {
    let events = |table| ["INSERT", "UPDATE", "DELETE"].map(|event| (table, event));
    tables.iter().flat_map(events)
}

fn trigger(table: &Table, event: &str) -> String {
    quote(&["relocation_freeze_", &table.name, "_", &event.to_lowercase()].concat())
}
