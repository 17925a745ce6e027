//! The latest sign-ins to this server.

use std::cmp::Reverse;

use auditstream_model::{AuditEvent, EventFilter, Permission, SignIn, SignInOutcome, TimeRange};
use serde::Deserialize;

use super::search::find;
use crate::database::now;
use crate::error::Result;
use crate::{Actor, Engine};

const LIMIT: u32 = 50;
/// Searches for one outcome. Each looks at a limited number of events.
const SEARCHES: usize = 4;
/// Only this server marks events so: clients can send events about sign-ins to other systems.
const RECORDED_HERE: &str = r#""recordedBy":"auditstream""#;

/// Returns the latest sign-ins, refused sign-ins and sign-outs of the last 7 days, newest first, as
/// far as some searches look.
pub async fn sign_ins(engine: &Engine, actor: &Actor) -> Result<Vec<SignIn>> {
    actor.require(Permission::ViewAudit)?;
    let start = TimeRange::Week.start(now());
    let mut found = Vec::new();
    for outcome in SignInOutcome::ALL {
        let mut filter = EventFilter {
            action: Some(outcome.to_string()),
            resource_type: Some("USER".to_owned()),
            q: Some(RECORDED_HERE.to_owned()),
            start,
            limit: Some(LIMIT),
            ..EventFilter::default()
        };
        let first = found.len();
        for _ in 0..SEARCHES {
            let page = find(engine, actor, &filter).await?;
            let sign_ins = page.events.into_iter().filter_map(|event| {
                let sequence = event.sequence;
                sign_in(event, outcome).map(|sign_in| (sequence, sign_in))
            });
            found.extend(sign_ins);
            if page.next.is_none() || found.len() - first >= LIMIT as usize {
                break;
            }
            filter.cursor = page.next;
        }
    }
    found.sort_by_key(|(sequence, sign_in)| Reverse((sign_in.time, *sequence)));
    found.truncate(LIMIT as usize);
    Ok(found.into_iter().map(|(_, sign_in)| sign_in).collect())
}

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "auditHttpRequestInfo")]
    request: Option<Request>,
    #[serde(rename = "auditEventMetadata")]
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "clientIP")]
    client_ip: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "recordedBy")]
    recorded_by: Option<String>,
}

fn sign_in(event: AuditEvent, outcome: SignInOutcome) -> Option<SignIn> {
    let payload: Payload = serde_json::from_str(&event.json).ok()?;
    (payload.metadata.recorded_by.as_deref() == Some("auditstream")).then(|| SignIn {
        time: event.time,
        by: Some(event.principal).filter(|principal| *principal != event.resource),
        user: event.resource,
        client_ip: payload.request.and_then(|request| request.client_ip),
        outcome,
    })
}
