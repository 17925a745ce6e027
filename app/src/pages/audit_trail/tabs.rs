//! The tabs of the audit trail.

use leptos::prelude::*;
use leptos_router::components::A;

use crate::layout::signed_in;

/// Audit Logs and, where streaming is enabled, Audit Log Streaming.
#[component]
pub fn Tabs() -> impl IntoView {
    view! {
        <nav class="tabs" aria-label="Audit Trail">
            <A href="/settings/audit-trail/logs">"Audit Logs"</A>
            <Suspense fallback=|| ()>
                {move || Suspend::new(async move {
                    let enabled = signed_in().await.is_ok_and(|person| person.streaming_enabled);
                    enabled
                        .then(|| {
                            view! {
                                <A href="/settings/audit-trail/streaming">
                                    "Audit Log Streaming" <span class="badge">"Beta"</span>
                                </A>
                            }
                        })
                })}
            </Suspense>
        </nav>
    }
}
