//! Declared gaps: sequences that no event of an account has, since a restore passed over them.

use auditstream_model::{EpochMillis, Sequence, SequenceGap};
use sqlx::FromRow;
use sqlx::any::AnyExecutor;

use crate::Engine;
use crate::database::Database;
use crate::error::Result;

#[derive(Clone, Debug, FromRow)]
struct GapRow {
    first_sequence: Sequence,
    last_sequence: Sequence,
    declared: EpochMillis,
    reason: String,
}

impl From<GapRow> for SequenceGap {
    fn from(row: GapRow) -> Self {
        Self {
            first: row.first_sequence,
            last: row.last_sequence,
            declared: row.declared,
            reason: row.reason,
        }
    }
}

/// Returns the first gap after a sequence.
pub(crate) async fn next_gap(engine: &Engine, account_id: i64, after: Sequence) -> Result<Option<SequenceGap>> {
    let row: Option<GapRow> = sqlx::query_as(
        "SELECT first_sequence, last_sequence, declared, reason
         FROM sequence_gap
         WHERE account_id = $1
           AND last_sequence > $2
         ORDER BY first_sequence
         LIMIT 1",
    )
    .bind(account_id)
    .bind(after)
    .fetch_optional(engine.database().read())
    .await?;
    Ok(row.map(SequenceGap::from))
}

/// Returns the newest gaps of an account, up to ten.
pub(crate) async fn newest_gaps(engine: &Engine, account_id: i64) -> Result<Vec<SequenceGap>> {
    let rows: Vec<GapRow> = sqlx::query_as(
        "SELECT first_sequence, last_sequence, declared, reason
         FROM sequence_gap
         WHERE account_id = $1
         ORDER BY first_sequence DESC
         LIMIT 10",
    )
    .bind(account_id)
    .fetch_all(engine.database().read())
    .await?;
    Ok(rows.into_iter().map(SequenceGap::from).collect())
}

/// Returns the first and the last sequence of every gap of an account, in their order.
pub(crate) async fn all_gaps(database: &Database, account_id: i64) -> Result<Vec<(Sequence, Sequence)>> {
    let query = sqlx::query_as(
        "SELECT first_sequence, last_sequence FROM sequence_gap WHERE account_id = $1 ORDER BY first_sequence",
    );
    Ok(query.bind(account_id).fetch_all(database.read()).await?)
}

/// Counts the sequences after `cursor` that no event has.
pub(crate) async fn missing_after(executor: impl AnyExecutor<'_>, account_id: i64, cursor: Sequence) -> Result<i64> {
    let query = sqlx::query_scalar(
        "SELECT CAST(coalesce(sum(last_sequence - CASE WHEN first_sequence > $2 THEN first_sequence - 1 ELSE $2 END), 0)
                     AS BIGINT)
         FROM sequence_gap
         WHERE account_id = $1
           AND last_sequence > $2",
    );
    Ok(query.bind(account_id).bind(cursor).fetch_one(executor).await?)
}

/// Counts the sequences after `after` and up to `last` that no event has.
pub(crate) async fn missing_between(
    executor: impl AnyExecutor<'_>,
    account_id: i64,
    after: Sequence,
    last: Sequence,
) -> Result<i64> {
    let query = sqlx::query_scalar(
        "SELECT CAST(coalesce(sum(CASE WHEN last_sequence < $3 THEN last_sequence ELSE $3 END
                                  - CASE WHEN first_sequence > $2 THEN first_sequence - 1 ELSE $2 END), 0)
                     AS BIGINT)
         FROM sequence_gap
         WHERE account_id = $1
           AND last_sequence > $2
           AND first_sequence <= $3",
    );
    let query = query.bind(account_id).bind(after).bind(last);
    Ok(query.fetch_one(executor).await?)
}
