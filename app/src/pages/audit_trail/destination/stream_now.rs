//! Starting a run manually.

use auditstream_model::{AggregateItem, Status};
use leptos::prelude::*;

use crate::server_functions::destinations::stream_now;

/// The button for starting a run, and its outcome.
#[component]
pub fn StreamNow(
    id: String,
    item: Signal<AggregateItem>,
    refused: Option<&'static str>,
    refresh: Callback<()>,
) -> impl IntoView {
    let run = Action::new(|id: &String| stream_now(id.clone()));
    Effect::new(move |_| {
        if run.value().with(Option::is_some) {
            refresh.run(());
        }
    });
    let is_active = move || item.with(|item| item.streaming_destination.status == Status::Active);
    let reason = move || {
        refused.or(if is_active() {
            None
        } else {
            Some("Activate the destination first.")
        })
    };
    view! {
        <span class="muted" role="status">
            {move || match run.value().get() {
                None => String::new(),
                Some(Ok(())) => "Run started.".to_owned(),
                Some(Err(error)) => error.0.detail,
            }}
        </span>
        <button
            type="button"
            class="button primary"
            disabled=move || reason().is_some() || run.pending().get()
            title=reason
            on:click=move |_| {
                run.dispatch(id.clone());
            }
        >
            {move || if run.pending().get() { "Starting…" } else { "Stream now" }}
        </button>
    }
}
