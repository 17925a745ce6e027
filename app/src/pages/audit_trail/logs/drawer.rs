//! The drawer with one audit event.

use auditstream_model::AuditEvent;
use leptos::prelude::*;

use super::json_text::{changed, member, pretty, string};
use crate::components::dialog::{close, open};
use crate::components::time::absolute;
use crate::components::{CopyButton, Icon, Shape, TimeAgo};

/// A drawer with the selected event. Closing it clears the selection.
#[component]
pub fn Drawer(selected: RwSignal<Option<AuditEvent>>) -> impl IntoView {
    let node = NodeRef::<leptos::html::Dialog>::new();
    Effect::new(move |_| {
        if node.get().is_some() && selected.with(Option::is_some) {
            open(node);
        }
    });
    let text = Signal::derive(move || {
        selected.with(|event| event.as_ref().map(|event| pretty(&event.json)).unwrap_or_default())
    });
    view! {
        <dialog class="drawer" node_ref=node aria-labelledby="drawer-title" on:close=move |_| selected.set(None)>
            <header class="dialog-head">
                <h2 id="drawer-title">"Audit event"</h2>
                <button type="button" class="button icon-button" aria-label="Close" on:click=move |_| close(node)>
                    <Icon shape=Shape::Cross />
                </button>
            </header>
            {move || selected.get().map(|event| view! { <Summary event=event /> })}
            <footer class="dialog-foot">
                {move || selected.with(Option::is_some).then(|| view! { <CopyButton text=text label="Copy as JSON" primary=true /> })}
            </footer>
        </dialog>
    }
    .into_any()
}

#[component]
fn Summary(event: AuditEvent) -> impl IntoView {
    let request = member(&event.json, "auditHttpRequestInfo").unwrap_or_default();
    let source = member(request, "requestMethod").and_then(string).map(|method| {
        let address = member(request, "clientIP").and_then(string);
        format!("HTTP {method} (Client IP: {})", address.as_deref().unwrap_or("unknown"))
    });
    let difference = member(&event.json, "auditEventMetadata").and_then(|metadata| member(metadata, "difference"));
    let time = event.time;
    let place = [("Organization", event.org.clone()), ("Project", event.project.clone())].into_iter();
    view! {
        <dl class="facts">
            <dt>"Time"</dt>
            <dd><TimeAgo at=Signal::stored(time) />" · "<span class="muted">{absolute(time)}</span></dd>
            <dt>"User"</dt>
            <dd class="mono">{event.principal.clone()}</dd>
            <dt>"Action"</dt>
            <dd>{event.action.clone()}</dd>
            <dt>"Resource"</dt>
            <dd><span class="mono">{event.resource.clone()}</span>" Type: "{event.resource_type.clone()}</dd>
            {place.map(|(label, value)| value.map(|value| view! { <dt>{label}</dt><dd>{value}</dd> })).collect_view()}
            <dt>"Module"</dt>
            <dd>{event.module.clone()}</dd>
            {source.map(|source| view! { <dt>"Event Source"</dt><dd>{source}</dd> })}
            <dt>"Sequence"</dt>
            <dd>{event.sequence}</dd>
        </dl>
        {difference.map(|difference| view! { <Changes difference=difference.to_owned() /> })}
        <pre class="code" tabindex="0" aria-label="JSON of the event">{pretty(&event.json)}</pre>
    }
}

#[component]
fn Changes(
    /// `old` and `new` of the event, as JSON.
    difference: String,
) -> impl IntoView {
    let rows = changed(
        member(&difference, "old").unwrap_or("null"),
        member(&difference, "new").unwrap_or("null"),
    );
    (!rows.is_empty()).then(|| {
        view! {
            <div class="changes">
                <h3>"Changes"</h3>
                <table>
                    <thead>
                        <tr>
                            <th scope="col">"Field"</th>
                            <th scope="col">"Before"</th>
                            <th scope="col">"After"</th>
                        </tr>
                    </thead>
                    <tbody>
                        {rows
                            .into_iter()
                            .map(|(field, old, new)| {
                                view! {
                                    <tr>
                                        <th scope="row" class="mono">{field}</th>
                                        <td class="mono">{old}</td>
                                        <td class="mono">{new}</td>
                                    </tr>
                                }
                            })
                            .collect_view()}
                    </tbody>
                </table>
            </div>
        }
    })
}
