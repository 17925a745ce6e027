//! One streaming destination: how it goes, what it got, and what can be done about it.

mod batches;
mod chart;
mod rename;
mod repair;

use std::time::Duration;

use auditstream_model::{AggregateItem, Batch, Code, EpochMillis, ListQuery, Listing, Permission, SignedIn, Status};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::{use_params_map, use_query_map};

use super::streaming::toggle::{Said, Toggle};
use super::{NotEnabled, failure};
use crate::ConsoleError;
use crate::components::format::{bytes, counted, duration, grouped};
use crate::components::time::{Now, clock};
use crate::components::{BucketAccess, Icon, PageHead, ProblemBox, Shape, Stale, StaleBox, TimeAgo};
use crate::layout::{denied, signed_in};
use crate::server_functions::destinations::{get_destination, list_batches, next_run, stream_now};

pub use batches::Batches;

/// How often the page asks again.
const REFRESH: Duration = Duration::from_secs(3);
/// Objects of a page.
const ROWS: u32 = 30;
const CRUMBS: &[(&str, &str)] = &[
    ("Account Settings", "/settings"),
    ("Audit Trail", "/settings/audit-trail"),
    ("Audit Log Streaming", "/settings/audit-trail/streaming"),
];

type Loaded = (AggregateItem, Listing<Batch>, EpochMillis);

async fn load(id: String, page: u32) -> Result<Loaded, ConsoleError> {
    let query = ListQuery {
        page,
        limit: ROWS,
        ..ListQuery::default()
    };
    Ok((
        get_destination(id.clone()).await?,
        list_batches(id, query).await?,
        next_run().await?,
    ))
}

