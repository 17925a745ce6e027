//! One audit event in full.

use auditstream_model::AuditEvent;
use leptos::prelude::*;

use crate::components::{CopyButton, Icon, Shape, TimeAgo};

/// A drawer with the event that is chosen; closing it chooses none.
#[component]
pub fn Drawer(
    /// The event to show.
    chosen: RwSignal<Option<AuditEvent>>,
) -> impl IntoView {
    let node = NodeRef::<leptos::html::Dialog>::new();
    Effect::new(move |_| {
        let open = chosen.with(Option::is_some);
        if let Some(dialog) = node.get()
            && open
            && !dialog.open()
        {
            drop(dialog.show_modal());
        }
    });
    let close = move |_| {
        if let Some(dialog) = node.get_untracked() {
            dialog.close();
        }
    };
    let text = Signal::derive(move || {
        chosen.with(|event| event.as_ref().map(|event| pretty(&event.json)).unwrap_or_default())
    });
    view! {
        <dialog class="drawer" node_ref=node aria-labelledby="drawer-title" on:close=move |_| chosen.set(None)>
            <header class="dialog-head">
                <h2 id="drawer-title">"Audit event"</h2>
                <button type="button" class="button icon-button" aria-label="Close" on:click=close>
                    <Icon shape=Shape::Cross />
                </button>
            </header>
            {move || chosen.get().map(|event| view! { <Summary event=event /> })}
            <footer class="dialog-foot">
                {move || chosen.with(Option::is_some).then(|| view! { <CopyButton text=text label="Copy as JSON" primary=true /> })}
            </footer>
        </dialog>
    }
    .into_any()
}

#[component]
fn Summary(event: AuditEvent) -> impl IntoView {
    let json: serde_json::Value = serde_json::from_str(&event.json).unwrap_or_default();
    let request = &json["auditHttpRequestInfo"];
    let source = request["requestMethod"].as_str().map(|method| {
        format!(
            "HTTP {method} (Client IP: {})",
            request["clientIP"].as_str().unwrap_or("unknown")
        )
    });
    let time = event.time;
    view! {
        <dl class="facts">
            <dt>"Time"</dt>
            <dd><TimeAgo at=Signal::stored(time) />" · "<span class="muted">{crate::components::time::absolute(time)}</span></dd>
            <dt>"User"</dt>
            <dd class="mono">{event.principal.clone()}</dd>
            <dt>"Action"</dt>
            <dd>{event.action.clone()}</dd>
            <dt>"Resource"</dt>
            <dd><span class="mono">{event.resource.clone()}</span>" Type: "{event.resource_type.clone()}</dd>
            {source.map(|source| view! { <dt>"Event Source"</dt><dd>{source}</dd> })}
            <dt>"Sequence"</dt>
            <dd>{event.sequence}</dd>
        </dl>
        <pre class="code" tabindex="0" aria-label="JSON of the event">{pretty(&event.json)}</pre>
    }
}

fn pretty(json: &str) -> String {
    serde_json::from_str::<serde_json::Value>(json)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| json.to_owned())
}
