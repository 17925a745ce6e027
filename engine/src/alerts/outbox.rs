//! What is to be said, as rows: written in the transaction of what it is about, so that no crash loses or invents one.

use auditstream_model::{AccountName, EpochMillis};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::database::{WriteTx, now};
use crate::error::Result;

/// What there is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// A destination begins to fail.
    Failing,
    /// It stays behind.
    Behind,
    /// It neither fails nor stays behind any longer.
    Recovered,
    /// An admin tries the webhook.
    Test,
}

impl Word {
    fn kind(self) -> &'static str {
        match self {
            Self::Failing => "streaming_destination.failing",
            Self::Behind => "streaming_destination.behind",
            Self::Recovered => "streaming_destination.recovered",
            Self::Test => "webhook.test",
        }
    }
}

/// A message before it is signed.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The same for every try, so that receivers know it again.
    pub(crate) id: String,
    pub(crate) body: String,
}

/// Puts a message into its form.
pub(crate) fn message(word: Word, account: &str, mut data: Value) -> Message {
    data["account"] = account.into();
    let time = Timestamp::from_millisecond(now()).unwrap_or_default().to_string();
    Message {
        id: format!("msg_{:032x}", rand::random::<u128>()),
        body: json!({"type": word.kind(), "timestamp": time, "data": data}).to_string(),
    }
}

async fn add(tx: &mut WriteTx, account_id: i64, message: &Message) -> Result<()> {
    let at: EpochMillis = now();
    // The lock keeps the webhook from going between the look and the insert.
    sqlx::query(tx.dialect().pick(
        "INSERT INTO webhook_message (account_id, message_id, body, created, next_attempt) \
         SELECT account_id, $2, $3, $4, $4 FROM webhook WHERE account_id = $1",
        "INSERT INTO webhook_message (account_id, message_id, body, created, next_attempt) \
         SELECT account_id, $2, $3, $4, $4 FROM webhook WHERE account_id = $1 FOR KEY SHARE",
    ))
    .bind(account_id)
    .bind(&message.id)
    .bind(&message.body)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Has the account's webhook, if there is one, told about a destination.
pub(crate) async fn tell(
    tx: &mut WriteTx,
    account_id: i64,
    account: &str,
    destination: &str,
    word: Word,
    mut data: Value,
) -> Result<()> {
    data["destination"] = destination.into();
    add(tx, account_id, &message(word, account, data)).await
}

/// The same when a failure has ended: of a destination that was told to stay behind it is said once it has caught up.
pub(crate) async fn recovered(
    tx: &mut WriteTx,
    account_id: i64,
    account: &AccountName,
    destination_id: i64,
    destination: &str,
) -> Result<()> {
    let behind: i64 = sqlx::query_scalar("SELECT lag_notified FROM streaming_destination WHERE id = $1")
        .bind(destination_id)
        .fetch_one(&mut **tx)
        .await?;
    if behind != 0 {
        return Ok(());
    }
    tell(
        tx,
        account_id,
        account.as_str(),
        destination,
        Word::Recovered,
        json!({}),
    )
    .await
}
