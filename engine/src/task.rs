//! A task that runs until the server stops.

use std::future::Future;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Becomes `true` when the task must stop.
pub(crate) type Stop = watch::Receiver<bool>;

#[derive(Debug)]
pub(crate) struct Task {
    name: &'static str,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Task {
    pub(crate) fn spawn<F>(name: &'static str, run: impl FnOnce(Stop) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(stopped));
        Self { name, stop, task }
    }

    pub(crate) async fn stop(self) {
        // Fails if the task has already ended.
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, task = self.name, "a background task ended unexpectedly");
        }
    }
}
