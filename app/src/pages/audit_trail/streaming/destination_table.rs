//! The table of destinations, which loads itself again while one of them is active.

use std::time::Duration;

use auditstream_model::{AggregateItem, Cards, ListQuery, Listing, Permission, SignedIn, Status};
use leptos::prelude::*;

use super::cards::CardRow;
use super::destination_row::DestinationRow;
use crate::components::focus::focus_table;
use crate::components::{Icon, Shape};
use crate::error::ConsoleError;
use crate::features::polling::{StaleNotice, Staleness, on_demand, use_polling};
use crate::pages::flash::FlashMessage;
use crate::paths;
use crate::server_functions::destinations::{destination_cards, list_destinations};
use crate::session::denied;

const REFRESH_INTERVAL: Duration = Duration::from_secs(3);
const MAX_ROWS: u32 = 100;

pub(super) type Loaded = (Listing<AggregateItem>, Cards);

pub(super) async fn load() -> Result<Loaded, ConsoleError> {
    let query = ListQuery {
        limit: MAX_ROWS,
        ..ListQuery::default()
    };
    Ok((list_destinations(query).await?, destination_cards().await?))
}

#[component]
pub(super) fn DestinationTable(
    first: Loaded,
    user: SignedIn,
    /// Set to whether there is any destination.
    has_rows: RwSignal<Option<bool>>,
) -> impl IntoView {
    let (listing, cards) = first;
    let total = RwSignal::new(listing.total);
    let rows = RwSignal::new(listing.items);
    let cards = RwSignal::new(cards);
    let is_filled = Memo::new(move |_| rows.with(|rows| !rows.is_empty()));
    Effect::new(move |_| has_rows.set(Some(is_filled.get())));
    let staleness = Staleness::default();
    let reload = move || async move {
        if let Some((fresh, fresh_cards)) = staleness.record(load().await) {
            total.try_set(fresh.total);
            rows.try_set(fresh.items);
            cards.try_set(fresh_cards);
        }
    };
    let refresh = on_demand(reload);
    use_polling(REFRESH_INTERVAL, move || async move {
        let is_active = rows.try_with_untracked(|rows| rows.iter().any(is_active)) == Some(true);
        if is_active || staleness.is_stale() {
            reload().await;
        }
    });
    let frame = NodeRef::<leptos::html::Div>::new();
    let deleted = Callback::new(move |id: String| {
        rows.update(|rows| rows.retain(|row| id_of(row) != id));
        focus_table(frame);
        refresh.run(());
    });
    let no_edit = denied(&user, Permission::EditDestination);
    view! {
        <FlashMessage />
        <div class="banner banner-warning">
            <Icon shape=Shape::Warning />
            <p>
                "Streaming destinations receive all audit event data, which could include sensitive information. Make sure you trust the streaming destination."
            </p>
        </div>
        <StaleNotice staleness=staleness refresh=refresh />
        <Show when=move || is_filled.get() fallback=move || view! { <NoDestinations refused=no_edit /> }>
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
                    <Rows rows=rows user=user.clone() refresh=refresh deleted=deleted />
                </table>
            </div>
        </Show>
        <Show when=move || total.with(|total| *total > MAX_ROWS)>
            <p class="muted">"The list shows the 100 destinations that were changed last."</p>
        </Show>
    }
    .into_any()
}

/// A row per destination, which is kept while its destination is loaded again.
#[component]
fn Rows(
    rows: RwSignal<Vec<AggregateItem>>,
    user: SignedIn,
    refresh: Callback<()>,
    deleted: Callback<String>,
) -> impl IntoView {
    let find = move |id: &str| rows.with(|rows| rows.iter().find(|row| id_of(row) == id).cloned());
    let row = move |id: String| {
        let first = find(&id);
        let latest = Memo::new(move |last: Option<&Option<AggregateItem>>| {
            find(&id).or_else(|| last.cloned().flatten()).or_else(|| first.clone())
        });
        let first = latest.get_untracked();
        first.map(|first| {
            let row = Signal::derive(move || latest.get().unwrap_or_else(|| first.clone()));
            view! { <DestinationRow row=row user=user.clone() refresh=refresh on_deleted=deleted /> }
        })
    };
    view! {
        <For
            each=move || rows.with(|rows| rows.iter().map(|row| id_of(row).to_owned()).collect::<Vec<_>>())
            key=Clone::clone
            children=row
        />
    }
}

fn id_of(row: &AggregateItem) -> &str {
    row.streaming_destination.identifier.as_str()
}

fn is_active(row: &AggregateItem) -> bool {
    row.streaming_destination.status == Status::Active
}

#[component]
pub(super) fn NewButton(
    /// Why the user may not create a destination, if so.
    refused: Option<&'static str>,
) -> impl IntoView {
    match refused {
        None => view! {
            <a class="button primary" href=paths::NEW_DESTINATION>"New Streaming Destination"</a>
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
fn NoDestinations(refused: Option<&'static str>) -> impl IntoView {
    view! {
        <div class="empty">
            <Icon shape=Shape::Bucket />
            <h2>"No streaming destinations yet"</h2>
            <p>
                "Stream every audit event to an Amazon S3 bucket, where your SIEM can read it and where you can keep it for as long as you like."
            </p>
            <NewButton refused=refused />
            <a href=paths::API_REFERENCE rel="external">"Read how to set up streaming with the API"</a>
        </div>
    }
}
