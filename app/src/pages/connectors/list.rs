//! The list of connectors.

use auditstream_model::{ConnectorView, ListQuery, Permission};
use leptos::prelude::*;

use super::connector_row::Row;
use crate::components::focus::focus_table;
use crate::components::{Icon, PageHead, ProblemBox, Shape, TableSkeleton};
use crate::layout::{denied, signed_in};
use crate::server_functions::connectors::list_connectors;

/// The element id of why somebody cannot change connectors.
pub(super) const REASON: &str = "why-no-connector";

fn everything() -> ListQuery {
    ListQuery {
        limit: 100,
        ..ListQuery::default()
    }
}

async fn refused(permission: Permission) -> Option<&'static str> {
    signed_in().await.ok().and_then(|person| denied(&person, permission))
}

/// All connectors of the account.
#[component]
pub fn Connectors() -> impl IntoView {
    let connectors = Resource::new(|| (), |()| list_connectors(everything()));
    let retry = Callback::new(move |()| connectors.refetch());
    // Whether there is any, once the page lives.
    let any = RwSignal::new(None::<bool>);
    view! {
        <PageHead title="Connectors" crumbs=&[("Account Settings", "/settings")]>
            <Suspense fallback=|| ()>
                {move || Suspend::new(async move {
                    let refused = refused(Permission::EditConnector).await;
                    let found = connectors.await.is_ok_and(|found| !found.items.is_empty());
                    view! {
                        <Show when=move || any.get().unwrap_or(found)>
                            <NewButton refused=refused />
                        </Show>
                    }
                })}
            </Suspense>
        </PageHead>
        <noscript>
            <p class="banner banner-warning">"Testing and deleting a connector need JavaScript."</p>
        </noscript>
        <Suspense fallback=|| view! { <TableSkeleton label="Loading connectors…" /> }>
            {move || Suspend::new(async move {
                let no_edit = refused(Permission::EditConnector).await;
                let no_delete = refused(Permission::DeleteConnector).await;
                match connectors.await {
                    Err(error) => view! { <ProblemBox error=error retry=retry /> }.into_any(),
                    Ok(found) => {
                        view! { <Table found=found.items no_edit=no_edit no_delete=no_delete any=any /> }.into_any()
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
        None => view! { <a class="button primary" href="/settings/connectors/new">"New AWS connector"</a> }.into_any(),
        Some(reason) => view! {
            <button type="button" class="button primary" disabled title=reason>"New AWS connector"</button>
            <span class="muted reason" id=REASON>{reason}</span>
        }
        .into_any(),
    }
}

#[component]
fn Table(
    found: Vec<ConnectorView>,
    no_edit: Option<&'static str>,
    no_delete: Option<&'static str>,
    any: RwSignal<Option<bool>>,
) -> impl IntoView {
    let rows = RwSignal::new(found);
    let filled = Memo::new(move |_| rows.with(|rows| !rows.is_empty()));
    Effect::new(move |_| any.set(Some(filled.get())));
    let frame = NodeRef::<leptos::html::Div>::new();
    let gone = Callback::new(move |id: String| {
        rows.update(|rows| rows.retain(|row| row.connector.identifier.as_str() != id));
        focus_table(frame);
    });
    view! {
        <Show when=move || filled.get() fallback=move || view! { <Empty refused=no_edit /> }>
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
                        children=move |row| view! { <Row row=row no_edit=no_edit no_delete=no_delete gone=gone /> }
                    />
                </table>
            </div>
        </Show>
    }
}

#[component]
fn Empty(refused: Option<&'static str>) -> impl IntoView {
    view! {
        <div class="empty">
            <Icon shape=Shape::Plug />
            <h2>"No connectors yet"</h2>
            <p>"A connector says how to reach AWS: credentials, region and retries."</p>
            <NewButton refused=refused />
            <a href="/docs/api" rel="external">"Read how connectors are set up through the API"</a>
        </div>
    }
}
