//! The tab Sign-ins: sign-ins, refused sign-ins and sign-outs.

use auditstream_model::{AuditEvent, EventFilter, TimeRange};
use leptos::prelude::*;

use super::tab::AccessHead;
use crate::components::{Icon, ProblemAlert, Shape, TimeAgo};
use crate::error::ConsoleError;
use crate::paths;
use crate::server_functions::trail::search_events;

/// Rows of the table, and the most that is asked for of each action.
const ROWS: u32 = 50;
const ACTIONS: [&str; 3] = ["LOGIN", "UNSUCCESSFUL_LOGIN", "LOGOUT"];

/// What events have that this server recorded of itself: what others send in may say anything else
/// of sign-ins.
const RECORDED_HERE: &str = r#""recordedBy":"auditstream""#;

/// The latest of each action, newest first.
async fn latest() -> Result<Vec<AuditEvent>, ConsoleError> {
    let mut events = Vec::new();
    for action in ACTIONS {
        let filter = EventFilter {
            action: Some(action.to_owned()),
            resource_type: Some("USER".to_owned()),
            q: Some(RECORDED_HERE.to_owned()),
            limit: Some(ROWS),
            ..EventFilter::default()
        };
        events.extend(search_events(filter, TimeRange::Week).await?.events);
    }
    events.retain(|event| is_recorded_here(&event.json));
    events.sort_by_key(|event| std::cmp::Reverse((event.time, event.sequence)));
    events.truncate(ROWS as usize);
    Ok(events)
}

fn is_recorded_here(json: &str) -> bool {
    let event: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    event["auditEventMetadata"]["recordedBy"] == "auditstream"
}

/// The tab.
#[component]
pub fn SignIns() -> impl IntoView {
    let loaded = Resource::new(|| (), |()| latest());
    let retry = Callback::new(move |()| loaded.refetch());
    view! {
        <AccessHead />
        <p class="lead muted">
            "The latest of the last 7 days. Audit Logs has all of them: "
            <a href=paths::logs_of("action", "LOGIN")>"sign-ins"</a>", "
            <a href=paths::logs_of("action", "UNSUCCESSFUL_LOGIN")>"refused sign-ins"</a>", "
            <a href=paths::logs_of("action", "LOGOUT")>"sign-outs"</a>"."
        </p>
        <Suspense fallback=|| view! { <p class="skeleton">"Loading sign-ins…"</p> }>
            {move || Suspend::new(async move {
                match loaded.await {
                    Ok(events) if events.is_empty() => {
                        view! {
                            <div class="empty">
                                <h2>"No sign-ins in the last 7 days"</h2>
                            </div>
                        }
                            .into_any()
                    }
                    Ok(events) => view! { <SignInTable events=events /> }.into_any(),
                    Err(error) => view! { <ProblemAlert error=error retry=retry /> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn SignInTable(events: Vec<AuditEvent>) -> impl IntoView {
    view! {
        <div class="table-frame" tabindex="0" role="region" aria-label="Sign-ins">
            <table class="access-table">
                <thead>
                    <tr>
                        <th scope="col">"Time"</th>
                        <th scope="col">"User"</th>
                        <th scope="col">"Event"</th>
                        <th scope="col">"Address"</th>
                    </tr>
                </thead>
                <tbody>{events.into_iter().map(|event| view! { <SignInRow event=event /> }).collect_view()}</tbody>
            </table>
        </div>
    }
}

#[component]
fn SignInRow(event: AuditEvent) -> impl IntoView {
    let json: serde_json::Value = serde_json::from_str(&event.json).unwrap_or_default();
    let address = json["auditHttpRequestInfo"]["clientIP"]
        .as_str()
        .unwrap_or("–")
        .to_owned();
    let (class, shape, label) = match event.action.as_str() {
        "LOGIN" => ("status status-good", Shape::Check, "Signed in"),
        "UNSUCCESSFUL_LOGIN" => ("status status-warn", Shape::Warning, "Refused: wrong password"),
        _ => ("status status-idle", Shape::Circle, "Signed out"),
    };
    // The author of a sign-out is the admin, if an admin has signed the user out.
    let by = (event.principal != event.resource).then(|| format!("by {}", event.principal));
    let time = event.time;
    view! {
        <tr>
            <td class="nowrap"><TimeAgo at=Signal::stored(time) /></td>
            <td class="mono">{event.resource}</td>
            <td>
                <span class=class><Icon shape=shape />{label}</span>
                {by.map(|by| view! { <span class="mono muted block">{by}</span> })}
            </td>
            <td class="mono">{address}</td>
        </tr>
    }
}
