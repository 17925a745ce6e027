//! Removes events that are older than the retention.
//!
//! A sweep removes the oldest events of each account in small steps, so that ingest is not delayed
//! and the trail never has a gap. It retains the events that a destination has yet to receive,
//! including those of its current batch, even if the destination is paused. A destination that was
//! never active retains none.
//!
//! The time of receipt never decreases along the trail (see `trail::append`). The oldest events are
//! therefore the first by sequence, and the time needs no index.

mod retained;
mod retained_cache;
mod settings;
mod sweep;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) use self::retained::retained_for;
pub use self::retained::{Retained, retained};
pub(crate) use self::retained_cache::RetainedCache;
pub use self::settings::Retention;

use crate::Engine;

/// The running task that removes old events.
#[derive(Debug)]
pub(crate) struct Keeper {
    stopping: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Waits for the current step and ends the task.
    pub(crate) async fn stop(self) {
        // Fails if the task has ended already.
        let _ = self.stopping.send(true);
        let _ = self.task.await;
    }
}

/// Starts a task that sweeps all accounts now and at regular intervals.
pub(crate) fn start(engine: Engine) -> Keeper {
    let (stopping, mut stop) = watch::channel(false);
    let task = tokio::spawn(async move {
        while !*stop.borrow() {
            sweep::sweep(&engine, &mut stop).await;
            engine.metrics().fold();
            tokio::select! {
                _ = stop.changed() => {}
                () = tokio::time::sleep(engine.retention().every) => {}
            }
        }
    });
    Keeper { stopping, task }
}
