//! The table of events.

use auditstream_model::{AuditEvent, EventPage};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::new_events::NewEvents;
use super::query::{ROWS, address_with, range_of};
use super::search_notice::{FutureEvents, NoEvents, SearchedUntil};
use crate::components::TimeAgo;

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
    let future = found
        .in_future
        .filter(|count| *count > 0)
        .map(|count| view! { <FutureEvents count=count query=query.clone() /> });
    let next = found.next.map(|cursor| address_with(&query, "cursor", &cursor));
    let is_full = found.events.len() >= ROWS as usize;
    let continued = match (found.searched_until.filter(|_| !is_full), next.clone()) {
        (Some(until), Some(address)) => {
            let is_empty = found.events.is_empty();
            Some(view! { <SearchedUntil until=until is_empty=is_empty address=address /> })
        }
        _ => None,
    };
    if found.events.is_empty() {
        let no_events = continued
            .is_none()
            .then(|| view! { <NoEvents outside=found.outside_range.unwrap_or_default() query=query /> });
        return view! {
            {notice}
            {future}
            {continued}
            {no_events}
        }
        .into_any();
    }
    let next = next.filter(|_| is_full);
    let first = query
        .get("cursor")
        .is_some()
        .then(|| address_with(&query, "range", range_of(&query).as_str()));
    view! {
        {notice}
        {future}
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
        {continued}
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