/// The page.
#[component]
pub fn DestinationPage() -> impl IntoView {
    let params = use_params_map();
    let query = use_query_map();
    let place = Memo::new(move |_| {
        let page = query.read().get("page").and_then(|page| page.parse::<u32>().ok());
        (params.read().get("id").unwrap_or_default(), page.unwrap_or_default())
    });
    let loaded = Resource::new(move || place.get(), |(id, page)| load(id, page));
    let retry = Callback::new(move |()| loaded.refetch());
    view! {
        <Suspense fallback=|| view! { <p class="skeleton">"Loading the destination…"</p> }>
            {move || Suspend::new(async move {
                let person = signed_in().await;
                match (person, loaded.await) {
                    (Ok(person), _) if !person.streaming_enabled => view! { <NotEnabled /> }.into_any(),
                    (Ok(person), Ok(found)) => view! { <Found found=found person=person /> }.into_any(),
                    (_, Err(error)) if error.0.code == Code::NotFound => {
                        view! {
                            <PageHead title="Streaming destination" crumbs=CRUMBS />
                            <ProblemBox error=error />
                            <p><a href="/settings/audit-trail/streaming">"All streaming destinations"</a></p>
                        }
                            .into_any()
                    }
                    (Err(error), _) | (_, Err(error)) => {
                        view! {
                            <PageHead title="Streaming destination" crumbs=CRUMBS />
                            <ProblemBox error=error retry=retry />
                        }
                            .into_any()
                    }
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn Found(found: Loaded, person: SignedIn) -> impl IntoView {
    let (item, objects, next) = found;
    let id = item.streaming_destination.identifier.to_string();
    let name = item.streaming_destination.name.to_string();
    let page = objects.page;
    let item = RwSignal::new(item);
    let objects = RwSignal::new(objects);
    let next = RwSignal::new(next);
    let stale = Stale::default();
    let of = StoredValue::new(id.clone());
    let refresh = Callback::new(move |()| {
        spawn_local(async move {
            match load(of.get_value(), page).await {
                Ok((fresh, fresh_objects, fresh_next)) => {
                    if item.try_with_untracked(|old| *old != fresh) == Some(true) {
                        item.try_set(fresh);
                    }
                    if objects.try_with_untracked(|old| *old != fresh_objects) == Some(true) {
                        objects.try_set(fresh_objects);
                    }
                    next.try_set(fresh_next);
                    stale.learn(None);
                }
                Err(error) => stale.learn(Some(error)),
            }
        });
    });
    Effect::new(move |_| {
        let tick = move || {
            if !document().hidden() {
                refresh.run(());
            }
        };
        if let Ok(timer) = set_interval_with_handle(tick, REFRESH) {
            on_cleanup(move || timer.clear());
        }
    });
    let refused = denied(&person, Permission::EditDestination);
    let edit = format!("/settings/audit-trail/streaming/{id}/edit");
    view! {
        <PageHead title=name crumbs=CRUMBS>
            {match refused {
                None => view! { <a class="button" href=edit>"Edit"</a> }.into_any(),
                Some(reason) => view! { <button type="button" class="button" disabled title=reason>"Edit"</button> }.into_any(),
            }}
            <StreamNow id=of.get_value() item=item.into() refused=refused refresh=refresh />
        </PageHead>
        {refused.map(|reason| view! { <p class="muted reason">{reason}</p> })}
        <StaleBox stale=stale refresh=refresh />
        <failure::FailureBox item=item.into() />
        <rename::Rename id=of.get_value() objects=objects.into() refused=refused on_renamed=refresh />
        <Figures item=item.into() next=next person=person refresh=refresh />
        {move || {
            let objects = objects.get();
            if objects.items.is_empty() {
                return view! {
                    <div class="empty">
                        <h2>"No objects yet"</h2>
                        <p>"The first one is written as soon as the destination is active."</p>
                    </div>
                }
                    .into_any();
            }
            view! { <Objects objects=objects /> }.into_any()
        }}
        <details class="more repair">
            <summary>"Bucket access"</summary>
            <BucketAccess id=Signal::stored(of.get_value()) refused=refused on_checked=refresh />
        </details>
        <repair::Repair item=item.into() refused=refused on_moved=refresh />
    }
    .into_any()
}

#[component]
fn StreamNow(
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
    let active = move || item.with(|item| item.streaming_destination.status == Status::Active);
    let reason = move || {
        refused.or(if active() {
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

#[component]
fn Figures(
    item: Signal<AggregateItem>,
    next: RwSignal<EpochMillis>,
    person: SignedIn,
    refresh: Callback<()>,
) -> impl IntoView {
    let said = RwSignal::new(None::<Said>);
    let now = use_context::<Now>();
    let details = move || item.with(|item| item.streaming_details.clone());
    let waiting = move || match (details().waiting_since, now.and_then(|now| now.0.get())) {
        (Some(since), Some(now)) if now > since => {
            format!("the oldest for {}", duration(now - since))
        }
        (Some(_), _) => "waiting for the next run".to_owned(),
        (None, _) => "nothing waits".to_owned(),
    };
    let spec = move || item.with(|item| item.streaming_destination.spec.clone());
    let connector = move || {
        item.with(|item| {
            item.connector_info
                .as_ref()
                .map(|info| (info.name.to_string(), info.identifier.to_string()))
        })
    };
    view! {
        <dl class="cards">
            <div class="card">
                <dt>"Status"</dt>
                <dd class="figure-text">
                    <Toggle row=item person=person said=said refresh=refresh />
                    <p class="said" role="status" class:said-bad=move || matches!(said.get(), Some(Said::Refused(_)))>
                        {move || said.get().map(|said| match said { Said::Done(text) | Said::Refused(text) => text })}
                    </p>
                </dd>
            </div>
            <div class="card">
                <dt>"Waiting"</dt>
                <dd>
                    <span class="figure">{move || details().behind.map_or_else(|| "–".to_owned(), grouped)}</span>
                    <span class="block muted">
                        {move || match details().behind {
                            None => "not activated yet".to_owned(),
                            Some(0) => "up to date".to_owned(),
                            Some(events) => format!("{} behind, {}", counted(events, "event"), waiting()),
                        }}
                    </span>
                </dd>
            </div>
            <div class="card">
                <dt>"Streamed up to"</dt>
                <dd>
                    <span class="figure">{move || details().cursor.map_or_else(|| "–".to_owned(), grouped)}</span>
                    <span class="block muted">
                        {move || match details().last_streamed_at {
                            Some(at) => view! { <TimeAgo at=Signal::stored(at) /> }.into_any(),
                            None => "Not streamed yet".into_any(),
                        }}
                    </span>
                </dd>
            </div>
            <div class="card">
                <dt>"Next run"</dt>
                <dd>
                    {move || {
                        let active = item.with(|item| item.streaming_destination.status == Status::Active);
                        if active {
                            let at = next.get();
                            view! {
                                <span class="figure">{clock(at)}</span>
                                <span class="block muted"><TimeAgo at=Signal::stored(at) ahead=true /></span>
                            }
                                .into_any()
                        } else {
                            view! {
                                <span class="figure">"–"</span>
                                <span class="block muted">"when it is active"</span>
                            }
                                .into_any()
                        }
                    }}
                </dd>
            </div>
        </dl>
        <dl class="facts destination-facts">
            <dt>"Amazon S3 Bucket"</dt>
            <dd class="mono">
                {move || {
                    let spec = spec();
                    let slash = if spec.prefix.as_str().is_empty() { "" } else { "/" };
                    format!("{}{slash}{}", spec.bucket.as_str(), spec.prefix.as_str())
                }}
            </dd>
            <dt>"Streaming Connector"</dt>
            <dd>
                {move || match connector() {
                    Some((name, id)) => {
                        view! { <a href=format!("/settings/connectors/{id}/edit")>{name}</a> }.into_any()
                    }
                    None => "None".into_any(),
                }}
            </dd>
            {move || {
                details()
                    .held_back
                    .map(|held| {
                        let exact = format!("{} bytes", grouped(held.bytes));
                        view! {
                            <dt>"Held back"</dt>
                            <dd title=exact>
                                {format!(
                                    "{} ({}) past the retention, kept until this destination has them",
                                    counted(held.events, "event"),
                                    bytes(held.bytes),
                                )}
                            </dd>
                        }
                    })
            }}
            <dt>"Conditional writes"</dt>
            <dd>
                {move || match details().conditional_writes {
                    None => view! { <span class="muted">"Not checked yet"</span> }.into_any(),
                    Some(true) => {
                        view! { <span class="status status-good"><Icon shape=Shape::Check />"The store refuses to overwrite"</span> }
                            .into_any()
                    }
                    Some(false) => {
                        view! { <span class="status status-warn"><Icon shape=Shape::Warning />"The store ignores If-None-Match"</span> }
                            .into_any()
                    }
                }}
            </dd>
        </dl>
    }
    .into_any()
}

#[component]
fn Objects(objects: Listing<Batch>) -> impl IntoView {
    let first = u64::from(objects.page) * u64::from(objects.limit) + 1;
    let last = (first - 1) + objects.items.len() as u64;
    let newer = (objects.page > 0).then(|| format!("?page={}", objects.page - 1));
    let older = (last < u64::from(objects.total)).then(|| format!("?page={}", objects.page + 1));
    let total = i64::from(objects.total);
    view! {
        <chart::Chart batches=objects.items.clone() />
        <h2 class="section">"Objects"</h2>
        <div class="table-frame" tabindex="0" role="region" aria-label="Objects">
            <Batches batches=objects.items />
        </div>
        <nav class="paging" aria-label="Pages">
            <span class="muted">{format!("{first}–{last} of {}", grouped(total))}</span>
            {newer.map(|address| view! { <a class="button" href=address>"Newer"</a> })}
            {older.map(|address| view! { <a class="button" href=address>"Older"</a> })}
        </nav>
    }
}
