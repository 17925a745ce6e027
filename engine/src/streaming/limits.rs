//! The limits that the runs of this server share: bytes in memory, and run slots.

use std::sync::Arc;

use auditstream_model::limits::{MAX_BATCH_BYTES, STREAMING_BYTES, STREAMING_RUNS};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::content::working_bytes;
use super::wait::Observations;
use crate::error::{Error, Result};

/// The largest grant: all that failing destinations can have.
const MAX_GRANT: usize = STREAMING_BYTES / 2;

// A batch of any size gets its memory, also while its destination fails.
const _: () = assert!(working_bytes(MAX_BATCH_BYTES as usize) <= MAX_GRANT);

/// A semaphore of which failing destinations can have at most half, so that they never keep the
/// others waiting.
#[derive(Clone, Debug)]
struct FairSemaphore {
    all: Arc<Semaphore>,
    failing: Arc<Semaphore>,
}

impl FairSemaphore {
    fn new(permits: usize) -> Self {
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

    async fn acquire(&self, count: u32, failing: bool) -> Result<Vec<OwnedSemaphorePermit>> {
        let mut permits = Vec::with_capacity(2);
        for semaphore in self.required(failing) {
            let permit = Arc::clone(semaphore).acquire_many_owned(count).await;
            permits.push(permit.map_err(|error| Error::Broken(error.to_string()))?);
        }
        Ok(permits)
    }

    fn try_acquire(&self, failing: bool) -> Option<Vec<OwnedSemaphorePermit>> {
        let permits = self
            .required(failing)
            .map(|semaphore| Arc::clone(semaphore).try_acquire_owned());
        permits.collect::<Result<_, _>>().ok()
    }
}

#[derive(Clone, Debug)]
pub(super) struct MemoryBudget(FairSemaphore);

impl Default for MemoryBudget {
    fn default() -> Self {
        Self(FairSemaphore::new(STREAMING_BYTES))
    }
}

impl MemoryBudget {
    /// Waits until `bytes` are available, or the largest grant if they exceed it.
    pub(super) async fn acquire(&self, bytes: usize, failing: bool) -> Result<MemoryGrant> {
        let bytes = bytes.clamp(1, MAX_GRANT);
        let count = u32::try_from(bytes).unwrap_or(u32::MAX);
        let permits = self.0.acquire(count, failing).await?;
        Ok(MemoryGrant { bytes, permits })
    }
}

#[derive(Debug)]
pub(super) struct MemoryGrant {
    bytes: usize,
    permits: Vec<OwnedSemaphorePermit>,
}

impl MemoryGrant {
    /// Grows to at least `bytes`, in few steps, without waiting. Returns `false` if less is
    /// available. It never needs more than `most`.
    pub(super) fn try_grow(&mut self, bytes: usize, most: usize) -> bool {
        if bytes <= self.bytes {
            return true;
        }
        let wanted = bytes.max(2 * self.bytes).min(most).clamp(1, MAX_GRANT);
        let missing = u32::try_from(wanted.saturating_sub(self.bytes)).unwrap_or(u32::MAX);
        let more: Result<Vec<_>, _> = self
            .permits
            .iter()
            .map(|permit| Arc::clone(permit.semaphore()).try_acquire_many_owned(missing))
            .collect();
        let Ok(more) = more else { return false };
        for (permit, more) in self.permits.iter_mut().zip(more) {
            permit.merge(more);
        }
        self.bytes = self.bytes.max(wanted);
        self.bytes >= bytes.min(most).min(MAX_GRANT)
    }

    /// Returns everything but `bytes` to the budget.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        for permit in &mut self.permits {
            drop(permit.split(surplus));
        }
        self.bytes -= surplus;
    }
}

#[derive(Clone, Debug)]
pub(super) struct RunSlots {
    slots: FairSemaphore,
    memory: MemoryBudget,
    observations: Observations,
}

impl Default for RunSlots {
    fn default() -> Self {
        Self {
            slots: FairSemaphore::new(STREAMING_RUNS),
            memory: MemoryBudget::default(),
            observations: Observations::default(),
        }
    }
}

impl RunSlots {
    /// Returns the news for the runs that wait without a slot.
    pub(super) fn observations(&self) -> &Observations {
        &self.observations
    }

    pub(super) fn try_acquire(&self, failing: bool) -> Option<RunSlot> {
        let permits = self.slots.try_acquire(failing)?;
        Some(RunSlot {
            limits: self.clone(),
            permits,
        })
    }
}

#[derive(Debug)]
pub(super) struct RunSlot {
    limits: RunSlots,
    permits: Vec<OwnedSemaphorePermit>,
}

impl RunSlot {
    pub(super) fn memory(&self) -> &MemoryBudget {
        &self.limits.memory
    }

    pub(super) fn observations(&self) -> Observations {
        self.limits.observations.clone()
    }

    /// Frees the slot while `wait` lasts, and then waits for one of the slots that failing
    /// destinations can have.
    pub(super) async fn lend<T>(&mut self, wait: impl Future<Output = T>) -> Result<T> {
        self.permits.clear();
        let waited = wait.await;
        self.permits = self.limits.slots.acquire(1, true).await?;
        Ok(waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn failing_destinations_get_at_most_half_of_the_memory() {
        let budget = MemoryBudget::default();
        let mut failing = budget.acquire(MAX_GRANT, true).await.unwrap();
        assert!(
            budget.acquire(1, true).now_or_never().is_none(),
            "the failing half is in use"
        );
        let healthy = budget.acquire(MAX_GRANT, false).now_or_never().unwrap().unwrap();
        assert!(budget.acquire(1, false).now_or_never().is_none());
        failing.shrink(MAX_GRANT - 10);
        assert!(
            budget.acquire(10, false).now_or_never().is_some(),
            "returned memory is available again"
        );
        assert!(budget.acquire(11, false).now_or_never().is_none());
        drop((failing, healthy));
        let mut small = budget.acquire(1_000, true).await.unwrap();
        assert!(small.try_grow(1_500, MAX_GRANT), "it doubles");
        assert_eq!(budget.0.failing.available_permits(), STREAMING_BYTES / 2 - 2_000);
        let other = budget.acquire(MAX_GRANT - 2_500, true).await.unwrap();
        assert!(!small.try_grow(3_000, MAX_GRANT), "it does not wait");
        assert!(small.try_grow(2_500, 2_500));
        drop((small, other));
        assert_eq!(budget.0.all.available_permits(), STREAMING_BYTES);
        assert_eq!(budget.0.failing.available_permits(), STREAMING_BYTES / 2);
    }
}
