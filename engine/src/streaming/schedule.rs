//! When runs begin: at ticks aligned to the clock, by the interval of the destination or else of
//! the server, and on request. Every server looks for due destinations at each tick and once a
//! second, and claims its share of those that have something to send. The others are served by one
//! statement for all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use super::lease::{Due, Look, Replica};
use super::run::run;
use super::run_slots::RunSlots;
use crate::Engine;
use crate::database::{Dialect, now};
use crate::destinations::ticks::next_tick;
use crate::error::Result;
use crate::failpoint;
use crate::task::{Stop, Task, supervise};

const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// The time between two looks for due destinations, unless a run is requested.
const REST: Duration = Duration::from_millis(200);
/// How many runs begin at one look. The runs of a tick that many destinations share are spread over
/// some seconds.
const RUNS_PER_LOOK: usize = 32;

/// Once stopped, begins no further runs, and ends after those in flight. A panic of the scheduler
/// does not affect the runs.
pub(crate) fn start(engine: Engine) -> Task {
    let replica = Replica::new(&engine);
    engine.scheduler_watch().looked();
    let runs = Arc::new(Mutex::new(Runs::default()));
    Task::spawn("scheduler", engine.metrics().clone(), move |stop| {
        schedule(engine.clone(), replica, Arc::clone(&runs), stop)
    })
}

async fn schedule(engine: Engine, replica: Replica, runs: Arc<Mutex<Runs>>, mut stop: Stop) {
    let mut runs = runs.lock().await;
    while let Err(error) = replica.register(engine.database()).await {
        tracing::error!(%error, "cannot register this server in the database; retrying in a second");
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(HEARTBEAT_INTERVAL) => {}
        }
    }
    // Aborted when it is dropped, also by a panic.
    let mut heartbeat = JoinSet::new();
    heartbeat.spawn(keep_alive(engine.clone(), replica));
    let mut next_look = Instant::now();
    while !*stop.borrow() {
        if Instant::now() >= next_look {
            failpoint::reached("scheduler.look").await;
            let found_more = runs.look(&engine, replica, &stop).await.unwrap_or_else(|error| {
                tracing::error!(%error, "cannot look for due destinations; retrying in a second");
                false
            });
            let pause = if found_more { REST } else { until_tick(&engine) };
            next_look = Instant::now() + pause;
        }
        tokio::select! {
            _ = stop.changed() => {}
            () = engine.woken() => next_look = Instant::now(),
            // Another run may have been requested meanwhile.
            () = runs.ended() => next_look = next_look.min(Instant::now() + REST),
            () = tokio::time::sleep_until(next_look) => {}
        }
    }
    engine.scheduler_watch().stopped();
    while !runs.by_task.is_empty() {
        runs.ended().await;
    }
    heartbeat.shutdown().await;
    if let Err(error) = replica.leave(engine.database()).await {
        tracing::warn!(%error, "cannot remove this server from the database; the other servers notice in a few \
         seconds that it is gone");
    }
}

/// Returns how long to wait for the next tick of the server's interval, or for the next second, in
/// which destinations with their own intervals may have theirs.
fn until_tick(engine: &Engine) -> Duration {
    let now = now();
    let second = (now / 1000).saturating_add(1).saturating_mul(1000);
    let left = next_tick(engine, None).min(second).saturating_sub(now);
    Duration::from_millis(u64::try_from(left).unwrap_or(0))
}

async fn keep_alive(engine: Engine, replica: Replica) {
    if engine.database().dialect() == Dialect::Postgres {
        supervise(
            "heartbeat",
            engine.metrics(),
            || false,
            || renew_heartbeat(&engine, replica),
        )
        .await;
    }
}

async fn renew_heartbeat(engine: &Engine, replica: Replica) {
    loop {
        failpoint::reached("heartbeat.renew").await;
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
    /// Begins the runs that are due, serves the destinations that have nothing to send, and gives
    /// the waiting runs their news. Returns whether it left runs for the next look.
    async fn look(&mut self, engine: &Engine, replica: Replica, stop: &Stop) -> Result<bool> {
        let database = engine.database();
        let Look { due, has_idle } = replica.look(database, &self.destinations()).await?;
        engine.scheduler_watch().looked();
        if !database.numbering().is_open() {
            // A run could use a number twice.
            return Ok(false);
        }
        let mut begun = 0;
        let mut waiting = due.into_iter();
        for due in waiting.by_ref() {
            begun += usize::from(self.begin(engine, replica, due, stop));
            if begun == RUNS_PER_LOOK {
                break;
            }
        }
        if has_idle {
            engine.metrics().idle_runs(replica.serve_idle(database).await?);
        }
        if self.slots.observations().wanted() {
            self.slots.observations().publish(replica.observe(database).await?);
        }
        Ok(waiting.len() > 0)
    }

    fn destinations(&self) -> HashSet<i64> {
        self.by_task.values().map(|run| run.destination_id).collect()
    }

    /// Returns `false` if there is no slot for this run.
    fn begin(&mut self, engine: &Engine, replica: Replica, due: Due, stop: &Stop) -> bool {
        let Some(slot) = self.slots.try_acquire(due.failing) else {
            return false;
        };
        let (engine, stop) = (engine.clone(), stop.clone());
        let task = self
            .tasks
            .spawn(async move { run(&engine, replica, due, slot, stop).await });
        self.by_task.insert(task.id(), due);
        true
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
