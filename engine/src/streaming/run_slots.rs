//! The run slots of this server, with the state that its runs share.

use auditstream_model::limits::STREAMING_RUNS;
use tokio::sync::OwnedSemaphorePermit;

use super::ends::Ends;
use super::limits::FairSemaphore;
use super::objects::Objects;
use super::observations::Observations;
use crate::error::Result;

#[derive(Clone, Debug)]
pub(super) struct RunSlots {
    slots: FairSemaphore,
    objects: Objects,
    ends: Ends,
    observations: Observations,
}

impl Default for RunSlots {
    fn default() -> Self {
        Self {
            slots: FairSemaphore::new(STREAMING_RUNS),
            objects: Objects::default(),
            ends: Ends::default(),
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
    pub(super) fn objects(&self) -> &Objects {
        &self.limits.objects
    }

    pub(super) fn ends(&self) -> &Ends {
        &self.limits.ends
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
