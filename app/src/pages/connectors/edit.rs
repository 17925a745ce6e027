//! The pages that make and change a connector.

use auditstream_model::{ConnectorView, Permission};
use leptos::prelude::*;
use leptos_router::hooks::{use_navigate, use_params_map};

use super::ConnectorForm;
use crate::components::focus::focus_page;
use crate::components::{PageHead, ProblemBox, TestResult, TestRun, Unsaved};
use crate::layout::{denied, signed_in};
use crate::server_functions::connectors::get_connector;

const CRUMBS: &[(&str, &str)] = &[
    ("Account Settings", "/settings"),
    ("Connectors", "/settings/connectors"),
];

fn back_to_list() -> Callback<()> {
    let navigate = use_navigate();
    Callback::new(move |()| {
        navigate("/settings/connectors", leptos_router::NavigateOptions::default());
        focus_page();
    })
}

#[component]
fn NeedsScript() -> impl IntoView {
    view! {
        <noscript>
            <p class="banner banner-warning">"This form needs JavaScript."</p>
        </noscript>
    }
}

/// A new connector.
#[component]
pub fn NewConnector() -> impl IntoView {
    let back = back_to_list();
    let saved = Callback::new(move |_: ConnectorView| back.run(()));
    let typed = RwSignal::new(false);
    view! {
        <PageHead title="New AWS connector" crumbs=CRUMBS />
        <NeedsScript />
        <Suspense fallback=|| ()>
            {move || Suspend::new(async move {
                match signed_in().await.map(|person| denied(&person, Permission::EditConnector)) {
                    Err(error) => view! { <ProblemBox error=error /> }.into_any(),
                    Ok(Some(reason)) => view! { <p class="banner banner-warning">{reason}</p> }.into_any(),
                    Ok(None) => {
                        view! {
                            <ConnectorForm on_saved=saved on_cancel=back typed=typed />
                            <Unsaved typed=typed />
                        }
                            .into_any()
                    }
                }
            })}
        </Suspense>
    }
    .into_any()
}

/// An existing connector, its test, and where it is used.
#[component]
pub fn EditConnector() -> impl IntoView {
    let params = use_params_map();
    let connector = Resource::new(move || params.read().get("id").unwrap_or_default(), get_connector);
    let back = back_to_list();
    view! {
        <Suspense fallback=|| view! { <p class="skeleton">"Loading the connector…"</p> }>
            {move || Suspend::new(async move {
                let refused = signed_in().await.ok().and_then(|person| denied(&person, Permission::EditConnector));
                match connector.await {
                    Ok(found) => view! { <Edit found=found refused=refused back=back /> }.into_any(),
                    Err(error) => {
                        view! {
                            <PageHead title="Connector" crumbs=CRUMBS />
                            <ProblemBox error=error />
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
fn Edit(found: ConnectorView, refused: Option<&'static str>, back: Callback<()>) -> impl IntoView {
    let id = found.connector.identifier.to_string();
    let test = TestRun::new();
    let saved = Callback::new(move |_: ConnectorView| back.run(()));
    let used_by = found.used_by.clone();
    let typed = RwSignal::new(false);
    view! {
        <PageHead title=found.connector.name.to_string() crumbs=CRUMBS>
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
        <p class="used-by">
            {if used_by.is_empty() {
                "No streaming destination uses this connector.".into_any()
            } else {
                view! {
                    "Used by "
                    {used_by
                        .into_iter()
                        .map(|id| {
                            view! {
                                <a class="chip mono" href=format!("/settings/audit-trail/streaming/{id}")>
                                    {id.to_string()}
                                </a>
                            }
                        })
                        .collect_view()}
                }
                    .into_any()
            }}
        </p>
        <ConnectorForm initial=found.connector on_saved=saved on_cancel=back refused=refused.is_some() typed=typed />
        <Unsaved typed=typed />
    }
}
