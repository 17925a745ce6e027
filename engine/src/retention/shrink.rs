//! Gives free pages of a SQLite file back to the disk, in small steps.

use crate::Engine;
use crate::database::Dialect;
use crate::error::Result;

/// Pages of 4 KiB that are worth giving back: fewer are soon used again.
const FEWEST: i64 = 256;
/// The part of the file that stays free for new events, as a divisor.
const SPARE: i64 = 10;
/// Pages that one transaction gives back.
const STEP: i64 = 256;

/// Returns whether more may be left. On PostgreSQL there is nothing to do: its vacuum does it.
pub(super) async fn step(engine: &Engine) -> Result<bool> {
    let database = engine.database();
    if database.dialect() == Dialect::Postgres {
        return Ok(false);
    }
    // 2: incremental.
    let (free, pages, mode): (i64, i64, i64) = sqlx::query_as(
        "SELECT freelist_count, page_count, auto_vacuum \
         FROM pragma_freelist_count, pragma_page_count, pragma_auto_vacuum",
    )
    .fetch_one(database.read())
    .await?;
    if mode != 2 || free < FEWEST || free < pages / SPARE {
        return Ok(false);
    }
    database
        .background()
        .transaction("shrink_file", async |tx| {
            // Each row is a page that was given back.
            let sql = sqlx::AssertSqlSafe(format!("PRAGMA incremental_vacuum({STEP})"));
            sqlx::raw_sql(sql).execute(&mut **tx).await?;
            Ok(true)
        })
        .await
}
