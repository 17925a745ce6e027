//! The filter form of Audit Logs, which works without JavaScript.

use leptos::prelude::*;
use leptos_router::components::Form;
use leptos_router::hooks::{use_location, use_query_map};
use leptos_router::params::ParamsMap;

use super::query::{FILTERS, filter_of, range_of};
use crate::choice::options;
use crate::paths;

#[component]
pub(super) fn Filters() -> impl IntoView {
    let query = use_query_map();
    let search = use_location().search;
    // Rebuilt for each address, so that the inputs show its filters.
    move || {
        search.track();
        view! { <FilterForm query=query.get_untracked() /> }
    }
}

#[component]
fn FilterForm(query: ParamsMap) -> impl IntoView {
    let is_used = |name: &str| query.get(name).is_some_and(|text| !text.is_empty());
    let used = FILTERS.iter().filter(|(name, _)| is_used(name)).count();
    view! {
        <Form method="GET" action=paths::LOGS attr:class="filters" attr:role="search">
            <div class="field">
                <label for="range">"Time range"</label>
                <select id="range" name="range">{options(&range_of(&query))}</select>
            </div>
            <div class="field">
                <label for="show">"Show"</label>
                <select id="show" name="show">{options(&filter_of(&query).show)}</select>
            </div>
            <div class="field grow">
                <label for="q">"Search"</label>
                <input id="q" name="q" type="search" value=query.get("q").unwrap_or_default() placeholder="Any part of an event" />
            </div>
            <button type="submit" class="button">"Apply"</button>
            <details class="disclosure" open=used != 0>
                <summary>"More filters"{(used > 0).then(|| format!(" ({used})"))}</summary>
                <div class="filter-grid">
                    {FILTERS
                        .iter()
                        .map(|(name, label)| {
                            view! {
                                <div class="field">
                                    <label for=*name>{*label}</label>
                                    <input id=*name name=*name value=query.get(name).unwrap_or_default() />
                                </div>
                            }
                        })
                        .collect_view()}
                </div>
                <p class="muted">
                    "These filters match whole values exactly as shown in the table. Search finds any part of an event, in upper or lower case."
                </p>
                <a href=paths::LOGS>"Clear all"</a>
            </details>
        </Form>
    }
}
