//! The drawer with one audit event.

use std::collections::BTreeMap;

use auditstream_model::AuditEvent;
use leptos::prelude::*;
use serde_json::Value;

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
        <Changes difference=json["auditEventMetadata"]["difference"].clone() />
        <pre class="code" tabindex="0" aria-label="JSON of the event">{pretty(&event.json)}</pre>
    }
}

#[component]
fn Changes(
    /// `old` and `new` of the event.
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

/// Returns the fields that differ, with both contents. A dash stands for an absent field.
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
    fn differences_are_listed_field_by_field() {
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
