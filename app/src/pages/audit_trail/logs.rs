//! Audit Logs: the trail as a table. What is asked for stands in the address.

use std::time::Duration;

use auditstream_model::{AuditEvent, EventFilter, EventPage, Sequence, Show, TimeRange};
use leptos::prelude::{Show as When, *};
use leptos_router::components::Form;
use leptos_router::hooks::{use_location, use_query_map};
use leptos_router::params::ParamsMap;

use super::drawer::Drawer;
use super::tabs::Tabs;
use crate::components::format::grouped;
use crate::components::{Icon, PageHead, ProblemBox, Shape, TimeAgo};
use crate::server_functions::trail::{newer_events, search_events};

const SHOWS: [(Show, &str); 3] = [
    (Show::All, "All events"),
    (Show::NoLogin, "Exclude login events"),
    (Show::NoSystem, "Exclude system events"),
];
/// How often the page asks whether there is something new.
const LOOK: Duration = Duration::from_secs(5);
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

fn range_of(query: &ParamsMap) -> TimeRange {
    query
        .get("range")
        .and_then(|word| word.parse::<TimeRange>().ok())
        .unwrap_or_default()
}

fn range_label(range: TimeRange) -> &'static str {
    match range {
        TimeRange::Day => "Last 24 hours",
        TimeRange::Week => "Last 7 days",
        TimeRange::Month => "Last 30 days",
        TimeRange::All => "All time",
    }
}

fn filter_of(query: &ParamsMap) -> EventFilter {
    let part = |name: &str| {
        query
            .get(name)
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
    };
    EventFilter {
        show: part("show")
            .and_then(|word| word.parse::<Show>().ok())
            .unwrap_or_default(),
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

/// Where the events that the address asks for can be had as a file, all pages of them.
fn export_address(query: &ParamsMap) -> String {
    let mut query = query.clone();
    query.remove("cursor");
    format!("/settings/audit-trail/logs/export{}", query.to_query_string())
}

/// The tab.
#[component]
pub fn Logs() -> impl IntoView {
    let query = use_query_map();
    let page = Resource::new(
        move || query.get(),
        |query| async move { search_events(filter_of(&query), range_of(&query)).await },
    );
    let chosen = RwSignal::new(None::<AuditEvent>);
    let retry = Callback::new(move |()| page.refetch());
    view! {
        <PageHead title="Audit Trail" crumbs=&[("Account Settings", "/settings")]>
            <a class="button" href=move || export_address(&query.read()) rel="external" download>
                <Icon shape=Shape::Download />
                "Export"
            </a>
        </PageHead>
        <Tabs />
        <Filters />
        <Transition fallback=|| view! { <p class="skeleton">"Loading events…"</p> }>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(found) => view! { <Events found=found chosen=chosen reload=retry /> }.into_any(),
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
        let range = range_of(&now);
        let show = filter_of(&now).show;
        let used = FILTERS
            .iter()
            .filter(|(name, _)| now.get(name).is_some_and(|text| !text.is_empty()))
            .count();
        view! {
            <Form method="GET" action="/settings/audit-trail/logs" attr:class="filters" attr:role="search">
                <div class="field">
                    <label for="range">"Time range"</label>
                    <select id="range" name="range">
                        {TimeRange::ALL
                            .into_iter()
                            .map(|each| {
                                view! { <option value=each.as_str() selected=each == range>{range_label(each)}</option> }
                            })
                            .collect_view()}
                    </select>
                </div>
                <div class="field">
                    <label for="show">"Show"</label>
                    <select id="show" name="show">
                        {SHOWS
                            .into_iter()
                            .map(|(each, label)| {
                                view! { <option value=each.as_str() selected=each == show>{label}</option> }
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
                    <p class="muted">"Each of these is a whole value, as the table shows it. Search finds any part of an event."</p>
                    <a href="/settings/audit-trail/logs">"Clear all"</a>
                </details>
            </Form>
        }
    }
}

#[component]
fn Events(found: EventPage, chosen: RwSignal<Option<AuditEvent>>, reload: Callback<()>) -> impl IntoView {
    let query = use_query_map().get_untracked();
    let newest = query.get("cursor").is_none();
    let after = found.last_sequence;
    let bar = newest.then(|| view! { <NewEvents query=query.clone() after=after reload=reload /> });
    if found.events.is_empty() {
        return view! {
            {bar}
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
        {bar}
        <div class="table-frame" tabindex="0" role="region" aria-label="Audit events">
            <table class="events">
                <thead>
                    <tr>
                        <th scope="col" class="time">"Time"</th>
                        <th scope="col" class="user">"User"</th>
                        <th scope="col" class="what">"Action"</th>
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

/// Tells of events that came since the page was read, rather than let rows jump.
#[component]
fn NewEvents(query: ParamsMap, after: Sequence, reload: Callback<()>) -> impl IntoView {
    let count = RwSignal::new(0_i64);
    Effect::new(move |_| {
        let query = query.clone();
        let look = move || {
            let query = query.clone();
            if document().hidden() {
                return;
            }
            leptos::task::spawn_local(async move {
                if let Ok(newer) = newer_events(filter_of(&query), range_of(&query), after).await {
                    count.try_set(newer);
                }
            });
        };
        if let Ok(timer) = set_interval_with_handle(look, LOOK) {
            on_cleanup(move || timer.clear());
        }
    });
    let text = move || match count.get() {
        1 => "1 new event".to_owned(),
        many @ 1_000.. => format!("{} or more new events", grouped(many)),
        many => format!("{} new events", grouped(many)),
    };
    view! {
        <div role="status" class="new-events-place">
            <When when=move || count.get() != 0>
                <button type="button" class="new-events" on:click=move |_| reload.run(())>
                    {text}
                </button>
            </When>
        </div>
    }
}

#[component]
fn Event(event: AuditEvent, chosen: RwSignal<Option<AuditEvent>>) -> impl IntoView {
    let label = format!("View details of event {}", event.sequence);
    let time = event.time;
    let shown = event.clone();
    view! {
        <tr>
            <td class="nowrap"><TimeAgo at=Signal::stored(time) /></td>
            <td><span class="mono clamped" title=event.principal.clone()>{event.principal.clone()}</span></td>
            <td><span class="action">{event.action}</span></td>
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
        let text = match outside {
            1 => "1 event that matches lies outside this range of time.".to_owned(),
            many @ 1_000.. => format!(
                "{} or more events that match lie outside this range of time.",
                grouped(many)
            ),
            many => format!("{} events that match lie outside this range of time.", grouped(many)),
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
