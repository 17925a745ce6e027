//! New and Edit Streaming Destination: Overview, Streaming Connector, Connection Test.

mod advanced;
mod advanced_state;
mod connection_test;
mod connector;
mod connector_picker;
mod form;
mod form_state;
mod options;
mod overview;
mod state;
mod steps;

use auditstream_model::{AggregateItem, Permission};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use self::form::Wizard;
use super::not_enabled::NotEnabled;
use crate::components::{PageHead, ProblemAlert};
use crate::paths;
use crate::server_functions::destinations::get_destination;
use crate::session::{denied, signed_in};

/// The page for a new destination.
#[component]
pub fn NewDestination() -> impl IntoView {
    view! {
        <Suspense fallback=|| ()>
            {move || Suspend::new(async move { view! { <PermittedWizard initial=None /> } })}
        </Suspense>
    }
    .into_any()
}

/// The page for changing a destination.
#[component]
pub fn EditDestination() -> impl IntoView {
    let params = use_params_map();
    let destination = Resource::new(move || params.read().get("id").unwrap_or_default(), get_destination);
    view! {
        <Suspense fallback=|| view! { <p class="skeleton">"Loading the destination…"</p> }>
            {move || Suspend::new(async move {
                match destination.await {
                    Ok(found) => view! { <PermittedWizard initial=Some(found) /> }.into_any(),
                    Err(error) => {
                        view! {
                            <PageHead title="Edit Streaming Destination" crumbs=paths::UNDER_STREAMING />
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
fn PermittedWizard(initial: Option<AggregateItem>) -> impl IntoView {
    let title = if initial.is_some() {
        "Edit Streaming Destination"
    } else {
        "New Streaming Destination"
    };
    let initial = StoredValue::new(initial);
    view! {
        <Suspense fallback=|| ()>
            {move || Suspend::new(async move {
                let body = match signed_in().await {
                    Err(error) => view! { <ProblemAlert error=error /> }.into_any(),
                    Ok(user) if !user.streaming_enabled => view! { <NotEnabled /> }.into_any(),
                    Ok(user) => {
                        match denied(&user, Permission::EditDestination) {
                            Some(reason) => view! { <p class="banner banner-warning">{reason}</p> }.into_any(),
                            None => view! { <Wizard initial=initial.get_value() /> }.into_any(),
                        }
                    }
                };
                view! {
                    <PageHead title=title crumbs=paths::UNDER_STREAMING />
                    <noscript>
                        <p class="banner banner-warning">"This wizard requires JavaScript."</p>
                    </noscript>
                    {body}
                }
            })}
        </Suspense>
    }
    .into_any()
}
