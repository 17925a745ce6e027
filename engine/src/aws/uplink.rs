//! How many uploads to one store are in flight at once: halved when the line is too slow for them,
//! and increased by one after as many deliveries as there are places.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use auditstream_model::limits::STREAMING_RUNS;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Debug)]
pub(crate) struct Uplink {
    places: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// Places that are to be removed once they are free.
    surplus: usize,
    /// Deliveries since the limit last changed.
    deliveries: usize,
    reduced: Option<Instant>,
}

/// The permission for one upload.
#[derive(Debug)]
pub(crate) struct UplinkPlace {
    uplink: Arc<Uplink>,
    began: Instant,
    permit: Option<OwnedSemaphorePermit>,
}

impl Default for Uplink {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(STREAMING_RUNS)),
            state: Mutex::new(State {
                limit: STREAMING_RUNS,
                surplus: 0,
                deliveries: 0,
                reduced: None,
            }),
        }
    }
}

impl Uplink {
    /// Returns a place if one is free.
    pub(crate) fn try_enter(self: &Arc<Self>) -> Option<UplinkPlace> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(self.place(permit))
    }

    /// Waits for a place.
    pub(crate) async fn enter(self: &Arc<Self>) -> Option<UplinkPlace> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.places).acquire_owned().await.ok()?;
        Some(self.place(permit))
    }

    fn place(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> UplinkPlace {
        UplinkPlace {
            uplink: Arc::clone(self),
            began: Instant::now(),
            permit: Some(permit),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UplinkPlace {
    /// Records an upload that the line carried.
    pub(crate) fn delivered(&self) {
        let mut state = self.uplink.state();
        if state.limit == STREAMING_RUNS {
            return;
        }
        state.deliveries += 1;
        if state.deliveries >= state.limit {
            state.deliveries = 0;
            state.limit += 1;
            if state.surplus > 0 {
                state.surplus -= 1;
            } else {
                self.uplink.places.add_permits(1);
            }
        }
    }

    /// Records an upload for which the line was too slow. Uploads that shared the line with it
    /// reduce their number only once. At least one remains.
    pub(crate) fn too_slow(&self) {
        let mut state = self.uplink.state();
        if state.reduced.is_some_and(|reduced| self.began <= reduced) {
            return;
        }
        let taken = (state.limit + state.surplus).saturating_sub(self.uplink.places.available_permits());
        let limit = (taken / 2).clamp(1, state.limit);
        let removed = state.limit - limit;
        let forgotten = self.uplink.places.forget_permits(removed);
        state.limit = limit;
        state.surplus += removed - forgotten;
        state.deliveries = 0;
        state.reduced = Some(Instant::now());
        tracing::warn!(
            limit,
            "the line to a store is too slow; fewer uploads are in flight at once"
        );
    }
}

impl Drop for UplinkPlace {
    fn drop(&mut self) {
        let mut state = self.uplink.state();
        if state.surplus > 0
            && let Some(permit) = self.permit.take()
        {
            state.surplus -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(uplink: &Uplink) -> usize {
        uplink.places.available_permits()
    }

    #[test]
    fn uploads_that_time_out_together_halve_their_number_once_and_deliveries_restore_it() {
        let uplink = Arc::new(Uplink::default());
        let mut places: Vec<UplinkPlace> = (0..8).filter_map(|_| uplink.try_enter()).collect();
        for place in &places {
            place.too_slow();
        }
        assert_eq!(uplink.state().limit, 4);
        places.truncate(4);
        assert!(uplink.try_enter().is_none(), "four are still in flight");
        places.pop();
        let fifth = uplink.try_enter();
        assert!(fifth.is_some() && uplink.try_enter().is_none());
        for _ in 0..4 {
            fifth.as_ref().unwrap().delivered();
        }
        assert_eq!((uplink.state().limit, free(&uplink)), (5, 1));
        drop((places, fifth));
        assert_eq!(free(&uplink), 5);
    }

    #[test]
    fn one_upload_always_remains() {
        let uplink = Arc::new(Uplink::default());
        for _ in 0..3 {
            let place = uplink.try_enter().unwrap();
            place.too_slow();
        }
        assert_eq!((uplink.state().limit, free(&uplink)), (1, 1));
    }
}
