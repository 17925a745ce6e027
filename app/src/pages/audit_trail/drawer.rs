//! One audit event in full.

use std::collections::BTreeMap;

use auditstream_model::AuditEvent;
use leptos::prelude::*;
use serde_json::Value;

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
    let json: Value = serde_json::from_str(&event.json).unwrap_or_default();
    let request = &json["auditHttpRequestInfo"];
    let source = request["requestMethod"].as_str().map(|method| {
        format!(
            "HTTP {method} (Client IP: {})",
            request["clientIP"].as_str().unwrap_or("unknown")
        )
    });
    let time = event.time;
    let place = [("Organization", event.org.clone()), ("Project", event.project.clone())].into_iter();
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
            {place.map(|(label, value)| value.map(|value| view! { <dt>{label}</dt><dd>{value}</dd> })).collect_view()}
            <dt>"Module"</dt>
            <dd>{event.module.clone()}</dd>
            {source.map(|source| view! { <dt>"Event Source"</dt><dd>{source}</dd> })}
            <dt>"Sequence"</dt>
            <dd>{event.sequence}</dd>
        </dl>
        <Changes difference=json["auditEventMetadata"]["difference"].clone() />
        <pre class="code" tabindex="0" aria-label="JSON of the event">{pretty(&event.json)}</pre>
    }
}

/// What was changed, field by field.
#[component]
fn Changes(
    /// `old` and `new` as the event has them.
    difference: Value,
) -> impl IntoView {
    let rows = changed(&difference["old"], &difference["new"]);
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

/// The fields in which two values differ, with what each has; – where it has none.
fn changed(old: &Value, new: &Value) -> Vec<(String, String, String)> {
    let mut fields = BTreeMap::new();
    flatten(&mut fields, String::new(), old, 0);
    flatten(&mut fields, String::new(), new, 1);
    let shown = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    fields
        .into_iter()
        .filter(|(_, [old, new])| old != new)
        .map(|(field, [old, new])| (field, shown(old), shown(new)))
        .collect()
}

fn flatten(fields: &mut BTreeMap<String, [Option<String>; 2]>, path: String, value: &Value, side: usize) {
    let text = match value {
        Value::Null => return,
        Value::Object(parts) => {
            for (name, part) in parts {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                flatten(fields, path, part, side);
            }
            return;
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let path = if path.is_empty() { "value".to_owned() } else { path };
    fields.entry(path).or_default()[side] = Some(text);
}

fn pretty(json: &str) -> String {
    serde_json::from_str::<Value>(json)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| json.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told_field_by_field() {
        let old = serde_json::json!({"status": "INACTIVE", "spec": {"bucket": "logs", "prefix": "a/"}, "tags": {}});
        let new = serde_json::json!({"status": "ACTIVE", "spec": {"bucket": "logs"}, "tags": {"eu": ""}});
        let row = |field: &str, old: &str, new: &str| (field.to_owned(), old.to_owned(), new.to_owned());
        assert_eq!(
            changed(&old, &new),
            [
                row("spec.prefix", "a/", "–"),
                row("status", "INACTIVE", "ACTIVE"),
                row("tags.eu", "–", ""),
            ]
        );
        assert_eq!(changed(&Value::Null, &Value::Null), []);
        assert_eq!(
            changed(&Value::Null, &serde_json::json!(true)),
            [row("value", "–", "true")]
        );
    }
}
