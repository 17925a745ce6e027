//! The notice of new events.

use std::time::Duration;

use auditstream_model::Sequence;
use leptos::prelude::*;
use leptos_router::params::ParamsMap;

use super::query::{filter_of, range_of};
use crate::components::format::with_thousands;
use crate::features::polling::use_polling;
use crate::server_functions::trail::newer_events;

const INTERVAL: Duration = Duration::from_secs(5);
/// Counts end here.
const COUNTED: i64 = 1_000;

#[component]
pub(super) fn NewEvents(
    query: ParamsMap,
    /// The latest sequence when the page was loaded.
    after: Sequence,
    reload: Callback<()>,
) -> impl IntoView {
    let count = RwSignal::new(0_i64);
    // Each poll continues where the previous one ended.
    let counted_until = RwSignal::new(after);
    use_polling(INTERVAL, move || {
        let (filter, range) = (filter_of(&query), range_of(&query));
        async move {
            let (Some(known), Some(after)) = (count.try_get_untracked(), counted_until.try_get_untracked()) else {
                return;
            };
            if known < COUNTED
                && let Ok(newer) = newer_events(filter, range, after).await
            {
                counted_until.try_set(newer.until);
                if newer.count > 0 {
                    count.try_update(|count| *count = (*count + newer.count).min(COUNTED));
                }
            }
        }
    });
    let text = move || match count.get() {
        1 => "1 new event".to_owned(),
        many @ COUNTED.. => format!("{} or more new events", with_thousands(many)),
        many => format!("{} new events", with_thousands(many)),
    };
    view! {
        <div role="status" class="new-events">
            <Show when=move || count.get() != 0>
                <button type="button" on:click=move |_| reload.run(())>
                    {text}
                </button>
            </Show>
        </div>
    }
}
