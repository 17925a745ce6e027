//! Messages to the webhook, stored in the transaction of the change that they report, so that a
//! crash neither loses nor invents one.

use auditstream_model::AccountName;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::database::{WriteTx, now};
use crate::error::Result;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    Failing,
    Lagging,
    /// A destination neither fails nor lags any longer.
    Recovered,
    Test,
}

impl EventKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "streaming_destination.failing",
            Self::Lagging => "streaming_destination.behind",
            Self::Recovered => "streaming_destination.recovered",
            Self::Test => "webhook.test",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The same at every attempt, so that receivers can detect duplicates.
    pub(crate) id: String,
    pub(crate) body: String,
}

impl Message {
    pub(super) fn new(kind: EventKind, account: &str, mut data: Value) -> Self {
        data["account"] = account.into();
        let time = Timestamp::from_millisecond(now()).unwrap_or_default().to_string();
        Self {
            id: format!("msg_{:032x}", rand::random::<u128>()),
            body: json!({"type": kind.as_str(), "timestamp": time, "data": data}).to_string(),
        }
    }
}

/// Stores a message about a destination, if the account has a webhook.
pub(crate) async fn enqueue(
    tx: &mut WriteTx,
    account_id: i64,
    account: &AccountName,
    destination: &str,
    kind: EventKind,
    mut data: Value,
) -> Result<()> {
    data["destination"] = destination.into();
    let message = Message::new(kind, account.as_str(), data);
    // The lock prevents the webhook from being removed before the insert.
    sqlx::query(tx.dialect().pick(
        "INSERT INTO webhook_message (account_id, message_id, body, created, next_attempt) \
         SELECT account_id, $2, $3, $4, $4 FROM webhook WHERE account_id = $1",
        "INSERT INTO webhook_message (account_id, message_id, body, created, next_attempt) \
         SELECT account_id, $2, $3, $4, $4 FROM webhook WHERE account_id = $1 FOR KEY SHARE",
    ))
    .bind(account_id)
    .bind(message.id)
    .bind(message.body)
    .bind(now())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Stores the message that a failure has ended. A destination already reported as lagging is
/// reported as recovered only once it has caught up.
pub(crate) async fn enqueue_recovered(
    tx: &mut WriteTx,
    account_id: i64,
    account: &AccountName,
    destination_id: i64,
    destination: &str,
) -> Result<()> {
    let lag_notified: i64 = sqlx::query_scalar("SELECT lag_notified FROM streaming_destination WHERE id = $1")
        .bind(destination_id)
        .fetch_one(&mut **tx)
        .await?;
    if lag_notified != 0 {
        return Ok(());
    }
    let kind = EventKind::Recovered;
    enqueue(tx, account_id, account, destination, kind, json!({})).await
}
