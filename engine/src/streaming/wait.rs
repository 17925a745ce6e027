//! The wait between two attempts. It ends early when an admin changes something: a pause or an edit
//! ends the run or applies to the next attempt, and a requested run makes the next attempt at once.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::DeliveryFailure;
use super::freeze::OpenBatch;
use super::lease::Lease;
use super::observations::Observations;
use super::outcome;
use crate::Engine;
use crate::database::now;
use crate::destinations::rows::DestinationRow;
use crate::error::Result;

/// A run that waits for its next attempt.
pub(super) struct Retry<'a> {
    pub(super) engine: &'a Engine,
    pub(super) observations: &'a Observations,
    pub(super) lease: Lease,
    pub(super) row: &'a DestinationRow,
    pub(super) batch: &'a OpenBatch,
    pub(super) failure: &'a DeliveryFailure,
}

impl Retry<'_> {
    /// Waits before a retry, as [`Observations::wait`]. If the batch has been failing for too long
    /// meanwhile, the destination fails; `since` is when it began to, `None` if the destination
    /// fails already.
    pub(super) async fn wait(&self, delay: Duration, requests: &mut i64, since: Option<i64>) -> Result<()> {
        let until = Instant::now() + delay;
        let left = since.and_then(|since| u64::try_from(since + outcome::FAILS_AFTER - now()).ok());
        if let Some(left) = left.map(Duration::from_millis).filter(|left| *left < delay) {
            let began = Instant::now();
            self.observations.wait(self.lease, requests, left).await;
            if began.elapsed() < left {
                return Ok(());
            }
            outcome::attempt_failed(self.engine, self.row, self.batch, self.failure).await?;
        }
        let rest = until.saturating_duration_since(Instant::now());
        self.observations.wait(self.lease, requests, rest).await;
        Ok(())
    }
}
