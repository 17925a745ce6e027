//! The table `trail_range`: the sequences at which the month of an account's events changes.

use std::sync::Arc;

use auditstream_model::Sequence;
use sqlx::any::AnyExecutor;

use crate::database::{Dialect, WriteTx};
use crate::error::Result;
use crate::months::Range;

/// Returns the ranges of an account that is locked, and that have changed `changes` times. `None`
/// on SQLite.
pub(crate) async fn ranges(
    tx: &mut WriteTx,
    account_id: i64,
    changes: i64,
    last_sequence: Sequence,
) -> Result<Option<Arc<[Range]>>> {
    if tx.dialect() == Dialect::Sqlite {
        return Ok(None);
    }
    let known = tx.months().ranges(account_id, changes, last_sequence);
    if known.is_some() {
        return Ok(known);
    }
    let ranges: Arc<[Range]> = read_ranges(&mut **tx, account_id).await?.into();
    tx.months()
        .note(account_id, changes, last_sequence, Arc::clone(&ranges));
    Ok(Some(ranges))
}

/// Reads the ranges of an account, in the order of the sequences.
pub(crate) async fn read_ranges(executor: impl AnyExecutor<'_>, account_id: i64) -> Result<Vec<Range>> {
    let query = sqlx::query_as(
        "SELECT first_sequence, CAST(month AS BIGINT) AS month
         FROM trail_range
         WHERE account_id = $1
         ORDER BY first_sequence",
    );
    Ok(query.bind(account_id).fetch_all(executor).await?)
}

/// Begins the range of the newest events of an account that is locked.
pub(crate) async fn begin_range(tx: &mut WriteTx, account_id: i64, first_sequence: Sequence, month: i64) -> Result<()> {
    add(tx, account_id, first_sequence, month).await?;
    sqlx::query("UPDATE account SET month = $2, month_changes = month_changes + 1 WHERE id = $1")
        .bind(account_id)
        .bind(month)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn add(tx: &mut WriteTx, account_id: i64, first_sequence: Sequence, month: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO trail_range (account_id, first_sequence, month) VALUES ($1, $2, $3)
         ON CONFLICT (account_id, first_sequence) DO UPDATE SET month = excluded.month",
    )
    .bind(account_id)
    .bind(first_sequence)
    .bind(month)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Changes the month of the events from `first` to `last` of an account that is locked, and whose
/// newest event is `newest`.
pub(super) async fn set_month(
    tx: &mut WriteTx,
    account_id: i64,
    (first, last): (Sequence, Sequence),
    newest: Sequence,
    month: i64,
) -> Result<()> {
    let ranges = read_ranges(&mut **tx, account_id).await?;
    let month_at = |sequence: Sequence| {
        let begun = ranges.iter().rev().find(|range| range.first_sequence <= sequence);
        begun.map(|range| range.month)
    };
    let before = month_at(first - 1);
    let after = month_at(last + 1).unwrap_or(0);
    sqlx::query("DELETE FROM trail_range WHERE account_id = $1 AND first_sequence >= $2 AND first_sequence <= $3")
        .bind(account_id)
        .bind(first)
        .bind(last + 1)
        .execute(&mut **tx)
        .await?;
    if before != Some(month) {
        add(tx, account_id, first, month).await?;
    }
    let is_newest = last >= newest;
    if after != month && !is_newest {
        add(tx, account_id, last + 1, after).await?;
    }
    sqlx::query(
        "UPDATE account SET month = CASE WHEN $3 = 1 THEN $2 ELSE month END, month_changes = month_changes + 1
         WHERE id = $1",
    )
    .bind(account_id)
    .bind(month)
    .bind(i64::from(is_newest))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
