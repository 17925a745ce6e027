//! The page of one streaming destination.

mod chart;
mod figures;
mod move_cursor;
mod objects;
mod rename;
mod stream_now;

use std::time::Duration;

use auditstream_model::{AggregateItem, Batch, Code, ListQuery, Listing, Permission, SignedIn};
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};

use self::figures::{DestinationFacts, Figures};
use self::move_cursor::MoveCursor;
use self::objects::Objects;
use self::rename::Rename;
use self::stream_now::StreamNow;
use super::failure::FailureAlert;
use super::not_enabled::NotEnabled;
use crate::components::{PageHead, ProblemAlert};
use crate::error::ConsoleError;
use crate::features::BucketAccess;
use crate::features::polling::{StaleNotice, Staleness, on_demand, use_polling};
use crate::paths;
use crate::server_functions::destinations::{get_destination, list_batches};
use crate::session::{denied, signed_in};

const REFRESH_INTERVAL: Duration = Duration::from_secs(3);
const OBJECTS_PER_PAGE: u32 = 30;

/// The destination, and one page of its objects.
type Loaded = (AggregateItem, Listing<Batch>);

async fn load(id: String, page: u32) -> Result<Loaded, ConsoleError> {
    let query = ListQuery {
        page,
        limit: OBJECTS_PER_PAGE,
        ..ListQuery::default()
    };
    Ok((get_destination(id.clone()).await?, list_batches(id, query).await?))
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
                let user = signed_in().await;
                match (user, loaded.await) {
                    (Ok(user), _) if !user.streaming_enabled => view! { <NotEnabled /> }.into_any(),
                    (Ok(user), Ok(first)) => view! { <Destination first=first user=user /> }.into_any(),
                    (_, Err(error)) if error.0.code == Code::NotFound => {
                        view! {
                            <PageHead title="Streaming destination" crumbs=paths::UNDER_STREAMING />
                            <ProblemAlert error=error />
                            <p><a href=paths::STREAMING>"All streaming destinations"</a></p>
                        }
                            .into_any()
                    }
                    (Err(error), _) | (_, Err(error)) => {
                        view! {
                            <PageHead title="Streaming destination" crumbs=paths::UNDER_STREAMING />
                            <ProblemAlert error=error retry=retry />
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
fn Destination(first: Loaded, user: SignedIn) -> impl IntoView {
    let (item, objects) = first;
    let id = item.streaming_destination.identifier.to_string();
    let name = item.streaming_destination.name.to_string();
    let page = objects.page;
    let item = RwSignal::new(item);
    let objects = RwSignal::new(objects);
    let staleness = Staleness::default();
    let stored_id = StoredValue::new(id.clone());
    let reload = move || async move {
        if let Some((fresh, fresh_objects)) = staleness.record(load(stored_id.get_value(), page).await) {
            if item.try_with_untracked(|old| *old != fresh) == Some(true) {
                item.try_set(fresh);
            }
            if objects.try_with_untracked(|old| *old != fresh_objects) == Some(true) {
                objects.try_set(fresh_objects);
            }
        }
    };
    let refresh = on_demand(reload);
    use_polling(REFRESH_INTERVAL, reload);
    let refused = denied(&user, Permission::EditDestination);
    let edit = paths::edit_destination(&id);
    view! {
        <PageHead title=name crumbs=paths::UNDER_STREAMING>
            {match refused {
                None => view! { <a class="button" href=edit>"Edit"</a> }.into_any(),
                Some(reason) => view! { <button type="button" class="button" disabled title=reason>"Edit"</button> }.into_any(),
            }}
            <StreamNow id=stored_id.get_value() item=item.into() refused=refused refresh=refresh />
        </PageHead>
        {refused.map(|reason| view! { <p class="muted reason">{reason}</p> })}
        <StaleNotice staleness=staleness refresh=refresh />
        <FailureAlert item=item.into() />
        <Rename id=stored_id.get_value() objects=objects.into() refused=refused on_renamed=refresh />
        <Figures item=item.into() user=user refresh=refresh />
        <DestinationFacts item=item.into() />
        <Objects objects=objects.into() />
        <details class="disclosure destination-section">
            <summary>"Bucket access"</summary>
            <BucketAccess id=Signal::stored(id) refused=refused on_checked=refresh />
        </details>
        <MoveCursor item=item.into() refused=refused on_moved=refresh />
    }
    .into_any()
}
