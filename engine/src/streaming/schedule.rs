//! When runs begin: at ticks aligned to the clock, and when somebody asks.

use std::time::Duration;

use auditstream_model::EpochMillis;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::run::run;
use crate::Engine;
use crate::error::Result;
use crate::store::now;

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

/// Starts the scheduler. What was due while the server was down is sent at once.
pub(crate) fn start(engine: Engine) -> Scheduler {
    let (stopping, stop) = watch::channel(false);
    let task = tokio::spawn(async move {
        let Some(wanted) = engine.gates().take_wanted() else {
            return;
        };
        if engine.streaming_enabled() {
            schedule(engine, wanted, stop).await;
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

async fn schedule(engine: Engine, mut wanted: mpsc::UnboundedReceiver<i64>, mut stop: watch::Receiver<bool>) {
    let mut runs = JoinSet::new();
    let mut tick = now();
    loop {
        let wait = Duration::from_millis(u64::try_from(tick - now()).unwrap_or(0));
        tokio::select! {
            _ = stop.changed() => break,
            Some(destination_id) = wanted.recv() => begin(&mut runs, &engine, destination_id, &stop),
            Some(_) = runs.join_next() => {}
            () = tokio::time::sleep(wait) => {
                tick = next_tick(&engine);
                match active(&engine).await {
                    Ok(due) => due.into_iter().for_each(|destination_id| begin(&mut runs, &engine, destination_id, &stop)),
                    Err(error) => tracing::error!(%error, "the destinations cannot be read; tried again at the next tick"),
                }
            }
        }
    }
    while runs.join_next().await.is_some() {}
}

fn begin(runs: &mut JoinSet<()>, engine: &Engine, destination_id: i64, stop: &watch::Receiver<bool>) {
    let (engine, stop) = (engine.clone(), stop.clone());
    runs.spawn(async move { run(&engine, destination_id, stop).await });
}

async fn active(engine: &Engine) -> Result<Vec<i64>> {
    let query = sqlx::query_scalar("SELECT id FROM streaming_destination WHERE status = 'ACTIVE' ORDER BY id");
    Ok(query.fetch_all(engine.store().read()).await?)
}
