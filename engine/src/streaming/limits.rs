//! The memory that the runs of this server share, and the semaphore that limits it and their slots.

use std::sync::Arc;

use auditstream_model::limits::{MAX_BATCH_BYTES, STREAMING_BYTES};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};

/// The largest grant: all that failing destinations can have.
const MAX_GRANT: usize = STREAMING_BYTES / 2;

/// Returns the bytes that a content of `bytes` keeps in memory while it is compressed, which leaves
/// less than half of most events.
pub(super) const fn working_bytes(bytes: usize) -> usize {
    bytes + bytes / 2
}

// A batch of any size gets its memory, also while its destination fails.
const _: () = assert!(working_bytes(MAX_BATCH_BYTES as usize) <= MAX_GRANT);

/// A semaphore of which failing destinations can have at most half, so that they never keep the
/// others waiting.
#[derive(Clone, Debug)]
pub(super) struct FairSemaphore {
    all: Arc<Semaphore>,
    failing: Arc<Semaphore>,
}

impl FairSemaphore {
    pub(super) fn new(permits: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(permits)),
            failing: Arc::new(Semaphore::new(permits / 2)),
        }
    }

    /// Returns the semaphores to acquire, in this order.
    fn required(&self, failing: bool) -> impl Iterator<Item = &Arc<Semaphore>> {
        let half = failing.then_some(&self.failing);
        half.into_iter().chain([&self.all])
    }

    pub(super) async fn acquire(&self, count: u32, failing: bool) -> Result<Vec<OwnedSemaphorePermit>> {
        let mut permits = Vec::with_capacity(2);
        for semaphore in self.required(failing) {
            let permit = Arc::clone(semaphore).acquire_many_owned(count).await;
            permits.push(permit.map_err(|error| Error::Broken(error.to_string()))?);
        }
        Ok(permits)
    }

    pub(super) fn try_acquire(&self, failing: bool) -> Option<Vec<OwnedSemaphorePermit>> {
        let permits = self
            .required(failing)
            .map(|semaphore| Arc::clone(semaphore).try_acquire_owned());
        permits.collect::<Result<_, _>>().ok()
    }
}

/// The use of memory, which decides how much of it there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemoryUse {
    /// For a batch that is to be sent.
    Healthy,
    /// For a batch of a failing destination.
    Failing,
    /// For a batch that is to be sent later: only memory that others are unlikely to need.
    Spare,
}

#[derive(Clone, Debug)]
pub(super) struct MemoryBudget(FairSemaphore);

impl Default for MemoryBudget {
    fn default() -> Self {
        Self(FairSemaphore::new(STREAMING_BYTES))
    }
}

impl MemoryBudget {
    /// Bytes that are left for batches that are to be sent at once.
    pub(super) const RESERVE: usize = STREAMING_BYTES / 4;

    /// Waits until `bytes` are available, or the largest grant if they exceed it. Returns `None` if
    /// they cannot be spared.
    pub(super) async fn acquire(&self, bytes: usize, memory_use: MemoryUse) -> Result<Option<MemoryGrant>> {
        let bytes = bytes.clamp(1, MAX_GRANT);
        let count = u32::try_from(bytes).unwrap_or(u32::MAX);
        let permits = match memory_use {
            MemoryUse::Healthy => self.0.acquire(count, false).await?,
            MemoryUse::Failing => self.0.acquire(count, true).await?,
            MemoryUse::Spare if self.available() < bytes + Self::RESERVE => return Ok(None),
            MemoryUse::Spare => match Arc::clone(&self.0.all).try_acquire_many_owned(count) {
                Ok(permit) => vec![permit],
                Err(_) => return Ok(None),
            },
        };
        Ok(Some(MemoryGrant { bytes, permits }))
    }

    /// Returns the bytes that are not in use.
    pub(super) fn available(&self) -> usize {
        self.0.all.available_permits()
    }
}

#[derive(Debug)]
pub(super) struct MemoryGrant {
    bytes: usize,
    permits: Vec<OwnedSemaphorePermit>,
}

impl MemoryGrant {
    /// Returns everything but `bytes` to the budget.
    pub(super) fn shrink(&mut self, bytes: usize) {
        drop(self.split(self.bytes.saturating_sub(bytes)));
    }

    /// Splits off up to `bytes`.
    pub(super) fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        let permits = self.permits.iter_mut().filter_map(|permit| permit.split(bytes));
        Self {
            bytes,
            permits: permits.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MemoryUse::{Failing, Healthy, Spare};
    use futures::FutureExt;

    async fn acquire(budget: &MemoryBudget, bytes: usize, memory_use: MemoryUse) -> MemoryGrant {
        budget.acquire(bytes, memory_use).await.unwrap().unwrap()
    }

    fn waits(budget: &MemoryBudget, bytes: usize, memory_use: MemoryUse) -> bool {
        budget.acquire(bytes, memory_use).now_or_never().is_none()
    }

    #[tokio::test]
    async fn failing_destinations_get_at_most_half_of_the_memory() {
        let budget = MemoryBudget::default();
        let mut failing = acquire(&budget, MAX_GRANT, Failing).await;
        assert!(waits(&budget, 1, Failing), "the failing half is in use");
        let healthy = acquire(&budget, MAX_GRANT, Healthy).await;
        assert!(waits(&budget, 1, Healthy));
        failing.shrink(MAX_GRANT - 10);
        assert!(!waits(&budget, 10, Healthy), "returned memory is available again");
        assert!(waits(&budget, 11, Healthy));
        drop((failing, healthy));
        let mut whole = acquire(&budget, 2_500, Failing).await;
        let part = whole.split(500);
        drop(whole);
        assert_eq!(budget.available(), STREAMING_BYTES - 500);
        drop(part);
        assert_eq!(budget.available(), STREAMING_BYTES);
        assert_eq!(budget.0.failing.available_permits(), STREAMING_BYTES / 2);
    }

    #[tokio::test]
    async fn a_later_batch_gets_only_memory_that_others_are_unlikely_to_need() {
        let budget = MemoryBudget::default();
        let first = acquire(&budget, MAX_GRANT, Healthy).await;
        let spare = acquire(&budget, MAX_GRANT - MemoryBudget::RESERVE, Spare).await;
        assert!(budget.acquire(1, Spare).await.unwrap().is_none());
        assert!(!waits(&budget, MemoryBudget::RESERVE, Healthy));
        drop((first, spare));
        assert!(budget.acquire(MAX_GRANT, Spare).await.unwrap().is_some());
    }
}
