//! The placeholder for streaming while it is disabled on the server.

use leptos::prelude::*;

/// The placeholder for streaming while it is disabled on the server.
#[component]
pub fn NotEnabled() -> impl IntoView {
    view! {
        <div class="empty">
            <h2>"Audit Log Streaming"</h2>
            <p>"Not enabled. Contact your administrator."</p>
        </div>
    }
}
