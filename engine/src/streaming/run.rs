//! One pass over one destination: batch after batch, up to the last event that the trail had when
//! the pass began.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use auditstream_model::{Code, FailureCode, Sequence};
use futures::FutureExt as _;
use tokio::sync::watch;

use super::attempt::{AttemptOutcome, attempt};
use super::failure::DeliveryFailure;
use super::freeze::{self, OpenBatch};
use super::lease::{Due, Lease, Replica};
use super::limits::RunSlot;
use super::outcome::{self, Moved};
use super::wait::Retry;
use crate::aws::{AwsProfile, UplinkPlace};
use crate::connectors::ConnectorWithSecrets;
use crate::continuity::gaps;
use crate::destinations::rows::{self, DestinationRow};
use crate::error::{Error, Result};
use crate::{Engine, connectors, continuity};

const REST_AFTER_ERROR: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Batch,
    Stop,
    /// The run has ended, and its last transaction released the lease.
    Ended,
}

/// Whether the lease is still to be released.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Leased,
    Released,
}

/// Does nothing if another server claims the destination first.
pub(super) async fn run(
    engine: &Engine,
    replica: Replica,
    due: Due,
    mut slot: RunSlot,
    stopping: watch::Receiver<bool>,
) {
    let destination_id = due.destination_id;
    if let Err(error) = claim_and_pass(engine, replica, due, &mut slot, stopping).await {
        tracing::error!(destination_id, %error, "a run ended with an error");
        tokio::time::sleep(REST_AFTER_ERROR).await;
    }
}

async fn claim_and_pass(
    engine: &Engine,
    replica: Replica,
    due: Due,
    slot: &mut RunSlot,
    stopping: watch::Receiver<bool>,
) -> Result<()> {
    let Some(lease) = replica.claim(engine.database(), due.destination_id).await? else {
        return Ok(());
    };
    engine.metrics().run(due.abandoned);
    let stopped = stopping.clone();
    let passed = match AssertUnwindSafe(pass(engine, lease, slot, stopping))
        .catch_unwind()
        .await
    {
        Ok(passed) => passed,
        Err(panic) => panicked(engine, lease, &panic_message(panic))
            .await
            .map(|()| Ended::Leased),
    };
    // A run that was interrupted by the database or by a stop keeps its lease, which makes it due
    // again immediately: here once the database responds, elsewhere once this server is gone.
    match passed {
        Ok(Ended::Released) | Err(Error::Database(_) | Error::InDoubt(_)) => {}
        // Numbering is closed, or the database is busy.
        Err(Error::Refused(ref problem)) if problem.code == Code::Unavailable => {}
        _ if *stopped.borrow() => {}
        _ => replica.release(engine.database(), lease).await?,
    }
    passed.map(drop)
}

fn panic_message(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => other
            .downcast::<&str>()
            .map_or_else(|_| String::from("without a message"), |text| (*text).to_owned()),
    }
}

/// Records a panic as a failed run, so that it is visible, and retried at the next tick rather than
/// immediately.
async fn panicked(engine: &Engine, lease: Lease, message: &str) -> Result<()> {
    tracing::error!(destination_id = lease.destination_id, message, "a run panicked");
    let Some(row) = still_ours(engine, lease).await? else {
        return Ok(());
    };
    let batch = freeze::open_batch(engine, row.id).await?;
    let failure = DeliveryFailure::new(
        FailureCode::Internal,
        "An internal error occurred on this server while it was streaming.",
        "The server's log has the details. It is retried at the next tick.",
    );
    outcome::failed(engine, &row, batch.as_ref(), &failure).await
}

/// Returns `None` once the destination has been paused, moved, or claimed by another server.
async fn still_ours(engine: &Engine, lease: Lease) -> Result<Option<DestinationRow>> {
    let row = rows::by_id(engine, lease.destination_id).await?;
    Ok(row.filter(|row| row.is_active() && row.epoch == lease.epoch))
}

