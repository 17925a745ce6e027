//! The list of connectors.

use auditstream_model::{ConnectorView, ListQuery, Permission};
use leptos::prelude::*;

use super::connector_row::{CANNOT_CHANGE_ID, ConnectorRow};
use crate::components::focus::focus_table;
use crate::components::{Icon, PageHead, ProblemAlert, Shape, TableSkeleton};
use crate::paths;
use crate::server_functions::connectors::list_connectors;
use crate::session::{denied, signed_in};

fn all_connectors() -> ListQuery {
    ListQuery {
        limit: 100,
        ..ListQuery::default()
    }
}

async fn refused(permission: Permission) -> Option<&'static str> {
    signed_in().await.ok().and_then(|user| denied(&user, permission))
}

/// The page.
#[component]
pub fn Connectors() -> impl IntoView {
    let connectors = Resource::new(|| (), |()| list_connectors(all_connectors()));
    let retry = Callback::new(move |()| connectors.refetch());
    // Set after hydration.
    let has_rows = RwSignal::new(None::<bool>);
    view! {
        <PageHead title="Connectors" crumbs=paths::UNDER_SETTINGS>
            <Suspense fallback=|| ()>
                {move || Suspend::new(async move {
                    let refused = refused(Permission::EditConnector).await;
                    let had_rows = connectors.await.is_ok_and(|found| !found.items.is_empty());
                    view! {
                        <Show when=move || has_rows.get().unwrap_or(had_rows)>
                            <NewButton refused=refused />
                        </Show>
                    }
                })}
            </Suspense>
        </PageHead>
        <noscript>
            <p class="banner banner-warning">"Testing and deleting a connector require JavaScript."</p>
        </noscript>
        <Suspense fallback=|| view! { <TableSkeleton label="Loading connectors…" /> }>
            {move || Suspend::new(async move {
                let no_edit = refused(Permission::EditConnector).await;
                let no_delete = refused(Permission::DeleteConnector).await;
                match connectors.await {
                    Err(error) => view! { <ProblemAlert error=error retry=retry /> }.into_any(),
                    Ok(found) => {
                        view! { <ConnectorTable first=found.items no_edit=no_edit no_delete=no_delete has_rows=has_rows /> }
                            .into_any()
                    }
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn NewButton(refused: Option<&'static str>) -> impl IntoView {
    match refused {
        None => view! { <a class="button primary" href=paths::NEW_CONNECTOR>"New AWS connector"</a> }.into_any(),
        Some(reason) => view! {
            <button type="button" class="button primary" disabled title=reason>"New AWS connector"</button>
            <span class="muted reason" id=CANNOT_CHANGE_ID>{reason}</span>
        }
        .into_any(),
    }
}

#[component]
fn ConnectorTable(
    first: Vec<ConnectorView>,
    no_edit: Option<&'static str>,
    no_delete: Option<&'static str>,
    has_rows: RwSignal<Option<bool>>,
) -> impl IntoView {
    let rows = RwSignal::new(first);
    let is_filled = Memo::new(move |_| rows.with(|rows| !rows.is_empty()));
    Effect::new(move |_| has_rows.set(Some(is_filled.get())));
    let frame = NodeRef::<leptos::html::Div>::new();
    let deleted = Callback::new(move |id: String| {
        rows.update(|rows| rows.retain(|row| row.connector.identifier.as_str() != id));
        focus_table(frame);
    });
    view! {
        <Show when=move || is_filled.get() fallback=move || view! { <NoConnectors refused=no_edit /> }>
            <div class="table-frame" tabindex="0" role="region" aria-label="Connectors" node_ref=frame>
                <table class="connectors">
                    <thead>
                        <tr>
                            <th scope="col">"Name"</th>
                            <th scope="col">"Credentials"</th>
                            <th scope="col">"Region"</th>
                            <th scope="col">"Used by"</th>
                            <th scope="col">"Changed"</th>
                            <th scope="col"><span class="hidden">"Actions"</span></th>
                        </tr>
                    </thead>
                    <For
                        each=move || rows.get()
                        key=|row| row.connector.identifier.clone()
                        children=move |row| {
                            view! { <ConnectorRow row=row no_edit=no_edit no_delete=no_delete on_deleted=deleted /> }
                        }
                    />
                </table>
            </div>
        </Show>
    }
}

#[component]
fn NoConnectors(refused: Option<&'static str>) -> impl IntoView {
    view! {
        <div class="empty">
            <Icon shape=Shape::Plug />
            <h2>"No connectors yet"</h2>
            <p>"A connector defines how to reach AWS: credentials, region and retries."</p>
            <NewButton refused=refused />
            <a href=paths::API_REFERENCE rel="external">"Read how to set up connectors with the API"</a>
        </div>
    }
}
