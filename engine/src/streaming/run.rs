//! One pass over one destination: batch after batch until it has what the trail had when the pass began.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::failure::Cause;
use super::plan::{self, OpenBatch};
use super::upload::{self, Delivered, Object};
use super::{confirm, encode};
use crate::Engine;
use crate::connectors::rows::{self as connectors, Unlocked};
use crate::destinations::rows::{self, Row};
use crate::error::{Error, Result};

/// How a pass goes on after a batch.
enum Next {
    Batch,
    Stop,
}

/// Streams what a destination has yet to receive. One pass of a destination runs at a time; faults are noted on it.
pub(super) async fn run(engine: &Engine, destination_id: i64, stopping: watch::Receiver<bool>) {
    let gate = engine.gates().of(destination_id);
    if gate.waits.swap(true, Ordering::AcqRel) {
        return;
    }
    let _only_one = gate.run.lock().await;
    gate.waits.store(false, Ordering::Release);
    if let Err(error) = pass(engine, destination_id, stopping).await {
        tracing::error!(destination_id, %error, "a run could not go on");
    }
}

async fn pass(engine: &Engine, destination_id: i64, mut stopping: watch::Receiver<bool>) -> Result<()> {
    let Some(first) = rows::by_id(engine, destination_id).await? else {
        return Ok(());
    };
    let up_to: i64 = sqlx::query_scalar("SELECT last_sequence FROM account WHERE id = $1")
        .bind(first.account_id)
        .fetch_one(engine.store().read())
        .await?;
    loop {
        let Some(row) = rows::by_id(engine, destination_id).await?.filter(Row::is_active) else {
            return Ok(());
        };
        if *stopping.borrow() {
            return Ok(());
        }
        let Some(cursor) = row.cursor else { return Ok(()) };
        let step = match plan::open_batch(engine, row.id).await? {
            Some(batch) => deliver(engine, &row, batch, &mut stopping).await,
            None => match plan::freeze(engine, &row, cursor, up_to).await {
                Ok(true) => Ok(Next::Batch),
                Ok(false) => return confirm::caught_up(engine, &row).await,
                Err(error) => Err(error),
            },
        };
        match step {
            Ok(Next::Batch) => {}
            Ok(Next::Stop) => return Ok(()),
            Err(Error::Broken(why)) => {
                let cause = Cause::blocked(
                    "cannot_build",
                    why,
                    "Look into the server's log; restore the database from a backup if data is missing.",
                );
                return confirm::failed(engine, &row, None, &cause).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Sends one frozen batch, with the connector's waits between attempts.
async fn deliver(
    engine: &Engine,
    row: &Row,
    mut batch: OpenBatch,
    stopping: &mut watch::Receiver<bool>,
) -> Result<Next> {
    let events = plan::read_events(engine, row.account_id, batch.first_sequence - 1, batch.last_sequence).await?;
    let content = encode::content(&events, batch.format()?);
    drop(events);
    let sha256 = encode::sha256(content.as_bytes());
    if sha256.as_slice() != batch.sha256 {
        return Err(Error::Broken(format!(
            "batch {} no longer has the content that it was frozen with",
            batch.number
        )));
    }
    let body = Bytes::from(encode::compress(content.as_bytes(), batch.compression()?)?);
    drop(content);
    let mut retry = 0;
    let mut moved = false;
    loop {
        // Where it goes is read at each attempt, so that a mistyped bucket is mended by editing it.
        let Some(current) = rows::by_id(engine, row.id)
            .await?
            .filter(|now| now.is_active() && now.epoch == row.epoch)
        else {
            return Ok(Next::Stop);
        };
        let Some(unlocked) = connectors::unlock(engine, row.account_id, &current.connector).await? else {
            let sentence = format!("The AWS connector “{}” does not exist.", current.connector);
            confirm::failed(
                engine,
                row,
                Some(&batch),
                &Cause::blocked("connector", sentence, "Edit the destination and select another."),
            )
            .await?;
            return Ok(Next::Stop);
        };
        let spec = current.spec()?;
        let bucket = spec.bucket.as_str();
        let cause = match engine.aws().s3(&unlocked, bucket).await {
            Err(cause) => cause,
            Ok(s3) => {
                let object = Object {
                    key: format!("{}{}", spec.prefix.as_str(), batch.key),
                    spec: &spec,
                    body: body.clone(),
                    format: batch.format()?,
                    compression: batch.compression()?,
                    sha256,
                    in_doubt: batch.in_doubt,
                };
                let Some(result) = attempt(engine, row, &batch, &s3.client, object).await? else {
                    return Ok(Next::Stop);
                };
                match result {
                    Ok(delivered) => {
                        let remark = remark(&unlocked, bucket, &s3.region);
                        return Ok(
                            if confirm::delivered(engine, row, &batch, &delivered, remark.as_deref()).await? {
                                Next::Batch
                            } else {
                                Next::Stop
                            },
                        );
                    }
                    Err(cause) => cause,
                }
            }
        };
        if let Some(region) = cause.region.as_deref().filter(|_| cause.code == "region" && !moved) {
            // Once a batch: two regions that each name the other would go on forever.
            moved = engine.aws().bucket_is_in(&unlocked, bucket, region);
            if moved {
                continue;
            }
        }
        if cause.code == "credentials" {
            engine.aws().sign_out(&unlocked).await;
        }
        tracing::warn!(
            destination = row.identifier,
            batch = batch.number,
            code = cause.code,
            message = cause.message,
            "a batch was not delivered"
        );
        confirm::failed(engine, row, Some(&batch), &cause).await?;
        batch.in_doubt |= cause.in_doubt;
        retry += 1;
        let backoff = unlocked.connector.spec.backoff;
        if !cause.transient || retry > backoff.retry_count() {
            return Ok(Next::Stop);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(backoff.delay(retry, rand::random()))) => {}
            _ = stopping.changed() => return Ok(Next::Stop),
        }
    }
}

/// What is worth a note although it was delivered.
fn remark(unlocked: &Unlocked, bucket: &str, region: &str) -> Option<String> {
    (region != unlocked.region()).then(|| {
        format!(
            "The bucket {bucket} is in {region}, and was written there; the connector says {}. Set its region to {region}.",
            unlocked.region()
        )
    })
}

/// Records an attempt, then makes it; none when the destination was paused or changed first.
async fn attempt(
    engine: &Engine,
    row: &Row,
    batch: &OpenBatch,
    client: &aws_sdk_s3::Client,
    object: Object<'_>,
) -> Result<Option<Result<Delivered, Cause>>> {
    let gate = engine.gates().of(row.id);
    let start = gate.start.lock().await;
    let mut tx = engine.store().write().await?;
    let recorded = sqlx::query(
        "UPDATE streaming_batch SET attempts = attempts + 1, status = 'IN_PROGRESS', in_doubt = 1 \
         WHERE destination_id = $1 AND number = $2 AND status <> 'SUCCESS' \
         AND EXISTS (SELECT 1 FROM streaming_destination WHERE id = $1 AND epoch = $3 AND status = 'ACTIVE')",
    )
    .bind(row.id)
    .bind(batch.number)
    .bind(row.epoch)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    if recorded.rows_affected() != 1 {
        return Ok(None);
    }
    let mut put = std::pin::pin!(upload::put(client, object));
    // Begun while the gate is held; waited for without it, so that a toggle never waits for S3.
    let begun = futures::poll!(&mut put);
    drop(start);
    Ok(Some(match begun {
        std::task::Poll::Ready(result) => result,
        std::task::Poll::Pending => put.await,
    }))
}
