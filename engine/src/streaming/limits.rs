//! What the runs of this server share: bytes in memory, and places.

use std::sync::Arc;

use auditstream_model::limits::{STREAMING_BYTES, STREAMING_RUNS};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};

/// The most that one run can ask for; more is asked for by none.
const MOST: usize = STREAMING_BYTES / 2;

/// What is left. Destinations that fail have half of it at most, so that they never keep the others waiting.
#[derive(Clone, Debug)]
struct Halves {
    all: Arc<Semaphore>,
    failing: Arc<Semaphore>,
}

impl Halves {
    fn of(all: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            failing: Arc::new(Semaphore::new(all / 2)),
        }
    }

    /// Where so many are to be taken, in this order.
    fn wanted(&self, failing: bool) -> impl Iterator<Item = &Arc<Semaphore>> {
        let half = failing.then_some(&self.failing);
        half.into_iter().chain([&self.all])
    }

    /// Waits until there are so many.
    async fn take(&self, count: u32, failing: bool) -> Result<Vec<OwnedSemaphorePermit>> {
        let mut permits = Vec::with_capacity(2);
        for semaphore in self.wanted(failing) {
            let permit = Arc::clone(semaphore).acquire_many_owned(count).await;
            permits.push(permit.map_err(|error| Error::Broken(error.to_string()))?);
        }
        Ok(permits)
    }
}

/// The bytes that all runs of this server hold in memory at once.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Halves);

impl Default for Budget {
    fn default() -> Self {
        Self(Halves::of(STREAMING_BYTES))
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
        let permits = self.0.take(count, failing).await?;
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

/// The places of this server's runs.
#[derive(Clone, Debug)]
pub(super) struct Places(Halves);

impl Default for Places {
    fn default() -> Self {
        Self(Halves::of(STREAMING_RUNS))
    }
}

impl Places {
    /// A place, if one is free.
    pub(super) fn free(&self, failing: bool) -> Option<Place> {
        let taken = self
            .0
            .wanted(failing)
            .map(|semaphore| Arc::clone(semaphore).try_acquire_owned());
        let permits = taken.collect::<Result<_, _>>().ok()?;
        Some(Place {
            of: self.clone(),
            permits,
        })
    }
}

/// The place of a run; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: Places,
    permits: Vec<OwnedSemaphorePermit>,
}

impl Place {
    /// Leaves the place to others for as long as a wait lasts, and then waits for one of those that failing destinations have.
    pub(super) async fn leave(&mut self, wait: impl Future<Output = ()>) -> Result<()> {
        self.permits.clear();
        wait.await;
        self.permits = self.of.0.take(1, true).await?;
        Ok(())
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
        assert_eq!(budget.0.all.available_permits(), STREAMING_BYTES);
        assert_eq!(budget.0.failing.available_permits(), STREAMING_BYTES / 2);
    }
}
