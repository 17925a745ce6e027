//! How many bytes all runs of this server hold in memory at once.

use std::sync::Arc;

use auditstream_model::limits::STREAMING_BYTES;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};

/// The most that one run can ask for; more is asked for by none.
const MOST: usize = STREAMING_BYTES / 2;

/// What is left. Destinations that fail have half of it at most, so that they never keep the others waiting.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    all: Arc<Semaphore>,
    failing: Arc<Semaphore>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(STREAMING_BYTES)),
            failing: Arc::new(Semaphore::new(STREAMING_BYTES / 2)),
        }
    }
}

/// What a run holds; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    bytes: usize,
    permits: Vec<OwnedSemaphorePermit>,
}

impl Budget {
    /// Waits until there are so many bytes.
    pub(super) async fn take(&self, bytes: usize, failing: bool) -> Result<Share> {
        let bytes = bytes.clamp(1, MOST);
        let count = u32::try_from(bytes).unwrap_or(u32::MAX);
        let mut permits = Vec::with_capacity(2);
        let of = if failing {
            [Some(&self.failing), Some(&self.all)]
        } else {
            [Some(&self.all), None]
        };
        for semaphore in of.into_iter().flatten() {
            let permit = Arc::clone(semaphore).acquire_many_owned(count).await;
            permits.push(permit.map_err(|error| Error::Broken(error.to_string()))?);
        }
        Ok(Share { bytes, permits })
    }
}

impl Share {
    /// Gives back all but so many bytes.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        for permit in &mut self.permits {
            drop(permit.split(surplus));
        }
        self.bytes -= surplus;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn failing_destinations_hold_half_at_most() {
        let budget = Budget::default();
        let mut failing = budget.take(MOST, true).await.unwrap();
        assert!(
            budget.take(1, true).now_or_never().is_none(),
            "the failing half is taken"
        );
        let well = budget.take(MOST, false).now_or_never().unwrap().unwrap();
        assert!(budget.take(1, false).now_or_never().is_none());
        failing.shrink(MOST - 10);
        assert!(
            budget.take(10, false).now_or_never().is_some(),
            "what is given back can be had"
        );
        assert!(budget.take(11, false).now_or_never().is_none());
        drop((failing, well));
        assert_eq!(budget.all.available_permits(), STREAMING_BYTES);
        assert_eq!(budget.failing.available_permits(), STREAMING_BYTES / 2);
    }
}
