//! Destinations that lag for longer than their account's limit, and those that have caught up.

use auditstream_model::{AccountName, EpochMillis, Sequence};
use serde_json::json;
use sqlx::FromRow;

use super::outbox::{EventKind, enqueue};
use crate::Engine;
use crate::error::Result;
use crate::trail::gaps;

#[derive(FromRow)]
struct WatchedDestination {
    id: i64,
    account_id: i64,
    #[sqlx(try_from = "String")]
    account: AccountName,
    identifier: String,
    cursor: Sequence,
    /// 1 once the webhook has been notified that this destination is lagging.
    lag_notified: i64,
    last_sequence: Sequence,
    lag_limit_seconds: i64,
    /// `None` for the interval of the server.
    interval_seconds: Option<i64>,
    /// When the first undelivered event was received, epoch ms.
    waiting_since: Option<EpochMillis>,
}

impl WatchedDestination {
    fn is_lagging(&self, now: EpochMillis) -> bool {
        // Events wait for its interval as long as all is well.
        let seconds = self.lag_limit_seconds + self.interval_seconds.unwrap_or(0);
        let limit = now - seconds * 1000;
        self.waiting_since.is_some_and(|since| since < limit)
    }
}

/// Notifies the webhook of each account whose destinations have crossed its lag limit. With several
/// servers, the first to update the row sends the message.
pub(super) async fn check_lag(engine: &Engine) -> Result<()> {
    let destinations: Vec<WatchedDestination> = sqlx::query_as(
        "SELECT d.id, d.account_id, a.name AS account, d.identifier, d.cursor, d.lag_notified, a.last_sequence, \
         w.lag_limit_seconds, d.interval_seconds, (SELECT received FROM audit_segment e WHERE e.account_id = d.account_id \
         AND e.last_sequence > d.cursor ORDER BY e.last_sequence LIMIT 1) AS waiting_since \
         FROM streaming_destination d JOIN account a ON a.id = d.account_id JOIN webhook w ON w.account_id = d.account_id \
         WHERE d.status = 'ACTIVE' AND d.cursor IS NOT NULL",
    )
    .fetch_all(engine.database().read())
    .await?;
    let now = engine.database().clock().now();
    for destination in destinations {
        let is_lagging = destination.is_lagging(now);
        if is_lagging != (destination.lag_notified != 0) {
            notify(engine, &destination, is_lagging).await?;
        }
    }
    Ok(())
}

/// Stores the message, unless the destination has changed meanwhile. One that still fails has not
/// recovered.
async fn notify(engine: &Engine, destination: &WatchedDestination, is_lagging: bool) -> Result<()> {
    let missing = gaps::missing_after(engine.database().read(), destination.account_id, destination.cursor).await?;
    let waiting = destination.last_sequence - destination.cursor - missing;
    engine
        .database()
        .transaction("notify_lag", async |tx| {
            let updated = sqlx::query(
                "UPDATE streaming_destination SET lag_notified = $2 \
                 WHERE id = $1 AND lag_notified = 1 - $2 AND status = 'ACTIVE' \
                 AND ($2 = 0 AND failure IS NULL OR $2 = 1 AND cursor = $3)",
            )
            .bind(destination.id)
            .bind(i64::from(is_lagging))
            .bind(destination.cursor)
            .execute(&mut **tx)
            .await?;
            if updated.rows_affected() != 1 {
                return tx.roll_back(());
            }
            let (kind, data) = if is_lagging {
                let data = json!({
                    "events": waiting,
                    "waiting_since": destination.waiting_since,
                    "lag_limit_seconds": destination.lag_limit_seconds,
                });
                (EventKind::Lagging, data)
            } else {
                (EventKind::Recovered, json!({}))
            };
            let WatchedDestination {
                account, identifier, ..
            } = destination;
            enqueue(tx, destination.account_id, account, identifier, kind, data).await
        })
        .await
}
