//! Corrects times of receipt that a clock which was ahead has left in the future.
//!
//! Such an event would be retained for too long, and would hide how long it has been waiting. When
//! it was received is not known exactly; that it was before now is.

use auditstream_model::{EpochMillis, Sequence};
use sqlx::FromRow;

use super::account_setting::{self, SHORTENED_AFTER};
use crate::Engine;
use crate::database::{WriteTx, is_future};
use crate::error::Result;

/// Events that one transaction looks at.
const ROWS: i64 = 2_000;
/// By how much the clocks of two servers may differ, ms.
const SLACK: i64 = 5 * 60_000;

/// An account with receipts that may lie in the future.
#[derive(FromRow)]
struct Account {
    id: i64,
    last_sequence: Sequence,
    last_received: EpochMillis,
    /// The last such event, if later ones were received at the right time; otherwise 0.
    misdated_sequence: Sequence,
}

/// Corrects the receipts of every account that lie after `now`.
pub(super) async fn correct(engine: &Engine, now: EpochMillis) -> Result<()> {
    let accounts: Vec<Account> = sqlx::query_as(
        "SELECT id, last_sequence, last_received, misdated_sequence FROM account \
         WHERE misdated_sequence > 0 OR last_received > $1",
    )
    .bind(now)
    .fetch_all(engine.database().read())
    .await?;
    let is_setting_late: i64 = sqlx::query_scalar("SELECT count(*) FROM retention_setting WHERE effective > $1")
        .bind(now + SHORTENED_AFTER + SLACK)
        .fetch_one(engine.database().read())
        .await?;
    if is_setting_late > 0 {
        engine
            .database()
            .background()
            .transaction("correct_settings", async |tx| account_setting::correct(tx, now).await)
            .await?;
    }
    for account in accounts {
        if is_future(account.last_received, now) {
            correct_account(engine, account.id, account.last_sequence, now).await?;
        } else if account.misdated_sequence > 0 {
            correct_account(engine, account.id, account.misdated_sequence, now).await?;
        }
    }
    Ok(())
}

/// Corrects the receipts of an account up to `last`, from the newest to the oldest that needs it.
async fn correct_account(engine: &Engine, account_id: i64, last: Sequence, now: EpochMillis) -> Result<()> {
    let mut up_to = last;
    while up_to > 0 {
        up_to = correct_step(engine, account_id, up_to, now).await?;
    }
    tracing::warn!(
        account_id,
        "corrected times of receipt in the future, from when the clock of a server was ahead"
    );
    Ok(())
}

/// Corrects some receipts up to `up_to`. Returns the last event that is left to look at, or 0.
async fn correct_step(engine: &Engine, account_id: i64, up_to: Sequence, now: EpochMillis) -> Result<Sequence> {
    engine
        .database()
        .background()
        .transaction("correct_receipts", async |tx| {
            let take = tx.dialect().pick(
                "SELECT last_received FROM account WHERE id = $1",
                "SELECT last_received FROM account WHERE id = $1 FOR NO KEY UPDATE",
            );
            let last_received: EpochMillis = sqlx::query_scalar(take).bind(account_id).fetch_one(&mut **tx).await?;
            let updated = sqlx::query(
                "UPDATE audit_segment \
                 SET received = CASE WHEN received > $4 THEN $4 ELSE received END, last_received = $4 \
                 WHERE account_id = $1 AND last_sequence > $2 AND last_sequence <= $3 AND last_received > $4",
            )
            .bind(account_id)
            .bind(up_to - ROWS)
            .bind(up_to)
            .bind(now)
            .execute(&mut **tx)
            .await?;
            let is_done = updated.rows_affected() == 0 && has_events(tx, account_id, up_to).await?;
            let left = if is_done {
                0
            } else {
                last_event(tx, account_id, up_to - ROWS).await?
            };
            sqlx::query("UPDATE account SET last_received = $2, misdated_sequence = $3 WHERE id = $1")
                .bind(account_id)
                .bind(if is_future(last_received, now) {
                    now
                } else {
                    last_received
                })
                .bind(left)
                .execute(&mut **tx)
                .await?;
            Ok(left)
        })
        .await
}

/// Whether a step up to `up_to` has events: it may be in a declared gap.
async fn has_events(tx: &mut WriteTx, account_id: i64, up_to: Sequence) -> Result<bool> {
    Ok(last_event(tx, account_id, up_to).await? > up_to - ROWS)
}

/// Returns the last event up to a sequence that ends a segment; 0 without one.
async fn last_event(tx: &mut WriteTx, account_id: i64, up_to: Sequence) -> Result<Sequence> {
    let query = sqlx::query_scalar(
        "SELECT coalesce(max(last_sequence), 0) FROM audit_segment WHERE account_id = $1 AND last_sequence <= $2",
    );
    Ok(query.bind(account_id).bind(up_to).fetch_one(&mut **tx).await?)
}
