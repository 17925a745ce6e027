//! New and Edit Streaming Destination: Overview, Streaming Connector, Connection Test.

mod connection_test;
mod connector;
mod form_state;
mod overview;
mod picker;
mod state;

use auditstream_model::{AggregateItem, Permission};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use super::NotEnabled;
use crate::components::{PageHead, ProblemBox};
use crate::layout::{denied, signed_in};
use crate::server_functions::destinations::get_destination;

const CRUMBS: &[(&str, &str)] = &[
    ("Account Settings", "/settings"),
    ("Audit Trail", "/settings/audit-trail"),
    ("Audit Log Streaming", "/settings/audit-trail/streaming"),
];

/// The wizard for a new destination.
#[component]
pub fn NewDestination() -> impl IntoView {
    view! {
        <Suspense fallback=|| ()>
            {move || Suspend::new(async move { view! { <Checked initial=None /> } })}
        </Suspense>
    }
    .into_any()
}

/// The wizard for a destination that exists.
#[component]
pub fn EditDestination() -> impl IntoView {
    let params = use_params_map();
    let destination = Resource::new(move || params.read().get("id").unwrap_or_default(), get_destination);
    view! {
        <Suspense fallback=|| view! { <p class="skeleton">"Loading the destination…"</p> }>
            {move || Suspend::new(async move {
                match destination.await {
                    Ok(found) => view! { <Checked initial=Some(found) /> }.into_any(),
                    Err(error) => {
                        view! {
                            <PageHead title="Edit Streaming Destination" crumbs=CRUMBS />
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

/// The wizard, or why there is none.
#[component]
fn Checked(initial: Option<AggregateItem>) -> impl IntoView {
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
                    Err(error) => view! { <ProblemBox error=error /> }.into_any(),
                    Ok(person) if !person.streaming_enabled => view! { <NotEnabled /> }.into_any(),
                    Ok(person) => {
                        match denied(&person, Permission::EditDestination) {
                            Some(reason) => view! { <p class="banner banner-warning">{reason}</p> }.into_any(),
                            None => view! { <state::Wizard initial=initial.get_value() /> }.into_any(),
                        }
                    }
                };
                view! {
                    <PageHead title=title crumbs=CRUMBS />
                    <noscript>
                        <p class="banner banner-warning">"This wizard needs JavaScript."</p>
                    </noscript>
                    {body}
                }
            })}
        </Suspense>
    }
    .into_any()
}
