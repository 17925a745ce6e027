//! The form in which an event is stored and streamed.
//!
//! The payload is the event's own JSON, compact, members in the order received, with
//! `auditEventMetadata` moved to the end and left open after its last member:
//!
//! ```text
//! stored:           {"auditEventId":"e1",…,"auditEventMetadata":{"eventName":"x",
//! added when sent:  "sequence":7,"batchId":"1-9"}}
//! ```
//!
//! So streaming copies bytes and never parses, and numbers keep every digit that was sent.
//!
//! This server sets three members of `auditEventMetadata` itself and drops them from events that it
//! receives: `sequence`, `batchId`, and `recordedBy`, which marks the server's own events.

use std::fmt::Write as _;

use auditstream_model::{EpochMillis, Sequence};
use serde_json::value::RawValue;

use super::members::Members;

const RESERVED: [&str; 3] = ["sequence", "batchId", "recordedBy"];
pub(super) const RECORDED_HERE: &str = r#""recordedBy":"auditstream","#;

/// A valid event, ready to be stored.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The first 16 bytes of the SHA-256 of `auditEventId`.
    pub id_digest: [u8; 16],
    /// `auditEventTime`, epoch ms.
    pub time: EpochMillis,
    /// The principal's type: `USER`, `SYSTEM`, `API_KEY` …
    pub principal_type: String,
    /// The principal's identifier.
    pub principal: String,
    /// The action.
    pub action: String,
    /// The module.
    pub module: String,
    /// The resource's type.
    pub resource_type: String,
    /// The resource's identifier.
    pub resource: String,
    /// The organisation, if any.
    pub org: Option<String>,
    /// The project, if any.
    pub project: Option<String>,
    /// The event, open at its end.
    pub payload: String,
}

impl Prepared {
    #[must_use]
    pub(crate) fn mark_as_self_recorded(mut self) -> Self {
        self.payload.push_str(RECORDED_HERE);
        self
    }
}

/// Appends a stored payload to `out`, closed with its sequence and, for streaming, the batch's id.
pub fn close(out: &mut String, payload: &str, sequence: Sequence, batch_id: Option<&str>) {
    out.push_str(payload);
    // Writing to a string cannot fail.
    let _ = match batch_id {
        Some(batch_id) => write!(out, r#""sequence":{sequence},"batchId":"{batch_id}"}}}}"#),
        None => write!(out, r#""sequence":{sequence}}}}}"#),
    };
}

/// Whether two stored payloads have the same content, apart from member order and `recordedBy`.
#[must_use]
pub fn same_content(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(|payload| payload.strip_suffix(RECORDED_HERE).unwrap_or(payload));
    let parse = |payload: &str| {
        serde_json::from_str::<serde_json::Value>(&format!("{}}}}}", payload.trim_end_matches(','))).ok()
    };
    one == other || parse(one).is_some_and(|value| Some(value) == parse(other))
}

pub(super) fn open_payload(event: &Members<'_>, metadata: &Members<'_>) -> String {
    let mut out = String::with_capacity(1024);
    out.push('{');
    let push = |out: &mut String, key: &str, value: &RawValue| {
        out.push_str(&serde_json::Value::from(key).to_string());
        out.push(':');
        out.push_str(value.get());
        out.push(',');
    };
    for (key, value) in event.0.iter().filter(|(key, _)| key != "auditEventMetadata") {
        push(&mut out, key, value);
    }
    out.push_str(r#""auditEventMetadata":{"#);
    for (key, value) in metadata.0.iter().filter(|(key, _)| !RESERVED.contains(&key.as_ref())) {
        push(&mut out, key, value);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_members_does_not_change_the_content() {
        assert!(same_content(
            r#"{"a":1,"b":2,"auditEventMetadata":{"#,
            r#"{"b":2,"a":1,"auditEventMetadata":{"#
        ));
        assert!(!same_content(
            r#"{"a":1,"auditEventMetadata":{"#,
            r#"{"a":2,"auditEventMetadata":{"#
        ));
    }
}
