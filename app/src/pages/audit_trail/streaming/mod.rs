//! Audit Log Streaming: four cards and the table of destinations.

mod cards;
mod delete_dialog;
mod destination_details;
mod destination_row;
mod destination_table;

use auditstream_model::Permission;
use leptos::prelude::*;

use self::destination_table::{DestinationTable, NewButton};
use super::not_enabled::NotEnabled;
use super::tabs::Tabs;
use crate::components::{PageHead, ProblemAlert, TableSkeleton};
use crate::paths;
use crate::session::{denied, signed_in};

/// The tab.
#[component]
pub fn Streaming() -> impl IntoView {
    let loaded = Resource::new(|| (), |()| destination_table::load());
    let retry = Callback::new(move |()| loaded.refetch());
    // Set after hydration.
    let has_rows = RwSignal::new(None::<bool>);
    view! {
        <PageHead title="Audit Trail" crumbs=paths::UNDER_SETTINGS>
            <Suspense fallback=|| ()>
                {move || Suspend::new(async move {
                    let user = signed_in().await.ok();
                    let refused = user.and_then(|user| denied(&user, Permission::EditDestination));
                    let had_rows = loaded.await.is_ok_and(|(rows, _)| !rows.items.is_empty());
                    view! {
                        <Show when=move || has_rows.get().unwrap_or(had_rows)>
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
                    (Ok(user), _) if !user.streaming_enabled => view! { <NotEnabled /> }.into_any(),
                    (Ok(user), Ok(first)) => {
                        view! { <DestinationTable first=first user=user has_rows=has_rows /> }.into_any()
                    }
                    (Err(error), _) | (_, Err(error)) => view! { <ProblemAlert error=error retry=retry /> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}
