//! When runs begin: at ticks aligned to the clock, and on request. Every server looks for due
//! destinations once a second, and claims its share of them.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use auditstream_model::EpochMillis;
use tokio::task::{Id, JoinSet};

use super::lease::{Due, Replica};
use super::limits::RunSlots;
use super::run::run;
use crate::Engine;
use crate::database::{Dialect, now};
use crate::task::{Stop, Task};

const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Once stopped, begins no further runs, and ends after those in flight.
pub(crate) fn start(engine: Engine) -> Task {
    Task::spawn("scheduler", |stop| async move {
        if engine.streaming_enabled() {
            schedule(engine, stop).await;
        }
    })
}

/// Returns when the next run of every active destination begins, epoch ms.
#[must_use]
pub fn next_tick(engine: &Engine) -> EpochMillis {
    let interval = i64::try_from(engine.stream_interval().as_millis())
        .unwrap_or(i64::MAX)
        .max(1);
    (now() / interval).saturating_add(1).saturating_mul(interval)
}

async fn schedule(engine: Engine, mut stop: Stop) {
    let replica = Replica::new(&engine);
    engine.scheduler_watch().looked();
    while let Err(error) = replica.register(engine.database()).await {
        tracing::error!(%error, "cannot register this server in the database; retrying in a second");
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(HEARTBEAT_INTERVAL) => {}
        }
    }
    let heartbeat = tokio::spawn(renew_heartbeat(engine.clone(), replica));
    let mut runs = Runs::default();
    while !*stop.borrow() {
        match replica.due(engine.database(), &runs.destinations()).await {
            Ok(due) => {
                engine.scheduler_watch().looked();
                due.into_iter().for_each(|due| runs.begin(&engine, replica, due, &stop));
            }
            Err(error) => tracing::error!(%error, "cannot look for due destinations; retrying in a second"),
        }
        tokio::select! {
            _ = stop.changed() => {}
            () = engine.woken() => {}
            // Another run may have been requested meanwhile.
            () = runs.ended() => {}
            () = tokio::time::sleep(HEARTBEAT_INTERVAL) => {}
        }
    }
    engine.scheduler_watch().stopped();
    while !runs.by_task.is_empty() {
        runs.ended().await;
    }
    heartbeat.abort();
    if let Err(error) = replica.leave(engine.database()).await {
        tracing::warn!(%error, "cannot remove this server from the database; the other servers notice in a few \
         seconds that it is gone");
    }
}

async fn renew_heartbeat(engine: Engine, replica: Replica) {
    if engine.database().dialect() == Dialect::Sqlite {
        return;
    }
    loop {
        tokio::time::sleep(HEARTBEAT_INTERVAL).await;
        if let Err(error) = replica.register(engine.database()).await {
            tracing::error!(%error, "cannot renew the heartbeat; retrying in a second");
        }
    }
}

/// The runs of this server: at most one per destination.
#[derive(Default)]
struct Runs {
    slots: RunSlots,
    tasks: JoinSet<()>,
    by_task: HashMap<Id, Due>,
}

impl Runs {
    fn destinations(&self) -> HashSet<i64> {
        self.by_task.values().map(|run| run.destination_id).collect()
    }

    fn begin(&mut self, engine: &Engine, replica: Replica, due: Due, stop: &Stop) {
        let Some(slot) = self.slots.try_acquire(due.failing) else {
            return;
        };
        let (engine, stop) = (engine.clone(), stop.clone());
        let task = self
            .tasks
            .spawn(async move { run(&engine, replica, due, slot, stop).await });
        self.by_task.insert(task.id(), due);
    }

    /// Waits until a run ends; forever if there is none.
    async fn ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => drop(self.by_task.remove(&id)),
            Some(Err(error)) => {
                tracing::error!(%error, "a run ended unexpectedly");
                self.by_task.remove(&error.id());
            }
            None => std::future::pending().await,
        }
    }
}
