//! Pages that load themselves again, and the notice they show when that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use auditstream_model::Code;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::components::ProblemAlert;
use crate::components::time::browser_clock;
use crate::error::ConsoleError;
use crate::server_functions::client::as_poll;

/// The longest time between two polls.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Calls `load` again and again while the page is visible: an interval after the end of the
/// previous call, and later when the server is slow. The server does not count its requests as use
/// of the session.
pub fn use_polling<F>(interval: Duration, load: impl Fn() -> F + Send + Sync + 'static)
where
    F: Future<Output = ()> + 'static,
{
    let load = StoredValue::new(load);
    Effect::new(move |_| {
        let is_over = Arc::new(AtomicBool::new(false));
        let cleanup = Arc::clone(&is_over);
        on_cleanup(move || cleanup.store(true, Ordering::Relaxed));
        let first = move || load.try_with_value(|load| load());
        poll_after(interval, interval, Arc::new(first), is_over);
    });
}

/// Polls once after `delay`, then again after each end.
fn poll_after<F>(delay: Duration, interval: Duration, load: Arc<dyn Fn() -> Option<F>>, is_over: Arc<AtomicBool>)
where
    F: Future<Output = ()> + 'static,
{
    let tick = move || {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        if document().hidden() {
            return poll_after(interval, interval, load, is_over);
        }
        let Some(loading) = load() else { return };
        spawn_local(async move {
            let started = browser_clock();
            as_poll(loading).await;
            let spent = u64::try_from(browser_clock() - started).unwrap_or_default();
            poll_after(
                delay_after(Duration::from_millis(spent), interval),
                interval,
                load,
                is_over,
            );
        });
    };
    set_timeout(tick, delay);
}

/// Returns the delay after a poll: a page is at most a tenth of the time busy with polling.
fn delay_after(spent: Duration, interval: Duration) -> Duration {
    interval.max(spent * 9).min(LONGEST_DELAY.max(interval))
}

/// Returns a callback that runs `load` once, after something has changed.
pub fn on_demand<F>(load: impl Fn() -> F + Send + Sync + 'static) -> Callback<()>
where
    F: Future<Output = ()> + 'static,
{
    Callback::new(move |()| spawn_local(load()))
}

/// Why the data on a page may be out of date; empty while it is not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Staleness(RwSignal<Option<ConsoleError>>);

impl Staleness {
    /// Records the outcome of loading again and returns the data, if there is any. Repeating the
    /// same refusal changes nothing, so that a dialog that was closed stays closed.
    pub fn record<T>(self, outcome: Result<T, ConsoleError>) -> Option<T> {
        let (data, refusal) = match outcome {
            Ok(data) => (Some(data), None),
            Err(error) => (None, Some(error)),
        };
        if self.0.try_with_untracked(|known| *known != refusal) == Some(true) {
            self.0.try_set(refusal);
        }
        data
    }

    /// Returns why loading again failed, if it did.
    #[must_use]
    pub fn error(self) -> Option<ConsoleError> {
        self.0.get()
    }

    /// Returns whether the data may be out of date.
    #[must_use]
    pub fn is_stale(self) -> bool {
        self.0.try_with_untracked(Option::is_some) == Some(true)
    }
}

/// The notice that the data may be out of date.
#[component]
pub fn StaleNotice(
    staleness: Staleness,
    /// Called to load again.
    refresh: Callback<()>,
) -> impl IntoView {
    move || {
        let error = staleness.0.get()?;
        Some(match error.0.code {
            Code::Unavailable | Code::Internal => view! {
                <p class="banner banner-danger" role="status">
                    "The server does not respond. The data on this page may be out of date."
                </p>
            }
            .into_any(),
            Code::NotFound => view! { <ProblemAlert error=error /> }.into_any(),
            _ => view! { <ProblemAlert error=error retry=refresh /> }.into_any(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_of_a_slow_server_are_rarer() {
        let after = |spent| delay_after(Duration::from_millis(spent), Duration::from_secs(5)).as_millis();
        assert_eq!(after(50), 5_000);
        assert_eq!(after(1_000), 9_000);
        assert_eq!(after(600_000), 60_000);
    }
}
