//! The page for every other address.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::paths;

/// The page for every other address.
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
            <a class="button" href=paths::SETTINGS>"Go to Account Settings"</a>
        </main>
    }
}
