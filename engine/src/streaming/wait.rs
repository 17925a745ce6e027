//! The wait between two attempts. It ends early when an admin changes something: a pause or an edit
//! ends the run or applies to the next attempt, and a requested run makes the next attempt at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::failure::DeliveryFailure;
use super::freeze::OpenBatch;
use super::lease::{Lease, Observed};
use super::outcome;
use crate::Engine;
use crate::database::now;
use crate::destinations::rows::DestinationRow;
use crate::error::Result;

/// The destinations that this server has leased, by their ids, as the scheduler last saw them. The
/// scheduler reads them with one statement for all runs that wait.
#[derive(Clone, Debug)]
pub(super) struct Observations(watch::Sender<Arc<HashMap<i64, Observed>>>);

impl Default for Observations {
    fn default() -> Self {
        Self(watch::Sender::new(Arc::default()))
    }
}

impl Observations {
    /// Returns whether a run waits for observations.
    pub(super) fn wanted(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub(super) fn publish(&self, observed: HashMap<i64, Observed>) {
        self.0.send_replace(Arc::new(observed));
    }

    /// Waits for `delay`; less if the destination is changed, or a further run of it is requested.
    /// `requests` is the number of requested runs that the run knows, and is brought up to date.
    async fn wait(&self, lease: Lease, requests: &mut i64, delay: Duration) {
        let mut observations = self.0.subscribe();
        let elapsed = tokio::time::sleep(delay);
        tokio::pin!(elapsed);
        loop {
            tokio::select! {
                () = &mut elapsed => return,
                _ = observations.changed() => {}
            }
            let observed = observations.borrow_and_update().get(&lease.destination_id).copied();
            let Some(observed) = observed else { return };
            let requested = observed.runs_requested > *requests;
            *requests = observed.runs_requested;
            if requested || observed.epoch != lease.epoch || observed.active == 0 {
                return;
            }
        }
    }
}

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
