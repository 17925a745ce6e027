//! The places of searches: how many run at once, and the queue of those that wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auditstream_model::Code;
use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// Searches that wait, over all accounts; an account has at most half of them.
const QUEUE: usize = 16;
/// Searches of one caller that wait.
const QUEUE_OF_CALLER: usize = 4;

/// The caller of a search: one person or token of an account. It has at most one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) account_id: i64,
    pub(crate) name: String,
}

/// All places. An account has at most half of them, but at least one.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    count: usize,
    running: Vec<Caller>,
    waiting: VecDeque<(Caller, oneshot::Sender<Place>)>,
}

/// A place of a search that runs. Dropping it gives the place to the next search that waits.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    caller: Caller,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            count,
            running: Vec::new(),
            waiting: VecDeque::new(),
        })))
    }

    /// Waits for a place, in the order of the calls.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if the queue is full, or if the caller waited longer than `patience`.
    pub(super) async fn take(&self, caller: &Caller, patience: Duration) -> Result<Place> {
        let (sender, receiver) = oneshot::channel();
        self.lock().queue(caller, sender)?;
        self.grant();
        match tokio::time::timeout(patience, receiver).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(busy()),
        }
    }

    /// Whether no search runs.
    pub(super) fn are_free(&self) -> bool {
        self.lock().running.is_empty()
    }

    /// Grants free places. A grant to a caller that has left comes back and is granted again.
    fn grant(&self) {
        loop {
            // Not in the loop's condition, which would keep the lock while a place is dropped.
            let next = self.lock().next();
            let Some((caller, sender)) = next else { return };
            let place = Place {
                places: self.clone(),
                caller,
            };
            drop(sender.send(place));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn queue(&mut self, caller: &Caller, sender: oneshot::Sender<Place>) -> Result<()> {
        self.waiting.retain(|(_, sender)| !sender.is_closed());
        let waiting = |same: &dyn Fn(&Caller) -> bool| self.waiting.iter().filter(|(other, _)| same(other)).count();
        if self.waiting.len() >= QUEUE
            || waiting(&|other| other.account_id == caller.account_id) >= QUEUE / 2
            || waiting(&|other| other == caller) >= QUEUE_OF_CALLER
        {
            return Err(busy());
        }
        self.waiting.push_back((caller.clone(), sender));
        Ok(())
    }

    /// Takes the first search that may run out of the queue and counts it as running.
    fn next(&mut self) -> Option<(Caller, oneshot::Sender<Place>)> {
        let index = self.waiting.iter().position(|(caller, _)| self.may_run(caller))?;
        let (caller, sender) = self.waiting.remove(index)?;
        self.running.push(caller.clone());
        Some((caller, sender))
    }

    fn may_run(&self, caller: &Caller) -> bool {
        let of_account = |other: &&Caller| other.account_id == caller.account_id;
        self.running.len() < self.count
            && !self.running.contains(caller)
            && self.running.iter().filter(of_account).count() < (self.count / 2).max(1)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        if let Some(index) = state.running.iter().position(|caller| *caller == self.caller) {
            state.running.swap_remove(index);
        }
        drop(state);
        self.places.grant();
    }
}

fn busy() -> Error {
    Error::refused(
        Code::Unavailable,
        "More searches are running than the server allows at once. Try again in a few seconds.",
    )
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::FutureExt as _;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn caller(account_id: i64, name: &str) -> Caller {
        Caller {
            account_id,
            name: name.to_owned(),
        }
    }

    #[tokio::test]
    async fn a_caller_has_one_place_and_an_account_half_of_them() {
        let places = Places::new(4);
        let ann = places.take(&caller(1, "ann"), PATIENCE).await.unwrap();
        let (ann, ben, eve) = {
            let (again, ben, third) = (caller(1, "ann"), caller(1, "ben"), caller(1, "eve"));
            let mut again = pin!(places.take(&again, PATIENCE));
            assert!((&mut again).now_or_never().is_none(), "one place per caller");
            let ben = places.take(&ben, PATIENCE).await.unwrap();
            let mut third = pin!(places.take(&third, PATIENCE));
            assert!((&mut third).now_or_never().is_none(), "half of the places per account");
            let other = places.take(&caller(2, "ann"), PATIENCE).await.unwrap();
            drop(ann);
            let ann = again.await.unwrap();
            drop((ben, other));
            (ann, (), third.await.unwrap())
        };
        drop((ann, ben, eve));
        assert!(places.lock().running.is_empty());
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_callers_that_leave_free_it() {
        let places = Places::new(2);
        let first = places.take(&caller(1, "first"), PATIENCE).await.unwrap();
        let mut waiting = Vec::new();
        for index in 0..QUEUE / 2 {
            let (places, caller) = (places.clone(), caller(1, &index.to_string()));
            let mut search = Box::pin(async move { places.take(&caller, PATIENCE).await });
            assert!((&mut search).now_or_never().is_none());
            waiting.push(search);
        }
        let refused = places.take(&caller(1, "late"), PATIENCE).await.unwrap_err().problem();
        assert_eq!(refused.code, Code::Unavailable);
        let second = places.take(&caller(2, "other"), PATIENCE).await.unwrap();
        let last = waiting.pop().unwrap();
        drop((waiting, first));
        drop(last.await.unwrap());
        drop(second);
        assert!(places.lock().running.is_empty());
    }
}
