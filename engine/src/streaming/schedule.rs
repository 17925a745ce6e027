//! When runs begin: at ticks aligned to the clock, and when somebody asks. Every server looks once a second for what is
//! due, and claims its part of it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use auditstream_model::EpochMillis;
use tokio::sync::watch;
use tokio::task::{Id, JoinHandle, JoinSet};

use super::lease::{Due, Replica};
use super::limits::Places;
use super::run::run;
use crate::Engine;
use crate::database::{Dialect, now};

/// Between two looks at what is due, and between two heartbeats.
const BEAT: Duration = Duration::from_secs(1);

/// The scheduler while it runs.
#[derive(Debug)]
pub(crate) struct Scheduler {
    stopping: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Scheduler {
    /// Begins nothing more and waits for what is in flight.
    pub(crate) async fn stop(self) {
        // Fails when the task has ended by itself.
        let _ = self.stopping.send(true);
        let _ = self.task.await;
    }
}

/// Starts the scheduler. What was due while no server ran is sent at once.
pub(crate) fn start(engine: Engine) -> Scheduler {
    let (stopping, stop) = watch::channel(false);
    let task = tokio::spawn(async move {
        if engine.streaming_enabled() {
            schedule(engine, stop).await;
        }
    });
    Scheduler { stopping, task }
}

/// When the next run of every active destination begins, epoch ms.
#[must_use]
pub fn next_tick(engine: &Engine) -> EpochMillis {
    let interval = i64::try_from(engine.stream_interval().as_millis())
        .unwrap_or(i64::MAX)
        .max(1);
    (now() / interval).saturating_add(1).saturating_mul(interval)
}

async fn schedule(engine: Engine, mut stop: watch::Receiver<bool>) {
    let replica = Replica::new(&engine);
    while let Err(error) = replica.register(engine.database()).await {
        tracing::error!(%error, "this server cannot join the others on its database; tried again in a second");
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(BEAT) => {}
        }
    }
    let heart = tokio::spawn(beat(engine.clone(), replica));
    let mut runs = Runs::default();
    while !*stop.borrow() {
        match replica.due(engine.database(), &runs.destinations()).await {
            Ok(due) => due.into_iter().for_each(|due| runs.begin(&engine, replica, due, &stop)),
            Err(error) => tracing::error!(%error, "the destinations cannot be read; tried again in a second"),
        }
        tokio::select! {
            _ = stop.changed() => {}
            () = engine.woken() => {}
            // It may have been asked for again while it ran.
            () = runs.ended() => {}
            () = tokio::time::sleep(BEAT) => {}
        }
    }
    while !runs.of.is_empty() {
        runs.ended().await;
    }
    heart.abort();
    if let Err(error) = replica.leave(engine.database()).await {
        tracing::warn!(%error, "the other servers will notice in a few seconds that this one has gone");
    }
}

/// Renews the heartbeat for as long as the server runs.
async fn beat(engine: Engine, replica: Replica) {
    if engine.database().dialect() == Dialect::Sqlite {
        return;
    }
    loop {
        tokio::time::sleep(BEAT).await;
        if let Err(error) = replica.register(engine.database()).await {
            tracing::error!(%error, "the heartbeat could not be renewed; tried again in a second");
        }
    }
}

/// The runs of this server: one of a destination at a time, and as many as have a place, or wait before they try again.
#[derive(Default)]
struct Runs {
    places: Places,
    tasks: JoinSet<()>,
    of: HashMap<Id, Due>,
}

impl Runs {
    fn destinations(&self) -> HashSet<i64> {
        self.of.values().map(|run| run.destination_id).collect()
    }

    fn begin(&mut self, engine: &Engine, replica: Replica, due: Due, stop: &watch::Receiver<bool>) {
        let Some(place) = self.places.free(due.failing) else {
            return;
        };
        let (engine, stop) = (engine.clone(), stop.clone());
        let task = self
            .tasks
            .spawn(async move { run(&engine, replica, due, place, stop).await });
        self.of.insert(task.id(), due);
    }

    /// Waits until a run ends; for ever when there is none.
    async fn ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => drop(self.of.remove(&id)),
            Some(Err(error)) => {
                tracing::error!(%error, "a run ended before it could say why");
                self.of.remove(&error.id());
            }
            None => std::future::pending().await,
        }
    }
}
