//! Pages that load themselves again, and the notice they show when that fails.

use std::time::Duration;

use auditstream_model::Code;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::components::ProblemAlert;
use crate::error::ConsoleError;
use crate::server_functions::client::as_poll;

/// Calls `load` at every interval while the page is visible. The server does not count its requests
/// as use of the session.
pub fn use_polling<F>(interval: Duration, load: impl Fn() -> F + Send + Sync + 'static)
where
    F: Future<Output = ()> + 'static,
{
    let load = StoredValue::new(load);
    Effect::new(move |_| {
        let tick = move || {
            if !document().hidden()
                && let Some(loading) = load.try_with_value(|load| load())
            {
                spawn_local(as_poll(loading));
            }
        };
        if let Ok(timer) = set_interval_with_handle(tick, interval) {
            on_cleanup(move || timer.clear());
        }
    });
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
