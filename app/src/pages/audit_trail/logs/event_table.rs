//! The table of events.

use auditstream_model::{AuditEvent, EventPage};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use leptos_router::params::ParamsMap;

use super::new_events::NewEvents;
use super::query::{address_with, range_of};
use crate::components::TimeAgo;
use crate::components::format::with_thousands;
use crate::paths;

#[component]
pub(super) fn Events(
    found: EventPage,
    selected: RwSignal<Option<AuditEvent>>,
    /// Called to load the page again.
    reload: Callback<()>,
) -> impl IntoView {
    let query = use_query_map().get_untracked();
    let is_newest = query.get("cursor").is_none();
    let after = found.last_sequence;
    let notice = is_newest.then(|| view! { <NewEvents query=query.clone() after=after reload=reload /> });
    if found.events.is_empty() {
        return view! {
            {notice}
            <NoEvents outside=found.outside_range.unwrap_or_default() query=query />
        }
        .into_any();
    }
    let next = found.next.map(|cursor| address_with(&query, "cursor", &cursor));
    let first = query
        .get("cursor")
        .is_some()
        .then(|| address_with(&query, "range", range_of(&query).as_str()));
    view! {
        {notice}
        <div class="table-frame" tabindex="0" role="region" aria-label="Audit events">
            <table class="events">
                <thead>
                    <tr>
                        <th scope="col" class="time">"Time"</th>
                        <th scope="col" class="user">"User"</th>
                        <th scope="col" class="action">"Action"</th>
                        <th scope="col">"Resource"</th>
                        <th scope="col" class="place">"Organization"</th>
                        <th scope="col" class="place">"Project"</th>
                        <th scope="col" class="module">"Module"</th>
                        <th scope="col" class="view"><span class="hidden">"Details"</span></th>
                    </tr>
                </thead>
                <tbody>
                    {found
                        .events
                        .into_iter()
                        .map(|event| view! { <EventRow event=event selected=selected /> })
                        .collect_view()}
                </tbody>
            </table>
        </div>
        <nav class="paging" aria-label="Pages">
            {first.map(|address| view! { <a class="button" href=address>"First page"</a> })}
            {next.map(|address| view! { <a class="button" href=address>"Next page"</a> })}
        </nav>
    }
    .into_any()
}

#[component]
fn EventRow(event: AuditEvent, selected: RwSignal<Option<AuditEvent>>) -> impl IntoView {
    let label = format!("View details of event {}", event.sequence);
    let time = event.time;
    let shown = event.clone();
    view! {
        <tr>
            <td class="nowrap"><TimeAgo at=Signal::stored(time) /></td>
            <td><span class="mono clamped" title=event.principal.clone()>{event.principal.clone()}</span></td>
            <td><span class="tag">{event.action}</span></td>
            <td>
                <span class="mono clamped" title=event.resource.clone()>{event.resource.clone()}</span>
                <span class="muted block">"Type: "{event.resource_type}</span>
            </td>
            <td class="wraps">{event.org.unwrap_or_else(|| "–".to_owned())}</td>
            <td class="wraps">{event.project.unwrap_or_else(|| "–".to_owned())}</td>
            <td>{event.module}</td>
            <td class="end">
                <button
                    type="button"
                    class="button small"
                    aria-label=label
                    on:click=move |_| selected.set(Some(shown.clone()))
                >
                    "View"
                </button>
            </td>
        </tr>
    }
}

#[component]
fn NoEvents(outside: i64, query: ParamsMap) -> impl IntoView {
    let all = address_with(&query, "range", "all");
    if outside > 0 {
        let text = match outside {
            1 => "1 matching event is outside this time range.".to_owned(),
            many @ 1_000.. => format!(
                "{} or more matching events are outside this time range.",
                with_thousands(many)
            ),
            many => format!("{} matching events are outside this time range.", with_thousands(many)),
        };
        return view! {
            <div class="empty">
                <h2>"No events in this time range"</h2>
                <p>{text}</p>
                <a class="button primary" href=all>"Show all time"</a>
            </div>
        }
        .into_any();
    }
    view! {
        <div class="empty">
            <h2>"No events match"</h2>
            <p>"Events that your systems send to the API appear here, and so does every change made in this console."</p>
            <a class="button" href=format!("{}?range=all", paths::LOGS)>"Clear filters"</a>
        </div>
    }
    .into_any()
}
