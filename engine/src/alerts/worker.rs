//! The task that sends the messages of the outbox. An attempt is claimed before it is made, so that
//! only one of several servers makes it; one that a crash interrupts is repeated when the next is
//! due.

use std::time::Duration;

use auditstream_model::EpochMillis;
use futures::StreamExt as _;
use sqlx::FromRow;

use super::outbox::Message;
use super::rows::Stored;
use super::{MAX_ATTEMPTS, lag_monitor};
use crate::Engine;
use crate::error::Result;
use crate::failpoint;
use crate::task::{Stop, Task};

/// How many messages are sent at once: a receiver that hangs must not delay the others for long.
const CONCURRENT_MESSAGES: usize = 16;

/// Starts to monitor and to send messages, including those that an earlier process left. The two
/// tasks stop at once; a message in flight is sent again after the next start.
pub(crate) fn start(engine: &Engine) -> [Task; 2] {
    let (monitor, sender) = (engine.clone(), engine.clone());
    [
        Task::spawn("lag_monitor", engine.metrics().clone(), move |stop| {
            monitor_lag(monitor.clone(), stop)
        }),
        Task::spawn("webhooks", engine.metrics().clone(), move |stop| {
            send_messages(sender.clone(), stop)
        }),
    ]
}

async fn monitor_lag(engine: Engine, mut stop: Stop) {
    let monitor = async {
        loop {
            failpoint::reached("lag_monitor.check").await;
            if let Err(error) = lag_monitor::check_lag(&engine).await {
                tracing::error!(%error, "cannot check which destinations lag; retrying later");
            }
            tokio::time::sleep(engine.pacing().watch).await;
        }
    };
    tokio::select! {
        () = monitor => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn send_messages(engine: Engine, mut stop: Stop) {
    let send = async {
        loop {
            failpoint::reached("webhooks.send").await;
            if let Err(error) = send_due(&engine).await {
                tracing::error!(%error, "cannot read the messages of webhooks; retrying later");
            }
            tokio::time::sleep(engine.pacing().every).await;
        }
    };
    tokio::select! {
        () = send => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

#[derive(FromRow)]
struct DueMessage {
    id: i64,
    account_id: i64,
    message_id: String,
    body: String,
    attempts: i64,
}

async fn send_due(engine: &Engine) -> Result<()> {
    let now = engine.database().clock().now();
    let due: Vec<DueMessage> = sqlx::query_as(
        "SELECT id, account_id, message_id, body, attempts FROM webhook_message \
         WHERE next_attempt <= $1 OR next_attempt > $2 ORDER BY id LIMIT 64",
    )
    .bind(now)
    // Later than any delay: set while the clock was ahead.
    .bind(now.saturating_add(2 * millis(engine.pacing().delay(MAX_ATTEMPTS))))
    .fetch_all(engine.database().read())
    .await?;
    futures::stream::iter(due)
        .for_each_concurrent(CONCURRENT_MESSAGES, async |due| {
            let account_id = due.account_id;
            if let Err(error) = attempt(engine, due).await {
                tracing::error!(%error, account_id, "cannot send a message of the webhook; retrying later");
            }
        })
        .await;
    Ok(())
}

/// Attempts a delivery. Deletes the message if it was accepted, or if this was the last attempt.
async fn attempt(engine: &Engine, due: DueMessage) -> Result<()> {
    let attempt = due.attempts + 1;
    if !claim(engine, &due, attempt).await? {
        return Ok(());
    }
    let Some(stored) = Stored::find(engine, due.account_id).await? else {
        return Ok(());
    };
    let message = Message {
        id: due.message_id,
        body: due.body,
    };
    let sent = if due.attempts < MAX_ATTEMPTS {
        engine.webhook_client().post(&stored.receiver()?, &message).await
    } else {
        Err("The server stopped during the last attempt.".to_owned())
    };
    let (account_id, message) = (due.account_id, message.id);
    match sent {
        Ok(()) => {}
        Err(why) if attempt < MAX_ATTEMPTS => {
            tracing::warn!(
                account_id,
                message,
                attempt,
                why,
                "the webhook did not accept a message"
            );
            return Ok(());
        }
        Err(why) => {
            tracing::error!(
                account_id,
                message,
                why,
                "dropped a message after the last attempt to send it"
            );
        }
    }
    delete(engine, due.id).await
}

/// Counts an attempt and sets the time of the next. Returns `false` if another server was faster.
async fn claim(engine: &Engine, due: &DueMessage, attempt: i64) -> Result<bool> {
    let delay = millis(engine.pacing().delay(attempt));
    let next: EpochMillis = engine.database().clock().now().saturating_add(delay);
    engine
        .database()
        .transaction("claim_message", async |tx| {
            let claimed = sqlx::query(
                "UPDATE webhook_message SET attempts = $3, next_attempt = $4 WHERE id = $1 AND attempts = $2",
            )
            .bind(due.id)
            .bind(due.attempts)
            .bind(attempt)
            .bind(next)
            .execute(&mut **tx)
            .await?;
            Ok(claimed.rows_affected() == 1)
        })
        .await
}

async fn delete(engine: &Engine, id: i64) -> Result<()> {
    engine
        .database()
        .transaction("delete_message", async |tx| {
            sqlx::query("DELETE FROM webhook_message WHERE id = $1")
                .bind(id)
                .execute(&mut **tx)
                .await?;
            Ok(())
        })
        .await
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
