//! The attempts after a failed one.

use std::sync::Arc;
use std::time::Duration;

use auditstream_model::FailureCode;

use super::failure::DeliveryFailure;
use super::freeze::OpenBatch;
use super::lease::Lease;
use super::line::Line;
use super::objects::Object;
use super::outcome;
use super::pass::Pass;
use super::wait::Retry;
use crate::Engine;
use crate::aws::AwsProfile;
use crate::destinations::rows::DestinationRow;
use crate::error::Result;

/// The attempts to send one batch.
pub(super) struct Tries {
    retries: u32,
    /// The number of requested runs that this run knows.
    requests: i64,
    followed_region: bool,
    renewed: bool,
}

impl Tries {
    pub(super) fn new(lease: Lease) -> Self {
        Self {
            retries: 0,
            requests: lease.runs_requested,
            followed_region: false,
            renewed: false,
        }
    }
}

/// The result of a failed attempt.
pub(super) enum Tried {
    Again,
    /// The run ends.
    Enough,
}

impl Pass<'_> {
    /// Records a failed attempt, and waits for the next one. While it waits, it uses neither memory
    /// nor a run slot.
    pub(super) async fn tried(
        &mut self,
        line: Line,
        batch: &mut OpenBatch,
        failure: &DeliveryFailure,
        tries: &mut Tries,
        object: &mut Option<Arc<Object>>,
    ) -> Result<Tried> {
        let Line {
            row, connector, uplink, ..
        } = line;
        let (engine, profile) = (self.engine, &connector.profile);
        batch.mark_in_doubt(failure.in_doubt);
        if failure.too_slow {
            uplink.too_slow();
        }
        drop(uplink);
        // Once per batch: the store may refuse credentials whose lifetime it knows better.
        if !tries.renewed && failure.credentials_refused && profile.can_renew() {
            tries.renewed = true;
            engine.aws().sign_out(profile).await;
            return Ok(Tried::Again);
        }
        // Once per batch: two regions that name each other must not loop forever.
        if !tries.followed_region && follow_region(engine, &row, profile, failure)? {
            tries.followed_region = true;
            return Ok(Tried::Again);
        }
        self.ahead = None;
        *object = None;
        before_failure(engine, &row, batch, profile, failure).await;
        tries.retries += 1;
        let backoff = connector.connector.spec.backoff;
        if !failure.transient || tries.retries > backoff.retry_count() {
            outcome::failed(engine, &row, Some(&*batch), failure).await?;
            return Ok(Tried::Enough);
        }
        let since = outcome::attempt_failed(engine, &row, batch, failure).await?;
        let delay = Duration::from_millis(backoff.delay(tries.retries, rand::random()));
        let observations = self.slot.observations();
        let retry = Retry {
            engine,
            observations: &observations,
            lease: self.lease,
            row: &row,
            batch,
            failure,
        };
        tokio::select! {
            returned = self.slot.lend(retry.wait(delay, &mut tries.requests, since)) => returned??,
            _ = self.stopping.changed() => return Ok(Tried::Enough),
        }
        Ok(Tried::Again)
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
