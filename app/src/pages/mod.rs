//! One module for each screen.

pub mod access;
pub mod audit_trail;
pub mod connectors;
mod flash;
mod one_time_link;
mod settings;
mod sign_in;

pub use one_time_link::{Invitation, Setup};
pub use settings::Settings;
pub use sign_in::SignIn;

use leptos::prelude::*;
use leptos_meta::Title;

/// There is no such page.
#[component]
pub fn NotFound() -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(http::StatusCode::NOT_FOUND);
    }
    view! {
        <Title text="Page not found" />
        <main class="gate">
            <h1>"Page not found"</h1>
            <p>"There is no page at this address."</p>
            <a class="button" href="/settings">"Go to Account Settings"</a>
        </main>
    }
}
