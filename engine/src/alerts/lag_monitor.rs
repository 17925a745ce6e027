//! Destinations that stay behind for longer than their account's limit, and those that no longer do.

use auditstream_model::{EpochMillis, Sequence};
use serde_json::json;
use sqlx::FromRow;

use super::outbox::{Word, tell};
use crate::Engine;
use crate::database::{now, retried};
use crate::error::Result;

#[derive(FromRow)]
struct Row {
    id: i64,
    account_id: i64,
    account: String,
    identifier: String,
    cursor: Sequence,
    /// 1 when it was told to stay behind.
    lag_notified: i64,
    last_sequence: Sequence,
    lag_limit_seconds: i64,
    /// When the first event that waits was received.
    waiting_since: Option<EpochMillis>,
}

impl Row {
    fn is_behind(&self) -> bool {
        let limit = now() - self.lag_limit_seconds * 1000;
        self.waiting_since.is_some_and(|since| since < limit)
    }
}

/// Has those told about whose account has a webhook and wants to know. Of several servers the first one does.
pub(super) async fn watch(engine: &Engine) -> Result<()> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT d.id, d.account_id, a.name AS account, d.identifier, d.cursor, d.lag_notified, a.last_sequence, \
         w.lag_limit_seconds, (SELECT received FROM audit_event e WHERE e.account_id = d.account_id \
         AND e.sequence = d.cursor + 1) AS waiting_since \
         FROM streaming_destination d JOIN account a ON a.id = d.account_id JOIN webhook w ON w.account_id = d.account_id \
         WHERE d.status = 'ACTIVE' AND d.cursor IS NOT NULL",
    )
    .fetch_all(engine.database().read())
    .await?;
    for row in rows {
        match (row.is_behind(), row.lag_notified != 0) {
            (true, false) => note(engine, &row, true).await?,
            (false, true) => note(engine, &row, false).await?,
            _ => {}
        }
    }
    Ok(())
}

/// Unless the destination was changed meanwhile; one that still fails has not recovered.
async fn note(engine: &Engine, row: &Row, behind: bool) -> Result<()> {
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let noted = sqlx::query(
            "UPDATE streaming_destination SET lag_notified = $2 WHERE id = $1 AND lag_notified = 1 - $2 AND status = 'ACTIVE' \
             AND ($2 = 0 AND failure IS NULL OR $2 = 1 AND cursor = $3)",
        )
        .bind(row.id)
        .bind(i64::from(behind))
        .bind(row.cursor)
        .execute(&mut *tx)
        .await?;
        if noted.rows_affected() != 1 {
            return Ok(());
        }
        let (word, data) = if behind {
            let data = json!({
                "events": row.last_sequence - row.cursor,
                "waiting_since": row.waiting_since,
                "lag_limit_seconds": row.lag_limit_seconds,
            });
            (Word::Behind, data)
        } else {
            (Word::Recovered, json!({}))
        };
        tell(&mut tx, row.account_id, &row.account, &row.identifier, word, data).await?;
        tx.commit().await
    })
    .await
}
