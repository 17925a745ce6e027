//! The tabs of the audit trail.

use leptos::prelude::*;
use leptos_router::components::A;

use crate::paths;
use crate::session::signed_in;

/// Audit Logs and, if streaming is enabled, Audit Log Streaming.
#[component]
pub fn Tabs() -> impl IntoView {
    view! {
        <nav class="tabs" aria-label="Audit Trail">
            <A href=paths::LOGS>"Audit Logs"</A>
            <Suspense fallback=|| ()>
                {move || Suspend::new(async move {
                    let enabled = signed_in().await.is_ok_and(|user| user.streaming_enabled);
                    enabled
                        .then(|| {
                            view! {
                                <A href=paths::STREAMING>"Audit Log Streaming" <span class="badge">"Beta"</span></A>
                            }
                        })
                })}
            </Suspense>
        </nav>
    }
}
