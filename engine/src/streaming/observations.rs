//! The news for the runs that wait without a slot.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::lease::{Lease, Observed};

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
    pub(super) async fn wait(&self, lease: Lease, requests: &mut i64, delay: Duration) {
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
