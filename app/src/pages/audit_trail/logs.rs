//! Audit Logs: the trail as a table. What is asked for stands in the address.

use auditstream_model::{AuditEvent, EventFilter, EventPage};
use leptos::prelude::*;
use leptos_router::components::Form;
use leptos_router::hooks::{use_location, use_query_map};
use leptos_router::params::ParamsMap;

use super::drawer::Drawer;
use super::tabs::Tabs;
use crate::components::{PageHead, ProblemBox, TimeAgo};
use crate::server_functions::trail::search_events;

const RANGES: [(&str, &str, Option<u16>); 4] = [
    ("1d", "Last 24 hours", Some(1)),
    ("7d", "Last 7 days", Some(7)),
    ("30d", "Last 30 days", Some(30)),
    ("all", "All time", None),
];
/// The filters beside range and free text: their names in the address and what the form says.
const FILTERS: [(&str, &str); 7] = [
    ("principal", "User"),
    ("action", "Action"),
    ("resource_type", "Resource type"),
    ("resource", "Resource"),
    ("org", "Organization"),
    ("project", "Project"),
    ("module", "Module"),
];

fn range_of(query: &ParamsMap) -> (&'static str, Option<u16>) {
    let asked = query.get("range");
    let found = RANGES
        .iter()
        .find(|(word, _, _)| Some(*word) == asked.as_deref())
        .unwrap_or(&RANGES[1]);
    (found.0, found.2)
}

fn filter_of(query: &ParamsMap) -> EventFilter {
    let part = |name: &str| {
        query
            .get(name)
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
    };
    EventFilter {
        start: None,
        end: None,
        principal: part("principal"),
        action: part("action"),
        module: part("module"),
        resource_type: part("resource_type"),
        resource: part("resource"),
        org: part("org"),
        project: part("project"),
        q: part("q"),
        limit: Some(20),
        cursor: part("cursor"),
    }
}

/// The address of this page with one part of the query changed, and from the first page on unless that is the part.
fn address_with(query: &ParamsMap, name: &'static str, value: &str) -> String {
    let mut query = query.clone();
    query.remove("cursor");
    query.replace(name, value.to_owned());
    format!("/settings/audit-trail/logs{}", query.to_query_string())
}

/// The tab.
#[component]
pub fn Logs() -> impl IntoView {
    let query = use_query_map();
    let page = Resource::new(
        move || query.get(),
        |query| async move { search_events(filter_of(&query), range_of(&query).1).await },
    );
    let chosen = RwSignal::new(None::<AuditEvent>);
    let retry = Callback::new(move |()| page.refetch());
    view! {
        <PageHead title="Audit Trail" crumbs=&[("Account Settings", "/settings")] />
        <Tabs />
        <Filters />
        <Transition fallback=|| view! { <p class="skeleton">"Loading events…"</p> }>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(found) => view! { <Events found=found chosen=chosen /> }.into_any(),
                    Err(error) => view! { <ProblemBox error=error retry=retry /> }.into_any(),
                }
            })}
        </Transition>
        <Drawer chosen=chosen />
    }
    .into_any()
}

/// A plain form that asks for this page again, so that it works before the page lives.
#[component]
fn Filters() -> impl IntoView {
    let query = use_query_map();
    let search = use_location().search;
    // Made anew for each address, so that the inputs show what the address says.
    move || {
        search.track();
        let now = query.get_untracked();
        let (range, _) = range_of(&now);
        let used = FILTERS
            .iter()
            .filter(|(name, _)| now.get(name).is_some_and(|text| !text.is_empty()))
            .count();
        view! {
            <Form method="GET" action="/settings/audit-trail/logs" attr:class="filters" attr:role="search">
                <div class="field">
                    <label for="range">"Time range"</label>
                    <select id="range" name="range">
                        {RANGES
                            .iter()
                            .map(|(word, shown, _)| {
                                view! { <option value=*word selected=*word == range>{*shown}</option> }
                            })
                            .collect_view()}
                    </select>
                </div>
                <div class="field grow">
                    <label for="q">"Search"</label>
                    <input id="q" name="q" type="search" value=now.get("q").unwrap_or_default() placeholder="Any part of an event" />
                </div>
                <button type="submit" class="button">"Apply"</button>
                <details class="more" open=used != 0>
                    <summary>"More filters"{(used > 0).then(|| format!(" ({used})"))}</summary>
                    <div class="filter-grid">
                        {FILTERS
                            .iter()
                            .map(|(name, label)| {
                                view! {
                                    <div class="field">
                                        <label for=*name>{*label}</label>
                                        <input id=*name name=*name value=now.get(name).unwrap_or_default() />
                                    </div>
                                }
                            })
                            .collect_view()}
                    </div>
                    <a href="/settings/audit-trail/logs">"Clear all"</a>
                </details>
            </Form>
        }
    }
}

#[component]
fn Events(found: EventPage, chosen: RwSignal<Option<AuditEvent>>) -> impl IntoView {
    let query = use_query_map().get_untracked();
    if found.events.is_empty() {
        return view! { <NoEvents outside=found.outside_range.unwrap_or_default() query=query /> }.into_any();
    }
    let next = found.next.map(|cursor| address_with(&query, "cursor", &cursor));
    let first = query
        .get("cursor")
        .is_some()
        .then(|| address_with(&query, "range", range_of(&query).0));
    view! {
        <div class="table-frame" tabindex="0" role="region" aria-label="Audit events">
            <table>
                <thead>
                    <tr>
                        <th scope="col">"Time"</th>
                        <th scope="col">"User"</th>
                        <th scope="col">"Action"</th>
                        <th scope="col">"Resource"</th>
                        <th scope="col">"Organization"</th>
                        <th scope="col">"Project"</th>
                        <th scope="col">"Module"</th>
                        <th scope="col"><span class="hidden">"Details"</span></th>
                    </tr>
                </thead>
                <tbody>
                    {found
                        .events
                        .into_iter()
                        .map(|event| view! { <Event event=event chosen=chosen /> })
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
fn Event(event: AuditEvent, chosen: RwSignal<Option<AuditEvent>>) -> impl IntoView {
    let label = format!("View details of event {}", event.sequence);
    let time = event.time;
    let shown = event.clone();
    view! {
        <tr>
            <td class="nowrap"><TimeAgo at=Signal::stored(time) /></td>
            <td class="mono">{event.principal}</td>
            <td><span class="action">{event.action}</span></td>
            <td>
                <span class="mono">{event.resource}</span>
                <span class="muted block">"Type: "{event.resource_type}</span>
            </td>
            <td>{event.org.unwrap_or_else(|| "–".to_owned())}</td>
            <td>{event.project.unwrap_or_else(|| "–".to_owned())}</td>
            <td>{event.module}</td>
            <td class="end">
                <button
                    type="button"
                    class="button small"
                    aria-label=label
                    on:click=move |_| chosen.set(Some(shown.clone()))
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
        let text = if outside == 1 {
            "1 event lies outside this range of time.".to_owned()
        } else {
            format!(
                "{} events lie outside this range of time.",
                super::streaming::grouped(outside)
            )
        };
        return view! {
            <div class="empty">
                <h2>"No events in this range"</h2>
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
            <a class="button" href="/settings/audit-trail/logs?range=all">"Clear filters"</a>
        </div>
    }
    .into_any()
}
