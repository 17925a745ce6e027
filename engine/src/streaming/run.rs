//! One pass over one destination: batch after batch until it has what the trail had when the pass began.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use auditstream_model::{DestinationSpec, FailureCode};
use bytes::Bytes;
use futures::FutureExt as _;
use tokio::sync::watch;

use super::freeze::{self, OpenBatch};
use super::lease::{Due, Lease, Replica};
use super::limits::{Place, Share};
use super::upload::{self, Delivered, Object};
use super::{encode, outcome};
use crate::Engine;
use crate::aws::failure::Cause;
use crate::connectors::{self, Unlocked};
use crate::database::retried;
use crate::destinations::rows::{self, Row};
use crate::error::{Error, Result};
use crate::failpoint;

/// How long a destination rests when a run ended in a fault of our own, such as a database that does not answer.
const AFTER_A_FAULT: Duration = Duration::from_secs(1);

/// How a pass goes on after a batch.
enum Next {
    Batch,
    Stop,
}

/// Streams what a destination has yet to receive, if this server is the first to claim it. Faults are noted on it.
pub(super) async fn run(
    engine: &Engine,
    replica: Replica,
    due: Due,
    mut place: Place,
    stopping: watch::Receiver<bool>,
) {
    let destination_id = due.destination_id;
    let ended = async {
        let Some(lease) = replica.claim(engine.database(), destination_id).await? else {
            return Ok(());
        };
        engine.metrics().run(due.abandoned);
        let stopped = stopping.clone();
        let passed = match AssertUnwindSafe(pass(engine, lease, &mut place, stopping))
            .catch_unwind()
            .await
        {
            Ok(passed) => passed,
            Err(panic) => panicked(engine, lease, said(panic)).await,
        };
        // A run that the database or a stop broke off keeps its lease, which makes it due again at once: here when the
        // database answers, elsewhere when this server has gone.
        if !matches!(passed, Err(Error::Database(_))) && !*stopped.borrow() {
            replica.release(engine.database(), lease).await?;
        }
        passed
    };
    if let Err(error) = ended.await {
        tracing::error!(destination_id, %error, "a run could not go on");
        tokio::time::sleep(AFTER_A_FAULT).await;
    }
}

/// What a panic said.
fn said(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => other
            .downcast::<&str>()
            .map_or_else(|_| String::from("nothing"), |text| (*text).to_owned()),
    }
}

/// A mistake in this program ended the pass: a failed run like any other, so that it is seen, and tried again at the next
/// tick and not before.
async fn panicked(engine: &Engine, lease: Lease, said: String) -> Result<()> {
    tracing::error!(destination_id = lease.destination_id, said, "a run ended in a panic");
    let Some(row) = held(engine, lease).await? else {
        return Ok(());
    };
    let batch = freeze::open_batch(engine, row.id).await?;
    let cause = Cause::refused(
        FailureCode::Internal,
        "Something went wrong on this server while it streamed.",
        "Its log says more. It is tried again at the next tick.",
        "A mistake in this program broke the run off. Nothing is skipped.",
    );
    outcome::failed(engine, &row, batch.as_ref(), &cause).await
}

/// The destination as the run may stream it; none when it was paused, changed, or taken over by another server.
async fn held(engine: &Engine, lease: Lease) -> Result<Option<Row>> {
    let row = rows::by_id(engine, lease.destination_id).await?;
    Ok(row.filter(|row| row.is_active() && row.epoch == lease.epoch))
}