async fn pass(
    engine: &Engine,
    mut lease: Lease,
    slot: &mut RunSlot,
    mut stopping: watch::Receiver<bool>,
) -> Result<Ended> {
    let Some(first) = still_ours(engine, lease).await? else {
        return Ok(Ended::Leased);
    };
    lease.up_to = sqlx::query_scalar("SELECT last_sequence FROM account WHERE id = $1")
        .bind(first.account_id)
        .fetch_one(engine.database().read())
        .await?;
    loop {
        let Some(row) = still_ours(engine, lease).await? else {
            return Ok(Ended::Leased);
        };
        let Some(cursor) = row.cursor.filter(|_| !*stopping.borrow()) else {
            return Ok(Ended::Leased);
        };
        let next = match freeze::open_batch(engine, row.id).await? {
            None if cursor >= lease.up_to => outcome::caught_up(engine, lease, &row)
                .await
                .map(|ended| if ended { Next::Ended } else { Next::Stop }),
            _ if !continuity::bucket::confirms(engine, &row).await? => return Ok(Ended::Leased),
            Some(batch) => deliver(engine, lease, batch, slot, &mut stopping).await,
            None => advance(engine, slot, &row, cursor, lease.up_to).await,
        };
        match next {
            Ok(Next::Batch) => {}
            Ok(Next::Stop) => return Ok(Ended::Leased),
            Ok(Next::Ended) => return Ok(Ended::Released),
            Err(error @ (Error::Broken(_) | Error::Stored(_))) => {
                let failure = DeliveryFailure::blocked(
                    FailureCode::CannotBuild,
                    error.to_string(),
                    "See the server's log; if data is missing, restore the database from a backup.",
                );
                outcome::failed(engine, &row, None, &failure).await?;
                return Ok(Ended::Leased);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Freezes the batch after the cursor, which ends before a declared gap, or passes the gap.
async fn advance(
    engine: &Engine,
    slot: &mut RunSlot,
    row: &DestinationRow,
    cursor: Sequence,
    up_to: Sequence,
) -> Result<Next> {
    let advanced = match gaps::next_gap(engine, row.account_id, cursor).await? {
        Some(gap) if gap.first <= cursor + 1 => gaps::pass_gap(engine, row, cursor, &gap).await?,
        gap => {
            let up_to = gap.map_or(up_to, |gap| up_to.min(gap.first - 1));
            freeze::freeze(engine, slot.memory(), row, cursor, up_to).await?
        }
    };
    Ok(if advanced { Next::Batch } else { Next::Stop })
}

/// While it waits between attempts, it uses neither memory nor a run slot.
async fn deliver(
    engine: &Engine,
    lease: Lease,
    mut batch: OpenBatch,
    slot: &mut RunSlot,
    stopping: &mut watch::Receiver<bool>,
) -> Result<Next> {
    let mut retries = 0;
    let mut requests = lease.runs_requested;
    let mut followed_region = false;
    let mut renewed = false;
    loop {
        // Read again for each attempt, so that a mistyped bucket is corrected by editing it.
        let Some(row) = still_ours(engine, lease).await? else {
            return Ok(Next::Stop);
        };
        let connector = match unlock(engine, &row).await? {
            Ok(connector) => connector,
            Err(failure) => {
                outcome::failed(engine, &row, Some(&batch), &failure).await?;
                return Ok(Next::Stop);
            }
        };
        let Some(uplink) = enter_uplink(engine, slot, &connector.profile, stopping).await? else {
            return Ok(Next::Stop);
        };
        let failure = match attempt(engine, slot.memory(), &row, &mut batch, &connector.profile).await? {
            AttemptOutcome::LostClaim => return Ok(Next::Stop),
            AttemptOutcome::Delivered(delivered, note) => {
                uplink.delivered();
                let moved = outcome::delivered(engine, lease, &row, &batch, &delivered, note.as_deref()).await?;
                return Ok(match moved {
                    Moved::Further => Next::Batch,
                    Moved::Ended => Next::Ended,
                    Moved::No => Next::Stop,
                });
            }
            AttemptOutcome::Failed(failure) => failure,
        };
        batch.mark_in_doubt(failure.in_doubt);
        if failure.too_slow {
            uplink.too_slow();
        }
        drop(uplink);
        // Once per batch: the store may refuse credentials whose lifetime it knows better.
        if !renewed && failure.credentials_refused && connector.profile.can_renew() {
            renewed = true;
            engine.aws().sign_out(&connector.profile).await;
            continue;
        }
        // Once per batch: two regions that name each other must not loop forever.
        if !followed_region && follow_region(engine, &row, &connector.profile, &failure)? {
            followed_region = true;
            continue;
        }
        before_failure(engine, &row, &batch, &connector.profile, &failure).await;
        retries += 1;
        let backoff = connector.connector.spec.backoff;
        if !failure.transient || retries > backoff.retry_count() {
            outcome::failed(engine, &row, Some(&batch), &failure).await?;
            return Ok(Next::Stop);
        }
        let since = outcome::attempt_failed(engine, &row, &batch, &failure).await?;
        let delay = Duration::from_millis(backoff.delay(retries, rand::random()));
        let retry = Retry {
            engine,
            observations: &slot.observations(),
            lease,
            row: &row,
            batch: &batch,
            failure: &failure,
        };
        tokio::select! {
            returned = slot.lend(retry.wait(delay, &mut requests, since)) => returned??,
            _ = stopping.changed() => return Ok(Next::Stop),
        }
    }
}

/// Waits for the line to the store, without a run slot. Returns `None` if the server stops
/// meanwhile.
async fn enter_uplink(
    engine: &Engine,
    slot: &mut RunSlot,
    profile: &AwsProfile,
    stopping: &mut watch::Receiver<bool>,
) -> Result<Option<UplinkPlace>> {
    let uplink = engine.aws().uplink(profile);
    if let Some(place) = uplink.try_enter() {
        return Ok(Some(place));
    }
    let mut place = None;
    let enter = async { place = uplink.enter().await };
    tokio::select! {
        returned = slot.lend(enter) => returned?,
        _ = stopping.changed() => return Ok(None),
    }
    Ok(place)
}

async fn unlock(engine: &Engine, row: &DestinationRow) -> Result<Result<ConnectorWithSecrets, DeliveryFailure>> {
    match connectors::unlock(engine, row.account_id, &row.connector).await {
        Ok(Some(connector)) => Ok(Ok(connector)),
        Ok(None) => Ok(Err(DeliveryFailure::blocked(
            FailureCode::Connector,
            format!("The AWS connector “{}” does not exist.", row.connector),
            "Edit the destination and select another connector.",
        ))),
        // The events are intact: this is not a batch that cannot be built.
        Err(Error::Broken(why)) => Ok(Err(DeliveryFailure::new(
            FailureCode::Connector,
            format!(
                "The secrets of the AWS connector “{}” cannot be decrypted: {why}.",
                row.connector
            ),
            "Start every server with the current AUDITSTREAM_MASTER_KEY, not with one that was retired. If the key is \
             lost, enter the connector's secrets again.",
        ))),
        Err(error) => Err(error),
    }
}

/// Returns whether the region is new, so that an immediate retry can succeed.
fn follow_region(
    engine: &Engine,
    row: &DestinationRow,
    profile: &AwsProfile,
    failure: &DeliveryFailure,
) -> Result<bool> {
    match (failure.failure.code, &failure.region) {
        (FailureCode::Region, Some(region)) => {
            let bucket = row.spec.get()?.bucket.as_str();
            Ok(engine.aws().remember_region(profile, bucket, region))
        }
        _ => Ok(false),
    }
}

/// Logs a failure, and discards credentials that were refused.
async fn before_failure(
    engine: &Engine,
    row: &DestinationRow,
    batch: &OpenBatch,
    profile: &AwsProfile,
    failure: &DeliveryFailure,
) {
    if failure.failure.code == FailureCode::Credentials {
        engine.aws().sign_out(profile).await;
    }
    tracing::warn!(
        destination = row.identifier,
        batch = batch.number,
        code = failure.failure.code.as_str(),
        message = failure.failure.message,
        "a batch was not delivered"
    );
}
