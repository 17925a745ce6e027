//! Removes the rows of ids.

use auditstream_model::Sequence;
use sqlx::any::AnyExecutor;

use super::sql::{REMOVE_NEW_SQLITE, REMOVE_REST, REMOVE_STEP, STEP};
use crate::database::WriteTx;
use crate::error::Result;
use crate::id_filters::IdDigest;

/// Removes those of the ids that belong to events of a generation from the sequence `from` on. Only
/// on SQLite.
pub(super) async fn remove_new(
    tx: &mut WriteTx,
    account_id: i64,
    generation: i64,
    from: Sequence,
    ids: &[IdDigest],
) -> Result<()> {
    sqlx::query(REMOVE_NEW_SQLITE)
        .bind(account_id)
        .bind(ids.concat())
        .bind(generation)
        .bind(from)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Removes up to `rows` ids of events before `below` from complete generations, the oldest first,
/// and the filters of generations without ids. Returns the number of removed ids; 0 at the end.
pub(super) async fn remove(tx: &mut WriteTx, account_id: i64, below: Sequence, rows: u32) -> Result<u64> {
    let end = tx.id_filters().settings().generation(below);
    let Some(generation) = oldest(&mut **tx, account_id, end).await? else {
        return Ok(0);
    };
    let rest: Option<Vec<u8>> = sqlx::query_scalar(STEP)
        .bind(account_id)
        .bind(generation)
        .bind(i64::from(rows))
        .fetch_optional(&mut **tx)
        .await?;
    let removed = match rest {
        Some(rest) => {
            let query = sqlx::query(REMOVE_STEP).bind(account_id).bind(generation).bind(rest);
            query.execute(&mut **tx).await?
        }
        None => {
            sqlx::query("DELETE FROM event_id_filter WHERE account_id = $1 AND generation <= $2")
                .bind(account_id)
                .bind(generation)
                .execute(&mut **tx)
                .await?;
            let query = sqlx::query(REMOVE_REST).bind(account_id).bind(generation);
            query.execute(&mut **tx).await?
        }
    };
    Ok(removed.rows_affected())
}

/// Returns the oldest generation before `end` that has rows.
pub(super) async fn oldest(executor: impl AnyExecutor<'_>, account_id: i64, end: i64) -> Result<Option<i64>> {
    let query = sqlx::query_scalar(
        "SELECT CAST(generation AS BIGINT) FROM event_id
         WHERE account_id = $1 AND generation < $2
         ORDER BY generation LIMIT 1",
    );
    Ok(query.bind(account_id).bind(end).fetch_optional(executor).await?)
}