async fn pass(engine: &Engine, lease: Lease, place: &mut Place, mut stopping: watch::Receiver<bool>) -> Result<()> {
    let Some(first) = held(engine, lease).await? else {
        return Ok(());
    };
    let up_to: i64 = sqlx::query_scalar("SELECT last_sequence FROM account WHERE id = $1")
        .bind(first.account_id)
        .fetch_one(engine.database().read())
        .await?;
    loop {
        let Some(row) = held(engine, lease).await? else {
            return Ok(());
        };
        if *stopping.borrow() {
            return Ok(());
        }
        let Some(cursor) = row.cursor else { return Ok(()) };
        let step = match freeze::open_batch(engine, row.id).await? {
            Some(batch) => deliver(engine, lease, batch, place, &mut stopping).await,
            None if cursor >= up_to => return outcome::caught_up(engine, &row).await,
            None => match freeze::freeze(engine, &row, cursor, up_to).await {
                Ok(true) => Ok(Next::Batch),
                Ok(false) => Ok(Next::Stop),
                Err(error) => Err(error),
            },
        };
        match step {
            Ok(Next::Batch) => {}
            Ok(Next::Stop) => return Ok(()),
            Err(error @ (Error::Broken(_) | Error::Stored(_))) => {
                let cause = Cause::blocked(
                    FailureCode::CannotBuild,
                    error.to_string(),
                    "Look into the server's log; restore the database from a backup if data is missing.",
                );
                return outcome::failed(engine, &row, None, &cause).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Sends one frozen batch, with the connector's waits between attempts. While it waits it holds nothing in memory, and no
/// place among the runs.
async fn deliver(
    engine: &Engine,
    lease: Lease,
    mut batch: OpenBatch,
    place: &mut Place,
    stopping: &mut watch::Receiver<bool>,
) -> Result<Next> {
    let mut retry = 0;
    let mut moved = false;
    loop {
        // Where it goes is read at each attempt, so that a mistyped bucket is mended by editing it.
        let Some(row) = held(engine, lease).await? else {
            return Ok(Next::Stop);
        };
        let Some(unlocked) = connectors::unlock(engine, row.account_id, &row.connector).await? else {
            let sentence = format!("The AWS connector “{}” does not exist.", row.connector);
            let cause = Cause::blocked(
                FailureCode::Connector,
                sentence,
                "Edit the destination and select another.",
            );
            outcome::failed(engine, &row, Some(&batch), &cause).await?;
            return Ok(Next::Stop);
        };
        let spec = row.spec()?;
        let bucket = spec.bucket.as_str();
        // Signed in before the batch is built: none of the budget is held meanwhile.
        let cause = match engine.aws().s3(&unlocked, bucket).await {
            Err(cause) => cause,
            Ok(s3) => match send(engine, &row, &batch, &spec, &s3.client).await? {
                None => return Ok(Next::Stop),
                Some(Ok(delivered)) => {
                    let remark = remark(&unlocked, bucket, &s3.region);
                    return Ok(
                        if outcome::delivered(engine, &row, &batch, &delivered, remark.as_deref()).await? {
                            Next::Batch
                        } else {
                            Next::Stop
                        },
                    );
                }
                Some(Err(cause)) => cause,
            },
        };
        if let Some(region) = cause
            .region
            .as_deref()
            .filter(|_| cause.code == FailureCode::Region && !moved)
        {
            // Once a batch: two regions that each name the other would go on forever.
            moved = engine.aws().bucket_is_in(&unlocked, bucket, region);
            if moved {
                continue;
            }
        }
        if cause.code == FailureCode::Credentials {
            engine.aws().sign_out(&unlocked).await;
        }
        tracing::warn!(
            destination = row.identifier,
            batch = batch.number,
            code = %cause.code,
            message = cause.message,
            "a batch was not delivered"
        );
        outcome::failed(engine, &row, Some(&batch), &cause).await?;
        batch.doubt(cause.in_doubt);
        retry += 1;
        let backoff = unlocked.connector.spec.backoff;
        if !cause.transient || retry > backoff.retry_count() {
            return Ok(Next::Stop);
        }
        let wait = Duration::from_millis(backoff.delay(retry, rand::random()));
        tokio::select! {
            back = place.leave(tokio::time::sleep(wait)) => back?,
            _ = stopping.changed() => return Ok(Next::Stop),
        }
    }
}

/// Builds a batch and attempts it; its memory is given back before the answer is.
async fn send(
    engine: &Engine,
    row: &Row,
    batch: &OpenBatch,
    spec: &DestinationSpec,
    client: &aws_sdk_s3::Client,
) -> Result<Option<Result<Delivered, Cause>>> {
    let body = build(engine, row, batch).await?;
    let object = Object {
        key: format!("{}{}", spec.prefix.as_str(), batch.key),
        spec,
        body: body.bytes.clone(),
        format: batch.format()?,
        compression: batch.compression()?,
        sha256: body.sha256,
        checksum: body.checksum,
        in_doubt: batch.is_in_doubt(),
    };
    attempt(engine, row, batch, client, object).await
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

/// What is sent of a batch, with the memory that it may have.
struct Body {
    bytes: Bytes,
    /// Of the content before compression.
    sha256: [u8; 32],
    checksum: String,
    _share: Share,
}

/// Builds a batch from the trail: the same bytes each time.
async fn build(engine: &Engine, row: &Row, batch: &OpenBatch) -> Result<Body> {
    let bytes = freeze::working_bytes(usize::try_from(batch.bytes).unwrap_or(usize::MAX));
    let mut share = engine.budget().take(bytes, row.failure.is_some()).await?;
    let events = freeze::read_events(engine, row.account_id, batch.first_sequence - 1, batch.last_sequence).await?;
    let (format, compression) = (batch.format()?, batch.compression()?);
    let encoded = tokio::task::spawn_blocking(move || {
        let content = encode::content(&events, format);
        drop(events);
        let sha256 = encode::sha256(content.as_bytes());
        encode::compress(content.as_bytes(), compression).map(|body| (sha256, upload::checksum(&body), body))
    });
    let (sha256, checksum, body) = encoded.await.map_err(|error| Error::Broken(error.to_string()))??;
    if sha256.as_slice() != batch.sha256 {
        return Err(Error::Broken(format!(
            "batch {} no longer has the content that it was frozen with",
            batch.number
        )));
    }
    share.shrink(body.len());
    Ok(Body {
        bytes: body.into(),
        sha256,
        checksum,
        _share: share,
    })
}

/// Records an attempt, then makes it; none when the destination was paused, changed or taken over first.
///
/// The PUT begins inside a second transaction that holds the destination's row: a pause comes either before it, and there
/// is no PUT, or after it has begun. The PUT is waited for without the row, so that a pause never waits for S3.
async fn attempt(
    engine: &Engine,
    row: &Row,
    batch: &OpenBatch,
    client: &aws_sdk_s3::Client,
    object: Object<'_>,
) -> Result<Option<Result<Delivered, Cause>>> {
    if !note_attempt(engine, row, batch).await? {
        return Ok(None);
    }
    let began = Instant::now();
    let mut put = std::pin::pin!(upload::put(client, object));
    let mut tx = engine.database().write().await?;
    if !rows::hold(&mut tx, row.id, row.epoch).await? {
        return Ok(None);
    }
    failpoint::reached("put.beginning").await;
    let begun = futures::poll!(&mut put);
    failpoint::reached("put.begun").await;
    // Nothing was written. Should it fail the row is free all the same, and the PUT is under way.
    let _ = tx.commit().await;
    failpoint::reached("put.under_way").await;
    let answer = match begun {
        std::task::Poll::Ready(result) => result,
        std::task::Poll::Pending => put.await,
    };
    failpoint::reached("put.answered").await;
    let outcome = match &answer {
        Ok(delivered) if delivered.verified => "delivered",
        Ok(_) => "unverified",
        Err(cause) => cause.code.as_str(),
    };
    engine.metrics().put(outcome, began.elapsed());
    Ok(Some(answer))
}

async fn note_attempt(engine: &Engine, row: &Row, batch: &OpenBatch) -> Result<bool> {
    retried(|| async {
        let mut tx = engine.database().write().await?;
        if !rows::hold(&mut tx, row.id, row.epoch).await? {
            return Ok(false);
        }
        let recorded = sqlx::query(
            "UPDATE streaming_batch SET attempts = attempts + 1, status = 'IN_PROGRESS', in_doubt = 1 \
             WHERE destination_id = $1 AND number = $2 AND status <> 'SUCCESS'",
        )
        .bind(row.id)
        .bind(batch.number)
        .execute(&mut *tx)
        .await?;
        failpoint::reached("attempt.committing").await;
        tx.commit().await?;
        failpoint::reached("attempt.committed").await;
        Ok(recorded.rows_affected() == 1)
    })
    .await
}
