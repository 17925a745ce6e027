//! The list of connectors.

use auditstream_model::{ConnectorView, Credentials, ListQuery, Permission};
use leptos::prelude::*;

use crate::components::{PageHead, ProblemBox, TestResult, TestRun, TimeAgo};
use crate::layout::{denied, signed_in};
use crate::server_functions::connectors::{delete_connector, list_connectors};

fn everything() -> ListQuery {
    ListQuery {
        limit: 100,
        ..ListQuery::default()
    }
}

/// All connectors of the account.
#[component]
pub fn Connectors() -> impl IntoView {
    let connectors = Resource::new(|| (), |()| list_connectors(everything()));
    let retry = Callback::new(move |()| connectors.refetch());
    view! {
        <Suspense fallback=|| view! { <p class="skeleton">"Loading connectors…"</p> }>
            {move || Suspend::new(async move {
                let person = signed_in().await;
                let no_edit = person.as_ref().ok().and_then(|person| denied(person, Permission::EditConnector));
                let no_delete = person.as_ref().ok().and_then(|person| denied(person, Permission::DeleteConnector));
                let rows = connectors.await;
                view! {
                    <PageHead title="Connectors" crumbs=&[("Account Settings", "/settings")]>
                        <NewButton refused=no_edit />
                    </PageHead>
                    {match rows {
                        Err(error) => view! { <ProblemBox error=error retry=retry /> }.into_any(),
                        Ok(found) if found.items.is_empty() => {
                            view! {
                                <div class="empty">
                                    <h2>"No connectors yet"</h2>
                                    <p>"A connector says how to reach AWS: credentials, region and retries."</p>
                                    <NewButton refused=no_edit />
                                </div>
                            }
                                .into_any()
                        }
                        Ok(found) => {
                            view! { <Table rows=found.items no_edit=no_edit no_delete=no_delete changed=retry /> }
                                .into_any()
                        }
                    }}
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
            <span class="muted reason">{reason}</span>
        }
        .into_any(),
    }
}

#[component]
fn Table(
    rows: Vec<ConnectorView>,
    no_edit: Option<&'static str>,
    no_delete: Option<&'static str>,
    changed: Callback<()>,
) -> impl IntoView {
    view! {
        <div class="table-frame" tabindex="0" role="region" aria-label="Connectors">
            <table>
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
                <tbody>
                    {rows
                        .into_iter()
                        .map(|row| view! { <Row row=row no_edit=no_edit no_delete=no_delete changed=changed /> })
                        .collect_view()}
                </tbody>
            </table>
        </div>
    }
}

#[component]
fn Row(
    row: ConnectorView,
    no_edit: Option<&'static str>,
    no_delete: Option<&'static str>,
    changed: Callback<()>,
) -> impl IntoView {
    let id = row.connector.identifier.to_string();
    let name = row.connector.name.to_string();
    let credentials = match &row.connector.spec.credentials {
        Credentials::Manual { access_key } => format!("Access key {access_key}"),
        Credentials::Inherit => "Inherited from the host".to_owned(),
        Credentials::Irsa => "IRSA".to_owned(),
    };
    let uses = row.used_by.len();
    let used = row
        .used_by
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let in_use = (uses > 0).then(|| format!("In use by {used}: select another connector there first."));
    let reason = no_delete.map(str::to_owned).or(in_use);
    let test = TestRun::new();
    let remove = Action::new(|id: &String| delete_connector(id.clone()));
    let sure = RwSignal::new(false);
    Effect::new(move |_| {
        if remove.value().with(|outcome| matches!(outcome, Some(Ok(())))) {
            changed.run(());
        }
    });
    let tested = id.clone();
    let removed = id.clone();
    let may_delete = reason.is_none();
    let updated = row.updated;
    view! {
        <tr>
            <td>
                <a href=format!("/settings/connectors/{id}/edit")><strong>{name.clone()}</strong></a>
                <span class="mono muted block">{id}</span>
            </td>
            <td>{credentials}</td>
            <td class="mono">{row.connector.spec.region}</td>
            <td title=used>{match uses { 0 => "–".to_owned(), 1 => "1 destination".to_owned(), uses => format!("{uses} destinations") }}</td>
            <td><TimeAgo at=Signal::stored(updated) /></td>
            <td class="end nowrap">
                <button
                    type="button"
                    class="button small"
                    aria-label=format!("Test {name}")
                    disabled=move || no_edit.is_some() || test.pending.get()
                    title=no_edit.unwrap_or_default()
                    on:click=move |_| test.start(tested.clone())
                >
                    "Test"
                </button>
                " "
                <button
                    type="button"
                    class="button small"
                    class:danger=move || sure.get()
                    disabled=move || !may_delete || remove.pending().get()
                    title=reason.unwrap_or_default()
                    aria-label=move || if sure.get() { format!("Really delete {name}") } else { format!("Delete {name}") }
                    on:blur=move |_| sure.set(false)
                    on:click=move |_| {
                        if sure.get_untracked() {
                            remove.dispatch(removed.clone());
                        } else {
                            sure.set(true);
                        }
                    }
                >
                    {move || if sure.get() { "Really delete?" } else { "Delete" }}
                </button>
                <div class="row-result">
                    <TestResult run=test />
                    {move || {
                        remove
                            .value()
                            .get()
                            .and_then(Result::err)
                            .map(|error| view! { <ProblemBox error=error /> })
                    }}
                </div>
            </td>
        </tr>
    }
}
