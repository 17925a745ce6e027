//! The task that sends what is in the outbox. A try is claimed before it is made, so that of several servers one makes it;
//! one that a crash cut off is made again when its time has come.

use auditstream_model::EpochMillis;
use futures::StreamExt as _;
use sqlx::FromRow;
use tokio::sync::watch as signal;
use tokio::task::JoinHandle;

use super::config::receiver;
use super::outbox::Message;
use super::{TRIES, lag_monitor};
use crate::Engine;
use crate::database::now;
use crate::error::Result;

/// Messages on their way at once: a receiver that hangs keeps none of the others waiting for long.
const AT_ONCE: usize = 16;

/// The messenger while it runs.
#[derive(Debug)]
pub(crate) struct Messenger {
    stopping: signal::Sender<bool>,
    task: JoinHandle<()>,
}

impl Messenger {
    /// Breaks off: a message that is on its way is sent again after the next start.
    pub(crate) async fn stop(self) {
        // Fails when the task has ended by itself.
        let _ = self.stopping.send(true);
        let _ = self.task.await;
    }
}

/// Starts to send, also what an earlier process left.
pub(crate) fn start(engine: Engine) -> Messenger {
    let (stopping, mut stop) = signal::channel(false);
    let task = tokio::spawn(async move {
        if !engine.streaming_enabled() {
            return;
        }
        tokio::select! {
            () = work(&engine) => {}
            _ = stop.changed() => {}
        }
    });
    Messenger { stopping, task }
}

/// Receivers that hang delay the watch for those that stay behind no more than each other.
async fn work(engine: &Engine) {
    let pace = engine.pacing();
    let watching = async {
        loop {
            if let Err(error) = lag_monitor::watch(engine).await {
                tracing::error!(%error, "destinations that stay behind cannot be told of; tried again later");
            }
            tokio::time::sleep(pace.watch).await;
        }
    };
    let delivering = async {
        loop {
            if let Err(error) = deliver(engine).await {
                tracing::error!(%error, "the webhooks' messages cannot be read; tried again later");
            }
            tokio::time::sleep(pace.every).await;
        }
    };
    tokio::select! {
        () = watching => {}
        () = delivering => {}
    }
}

#[derive(FromRow)]
struct Due {
    id: i64,
    account_id: i64,
    message_id: String,
    body: String,
    attempts: i64,
}

async fn deliver(engine: &Engine) -> Result<()> {
    let due: Vec<Due> = sqlx::query_as(
        "SELECT id, account_id, message_id, body, attempts FROM webhook_message WHERE next_attempt <= $1 ORDER BY id LIMIT 64",
    )
    .bind(now())
    .fetch_all(engine.database().read())
    .await?;
    futures::stream::iter(due)
        .for_each_concurrent(AT_ONCE, async |due| {
            let account_id = due.account_id;
            if let Err(error) = attempt(engine, due).await {
                tracing::error!(%error, account_id, "a message of the webhook could not be sent; tried again later");
            }
        })
        .await;
    Ok(())
}

/// Claims a try, makes it, and forgets the message when it was taken or was the last.
async fn attempt(engine: &Engine, due: Due) -> Result<()> {
    let attempt = due.attempts + 1;
    let wait = i64::try_from(engine.pacing().delay(attempt).as_millis()).unwrap_or(i64::MAX);
    let next: EpochMillis = now().saturating_add(wait);
    let mut tx = engine.database().write().await?;
    let claimed =
        sqlx::query("UPDATE webhook_message SET attempts = $3, next_attempt = $4 WHERE id = $1 AND attempts = $2")
            .bind(due.id)
            .bind(due.attempts)
            .bind(attempt)
            .bind(next)
            .execute(&mut *tx)
            .await?;
    tx.commit().await?;
    if claimed.rows_affected() != 1 {
        return Ok(());
    }
    let Some(receiver) = receiver(engine, due.account_id).await? else {
        return Ok(());
    };
    let message = Message {
        id: due.message_id,
        body: due.body,
    };
    // The last try may have been cut off by a crash.
    let sent = if due.attempts < TRIES {
        engine.webhook_client()?.post(&receiver, &message).await
    } else {
        Err("The server was stopped during the last try.".to_owned())
    };
    match sent {
        Ok(()) => {}
        Err(why) if attempt < TRIES => {
            tracing::warn!(
                account_id = due.account_id,
                message = message.id,
                attempt,
                why,
                "the webhook did not take a message"
            );
            return Ok(());
        }
        Err(why) => {
            tracing::error!(
                account_id = due.account_id,
                message = message.id,
                why,
                "a message of the webhook was dropped after its last try"
            );
        }
    }
    let mut tx = engine.database().write().await?;
    sqlx::query("DELETE FROM webhook_message WHERE id = $1")
        .bind(due.id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}
