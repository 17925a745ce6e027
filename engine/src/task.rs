//! Tasks that do not end silently: those that run until the server stops, and work that outlives
//! the request that asked for it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{Instrument as _, Span};

use crate::error::{Error, Result};
use crate::metrics::Metrics;

/// The pause before a task that ended unexpectedly starts again.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// Becomes `true` when the task must stop.
pub(crate) type Stop = watch::Receiver<bool>;

/// Runs `work`, and again after a second whenever it panics, or ends although `is_over` is false.
/// Each restart is logged and counted.
pub(crate) async fn supervise<F>(
    name: &'static str,
    metrics: &Metrics,
    is_over: impl Fn() -> bool,
    mut work: impl FnMut() -> F,
) where
    F: Future<Output = ()>,
{
    let restarts = metrics.task_restarts(name);
    loop {
        // The panic itself has been logged by the panic hook.
        let ended = AssertUnwindSafe(async { work().await }).catch_unwind().await;
        if ended.is_ok() && is_over() {
            return;
        }
        restarts.increment(1);
        tracing::error!(
            task = name,
            panicked = ended.is_err(),
            "a background task ended unexpectedly and starts again in a second"
        );
        tokio::time::sleep(RESTART_DELAY).await;
    }
}

/// A supervised task that runs until it is stopped. Dropped, it is aborted.
#[derive(Debug)]
pub(crate) struct Task {
    name: &'static str,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Task {
    /// Starts a task. `run` returns once its argument is `true`; it is called again after a panic.
    pub(crate) fn spawn<F>(
        name: &'static str,
        metrics: Metrics,
        run: impl Fn(Stop) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            supervise(name, &metrics, || *stopped.borrow(), || run(stopped.clone())).await;
        });
        Self { name, stop, task }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, task = self.name, "a background task ended unexpectedly");
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Counts the work that outlives its request.
#[derive(Clone, Debug)]
pub(crate) struct OngoingWork(Arc<watch::Sender<usize>>);

impl Default for OngoingWork {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

/// Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Ongoing(OngoingWork);

impl OngoingWork {
    pub(crate) fn begin(&self) -> Ongoing {
        self.0.send_modify(|count| *count += 1);
        Ongoing(self.clone())
    }

    /// Waits until all work has ended.
    pub(crate) async fn ended(&self) {
        // Fails only without a sender, which `self` has.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

/// Runs `work` to its end even if the caller is dropped, as when a browser disconnects. For work
/// with effects outside the database, which must be recorded and cleaned up.
///
/// # Errors
/// Those of `work`, and [`Error::Broken`] if it panics.
pub(crate) fn outlive_request<T: Send + 'static>(
    ongoing_work: &OngoingWork,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> BoxFuture<'static, Result<T>> {
    let ongoing = ongoing_work.begin();
    let work = async move {
        let _ongoing = ongoing;
        work.await
    };
    // Spawned here, so that the caller's future does not contain that of the work.
    let running = tokio::spawn(work.instrument(Span::current()));
    let ended = async move {
        let ended = running.await;
        ended.unwrap_or_else(|error| {
            Err(Error::Broken(format!(
                "the work of a request ended unexpectedly: {error}"
            )))
        })
    };
    ended.boxed()
}
