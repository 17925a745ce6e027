//! Audit Trail: its two tabs, a destination's page, and the wizard of streaming destinations.

mod destination;
mod drawer;
mod failure;
mod logs;
mod streaming;
mod tabs;
mod wizard;

pub use destination::DestinationPage;
pub use logs::Logs;
pub use streaming::Streaming;
pub use wizard::{EditDestination, NewDestination};

use leptos::prelude::*;

/// What stands in place of everything that streams while the server has streaming switched off.
#[component]
pub fn NotEnabled() -> impl IntoView {
    view! {
        <div class="empty">
            <h2>"Audit Log Streaming"</h2>
            <p>"Not enabled. Contact your administrator."</p>
        </div>
    }
}
