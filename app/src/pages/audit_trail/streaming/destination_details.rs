//! The details of a destination below its row.

use auditstream_model::{AggregateItem, ListQuery, Status};
use leptos::prelude::*;

use super::super::batches::Batches;
use super::super::failure::FailureAlert;
use crate::components::ProblemAlert;
use crate::components::format::{pluralise, with_thousands};
use crate::server_functions::destinations::{list_batches, stream_now};

const OBJECTS: u32 = 10;

#[component]
pub(super) fn DestinationDetails(
    id: String,
    row: Signal<AggregateItem>,
    refused: Option<&'static str>,
) -> impl IntoView {
    view! {
        <div class="detail-grid">
            <Facts row=row />
            <StreamNow id=id.clone() row=row refused=refused />
        </div>
        <FailureAlert item=row />
        <LatestObjects id=id row=row />
    }
    .into_any()
}

#[component]
fn Facts(row: Signal<AggregateItem>) -> impl IntoView {
    let prefix = move || row.with(|row| row.streaming_destination.spec.prefix.as_str().to_owned());
    let waiting = move || match row.with(|row| row.streaming_details.behind) {
        None => "Not activated yet".to_owned(),
        Some(events) => format!("{} behind", pluralise(events, "event")),
    };
    view! {
        <dl class="facts">
            <dt>"Amazon S3 Bucket"</dt>
            <dd class="mono">{move || row.with(|row| row.streaming_destination.spec.bucket.as_str().to_owned())}</dd>
            <dt>"Prefix"</dt>
            <dd class="mono">{move || Some(prefix()).filter(|prefix| !prefix.is_empty()).unwrap_or_else(|| "–".to_owned())}</dd>
            <dt>"Waiting"</dt>
            <dd>{waiting}</dd>
            <dt>"Streamed up to"</dt>
            <dd>{move || row.with(|row| row.streaming_details.cursor).map_or_else(|| "–".to_owned(), with_thousands)}</dd>
        </dl>
    }
}

#[component]
fn StreamNow(id: String, row: Signal<AggregateItem>, refused: Option<&'static str>) -> impl IntoView {
    let run = Action::new(|id: &String| stream_now(id.clone()));
    let is_active = move || row.with(|row| row.streaming_destination.status == Status::Active);
    view! {
        <div>
            <button
                type="button"
                class="button"
                disabled=move || refused.is_some() || !is_active() || run.pending().get()
                title=move || refused.unwrap_or(if is_active() { "" } else { "Activate the destination first." })
                on:click=move |_| {
                    run.dispatch(id.clone());
                }
            >
                {move || if run.pending().get() { "Starting…" } else { "Stream now" }}
            </button>
            {move || run.value().get().map(|outcome| match outcome {
                Ok(()) => view! { <p class="row-message" role="status">"Run started."</p> }.into_any(),
                Err(error) => view! { <ProblemAlert error=error /> }.into_any(),
            })}
        </div>
    }
}

#[component]
fn LatestObjects(id: String, row: Signal<AggregateItem>) -> impl IntoView {
    let progress =
        Memo::new(move |_| row.with(|row| (row.streaming_details.cursor, row.streaming_details.last_streamed_at)));
    // An action, because loading a resource again would replace the whole table by its fallback.
    let load = Action::new(|id: &String| {
        let newest = ListQuery {
            limit: OBJECTS,
            ..ListQuery::default()
        };
        list_batches(id.clone(), newest)
    });
    Effect::new(move |_| {
        progress.track();
        load.dispatch(id.clone());
    });
    move || match load.value().get() {
        None => view! { <p class="skeleton">"Loading objects…"</p> }.into_any(),
        Some(Err(error)) => view! { <ProblemAlert error=error /> }.into_any(),
        Some(Ok(found)) if found.items.is_empty() => view! { <p class="muted">"No objects yet."</p> }.into_any(),
        Some(Ok(found)) => view! {
            <div class="table-frame" tabindex="0" role="region" aria-label="Latest objects">
                <Batches batches=found.items />
            </div>
        }
        .into_any(),
    }
}
