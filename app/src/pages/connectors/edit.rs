//! The pages for creating and changing a connector.

use auditstream_model::{ConnectorView, Identifier, Permission};
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_navigate, use_params_map};

use super::form::ConnectorForm;
use crate::components::focus::focus_page;
use crate::components::{PageHead, ProblemAlert, Unsaved};
use crate::features::connection_test::{TestResult, TestRun};
use crate::paths;
use crate::server_functions::connectors::get_connector;
use crate::session::{denied, signed_in};

fn back_to_list() -> Callback<()> {
    let navigate = use_navigate();
    Callback::new(move |()| {
        navigate(paths::CONNECTORS, NavigateOptions::default());
        focus_page();
    })
}

#[component]
fn NeedsScript() -> impl IntoView {
    view! {
        <noscript>
            <p class="banner banner-warning">"This form requires JavaScript."</p>
        </noscript>
    }
}

/// The page for a new connector.
#[component]
pub fn NewConnector() -> impl IntoView {
    let back = back_to_list();
    let saved = Callback::new(move |_: ConnectorView| back.run(()));
    let is_unsaved = RwSignal::new(false);
    view! {
        <PageHead title="New AWS connector" crumbs=paths::UNDER_CONNECTORS />
        <NeedsScript />
        <Suspense fallback=|| ()>
            {move || Suspend::new(async move {
                match signed_in().await.map(|user| denied(&user, Permission::EditConnector)) {
                    Err(error) => view! { <ProblemAlert error=error /> }.into_any(),
                    Ok(Some(reason)) => view! { <p class="banner banner-warning">{reason}</p> }.into_any(),
                    Ok(None) => {
                        view! {
                            <ConnectorForm on_saved=saved on_cancel=back is_unsaved=is_unsaved />
                            <Unsaved is_unsaved=is_unsaved />
                        }
                            .into_any()
                    }
                }
            })}
        </Suspense>
    }
    .into_any()
}

/// The page of an existing connector: its form, test and uses.
#[component]
pub fn EditConnector() -> impl IntoView {
    let params = use_params_map();
    let connector = Resource::new(move || params.read().get("id").unwrap_or_default(), get_connector);
    let back = back_to_list();
    view! {
        <Suspense fallback=|| view! { <p class="skeleton">"Loading the connector…"</p> }>
            {move || Suspend::new(async move {
                let refused = signed_in().await.ok().and_then(|user| denied(&user, Permission::EditConnector));
                match connector.await {
                    Ok(found) => view! { <ExistingConnector found=found refused=refused back=back /> }.into_any(),
                    Err(error) => {
                        view! {
                            <PageHead title="Connector" crumbs=paths::UNDER_CONNECTORS />
                            <ProblemAlert error=error />
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
fn ExistingConnector(found: ConnectorView, refused: Option<&'static str>, back: Callback<()>) -> impl IntoView {
    let id = found.connector.identifier.to_string();
    let test = TestRun::new();
    let saved = Callback::new(move |_: ConnectorView| back.run(()));
    let is_unsaved = RwSignal::new(false);
    view! {
        <PageHead title=found.connector.name.to_string() crumbs=paths::UNDER_CONNECTORS>
            <button
                type="button"
                class="button needs-script"
                disabled=refused.is_some()
                aria-disabled=move || test.pending.get().to_string()
                title=refused.unwrap_or_default()
                on:click=move |_| {
                    if !test.pending.get_untracked() {
                        test.start(id.clone());
                    }
                }
            >
                {move || if test.pending.get() { "Testing…" } else { "Test connection" }}
            </button>
        </PageHead>
        <NeedsScript />
        {refused.map(|reason| view! { <p class="banner banner-warning">{reason}</p> })}
        <TestResult run=test />
        <UsedBy destinations=found.used_by />
        <ConnectorForm
            initial=found.connector
            on_saved=saved
            on_cancel=back
            disabled=refused.is_some()
            is_unsaved=is_unsaved
        />
        <Unsaved is_unsaved=is_unsaved />
    }
    .into_any()
}

#[component]
fn UsedBy(destinations: Vec<Identifier>) -> impl IntoView {
    let links = destinations
        .iter()
        .map(|id| {
            view! { <a class="chip mono" href=paths::destination(id.as_str())>{id.to_string()}</a> }
        })
        .collect_view();
    view! {
        <p class="used-by">
            {if destinations.is_empty() {
                "No streaming destination uses this connector.".into_any()
            } else {
                view! { "Used by " {links} }.into_any()
            }}
        </p>
    }
}
