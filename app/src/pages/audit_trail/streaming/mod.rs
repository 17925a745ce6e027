//! Audit Log Streaming: four cards, and the table of destinations.

mod delete;
mod destination_row;
pub(super) mod toggle;

use std::time::Duration;

use auditstream_model::{AggregateItem, Cards, ListQuery, Listing, Permission, SignedIn, Status};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::NotEnabled;
use super::tabs::Tabs;
use crate::components::focus::focus_table;
use crate::components::format::counted;
use crate::components::{Icon, PageHead, ProblemBox, Shape, Stale, StaleBox, TableSkeleton, TimeAgo};
use crate::layout::{denied, signed_in};
use crate::pages::flash::FlashBox;
use crate::server_functions::destinations::{destination_cards, list_destinations};

/// How often the table asks again, so that "Last Streamed" is true.
const REFRESH: Duration = Duration::from_secs(3);

fn everything() -> ListQuery {
    ListQuery {
        limit: 100,
        ..ListQuery::default()
    }
}

/// The tab.
#[component]
pub fn Streaming() -> impl IntoView {
    let loaded = Resource::new(
        || (),
        |()| async move {
            let rows = list_destinations(everything()).await?;
            Ok::<_, crate::ConsoleError>((rows, destination_cards().await?))
        },
    );
    let retry = Callback::new(move |()| loaded.refetch());
    // Whether there is any destination, once the page lives.
    let any = RwSignal::new(None::<bool>);
    view! {
        <PageHead title="Audit Trail" crumbs=&[("Account Settings", "/settings")]>
            <Suspense fallback=|| ()>
                {move || Suspend::new(async move {
                    let person = signed_in().await.ok();
                    let refused = person.and_then(|person| denied(&person, Permission::EditDestination));
                    let found = loaded.await.is_ok_and(|(rows, _)| !rows.items.is_empty());
                    view! {
                        <Show when=move || any.get().unwrap_or(found)>
                            <NewButton refused=refused />
                        </Show>
                    }
                })}
            </Suspense>
        </PageHead>
        <Tabs />
        <Suspense fallback=|| view! { <TableSkeleton label="Loading destinations…" /> }>
            {move || Suspend::new(async move {
                match (signed_in().await, loaded.await) {
                    (Ok(person), _) if !person.streaming_enabled => view! { <NotEnabled /> }.into_any(),
                    (Ok(person), Ok((rows, cards))) => {
                        view! { <Destinations rows=rows cards=cards person=person any=any /> }.into_any()
                    }
                    (Err(error), _) | (_, Err(error)) => view! { <ProblemBox error=error retry=retry /> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn Destinations(
    rows: Listing<AggregateItem>,
    cards: Cards,
    person: SignedIn,
    any: RwSignal<Option<bool>>,
) -> impl IntoView {
    let total = RwSignal::new(rows.total);
    let rows = RwSignal::new(rows.items);
    let cards = RwSignal::new(cards);
    let filled = Memo::new(move |_| rows.with(|rows| !rows.is_empty()));
    Effect::new(move |_| any.set(Some(filled.get())));
    let stale = Stale::default();
    let refresh = Callback::new(move |()| {
        spawn_local(async move {
            match (list_destinations(everything()).await, destination_cards().await) {
                (Ok(fresh), Ok(fresh_cards)) => {
                    total.try_set(fresh.total);
                    rows.try_set(fresh.items);
                    cards.try_set(fresh_cards);
                    stale.learn(None);
                }
                (Err(error), _) | (_, Err(error)) => stale.learn(Some(error)),
            }
        });
    });
    Effect::new(move |_| {
        let tick = move || {
            let active = rows.with_untracked(|rows| rows.iter().any(is_active));
            if (active || stale.is_old()) && !document().hidden() {
                refresh.run(());
            }
        };
        if let Ok(timer) = set_interval_with_handle(tick, REFRESH) {
            on_cleanup(move || timer.clear());
        }
    });
    let frame = NodeRef::<leptos::html::Div>::new();
    let gone = Callback::new(move |id: String| {
        rows.update(|rows| rows.retain(|row| id_of(row) != id));
        focus_table(frame);
        refresh.run(());
    });
    let no_edit = denied(&person, Permission::EditDestination);
    let person = StoredValue::new(person);
    let item = move |id: &str| rows.with(|rows| rows.iter().find(|row| id_of(row) == id).cloned());
    view! {
        <FlashBox />
        <div class="banner banner-warning">
            <Icon shape=Shape::Warning />
            <p>
                "Streaming destinations receive all audit event data, which could include sensitive information. Make sure you trust the streaming destination."
            </p>
        </div>
        <StaleBox stale=stale refresh=refresh />
        <Show when=move || filled.get() fallback=move || view! { <Empty refused=no_edit /> }>
            <CardRow cards=cards />
            <div class="table-frame" tabindex="0" role="region" aria-label="Streaming destinations" node_ref=frame>
                <table class="destinations">
                    <thead>
                        <tr>
                            <th scope="col"><span class="hidden">"Details"</span></th>
                            <th scope="col">"Status"</th>
                            <th scope="col">"Destination Name"</th>
                            <th scope="col">"Streaming Connector"</th>
                            <th scope="col">"Last Streamed"</th>
                            <th scope="col"><span class="hidden">"Actions"</span></th>
                        </tr>
                    </thead>
                    <For
                        each=move || rows.with(|rows| rows.iter().map(|row| id_of(row).to_owned()).collect::<Vec<_>>())
                        key=Clone::clone
                        children=move |id| {
                            let first = item(&id);
                            let known = Memo::new(move |last: Option<&Option<AggregateItem>>| {
                                item(&id).or_else(|| last.cloned().flatten()).or_else(|| first.clone())
                            });
                            known
                                .get_untracked()
                                .map(|row| {
                                    let row = Signal::derive(move || known.get().unwrap_or_else(|| row.clone()));
                                    view! { <destination_row::Row row=row person=person.get_value() refresh=refresh gone=gone /> }
                                })
                        }
                    />
                </table>
            </div>
        </Show>
        <Show when=move || total.with(|total| *total > 100_u32)>
            <p class="muted">"The 100 destinations changed last are shown."</p>
        </Show>
    }
    .into_any()
}

fn id_of(row: &AggregateItem) -> &str {
    row.streaming_destination.identifier.as_str()
}

fn is_active(row: &AggregateItem) -> bool {
    row.streaming_destination.status == Status::Active
}

#[component]
fn NewButton(refused: Option<&'static str>) -> impl IntoView {
    match refused {
        None => view! {
            <a class="button primary" href="/settings/audit-trail/streaming/new">"New Streaming Destination"</a>
        }
        .into_any(),
        Some(reason) => view! {
            <button type="button" class="button primary" disabled title=reason>"New Streaming Destination"</button>
            <span class="muted reason">{reason}</span>
        }
        .into_any(),
    }
}

#[component]
fn Empty(refused: Option<&'static str>) -> impl IntoView {
    view! {
        <div class="empty">
            <Icon shape=Shape::Bucket />
            <h2>"No streaming destinations yet"</h2>
            <p>
                "Stream every audit event to an Amazon S3 bucket, where your SIEM can read it and where it is kept for as long as you like."
            </p>
            <NewButton refused=refused />
            <a href="/docs/api" rel="external">"Read how streaming is set up through the API"</a>
        </div>
    }
}

#[component]
fn CardRow(cards: RwSignal<Cards>) -> impl IntoView {
    let count = move |status: Status| {
        cards.with(|cards| {
            cards
                .count_by_status_card
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
                <dd class="figure figure-text">{move || format!("Errors in {}", counted(i64::from(failing()), "destination"))}</dd>
            </div>
        </dl>
    }
}
