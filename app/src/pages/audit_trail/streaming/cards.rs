//! The figures above the table of destinations.

use auditstream_model::{Cards, Status};
use leptos::prelude::*;

use crate::components::TimeAgo;
use crate::components::format::pluralise;

#[component]
pub(super) fn CardRow(cards: RwSignal<Cards>) -> impl IntoView {
    let count = move |status: Status| {
        cards.with(|cards| {
            let counts = &cards.count_by_status_card;
            counts
                .iter()
                .find(|entry| entry.status == status)
                .map_or(0, |entry| entry.count)
        })
    };
    let failing = move || cards.with(|cards| cards.failure_info_card.count);
    let last = Memo::new(move |_| cards.with(|cards| cards.last_streamed_card.last_streamed_at));
    view! {
        <dl class="cards">
            <div class="card">
                <dt>"Active Destinations"</dt>
                <dd class="figure">{move || count(Status::Active)}</dd>
            </div>
            <div class="card">
                <dt>"Inactive Destinations"</dt>
                <dd class="figure">{move || count(Status::Inactive)}</dd>
            </div>
            <div class="card">
                <dt>"Last Streamed"</dt>
                <dd class="figure figure-text">
                    {move || match last.get() {
                        Some(at) => view! { <TimeAgo at=Signal::stored(at) /> }.into_any(),
                        None => "Not streamed yet".into_any(),
                    }}
                </dd>
            </div>
            <div class="card" class:card-bad=move || failing() != 0>
                <dt>"Failed Streaming"</dt>
                <dd class="figure figure-text">{move || format!("Errors in {}", pluralise(i64::from(failing()), "destination"))}</dd>
            </div>
        </dl>
    }
}
