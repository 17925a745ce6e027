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

use super::canonical::{Canonical, ContentDigest};
use super::outline::{Member, Object};

pub(super) const RESERVED: [&str; 3] = ["sequence", "batchId", "recordedBy"];
pub(super) const RECORDED_HERE: &str = r#""recordedBy":"auditstream","#;

/// A valid event, ready to be stored.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The first 16 bytes of the SHA-256 of `auditEventId`.
    pub id_digest: [u8; 16],
    /// `auditEventTime`, epoch ms.
    pub time: EpochMillis,
    /// The event, open at its end.
    pub payload: String,
    /// [`content_digest`] of the payload.
    pub content_digest: ContentDigest,
}

impl Prepared {
    /// The memory that the event occupies, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.payload.capacity()
    }

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

/// The digest of a stored payload's canonical form, without `recordedBy`. Two events with one
/// digest have the same content.
#[must_use]
pub fn content_digest(payload: &str) -> ContentDigest {
    let payload = payload.strip_suffix(RECORDED_HERE).unwrap_or(payload);
    Canonical::of(payload).digest()
}

pub(super) fn open_payload(event: Object<'_>, metadata: Object<'_>) -> String {
    const METADATA: &str = "auditEventMetadata";
    // Room for the event and for the key of its metadata, which the event may lack.
    let mut out = String::with_capacity(event.bytes() + METADATA.len() + 6);
    out.push('{');
    for member in event.members().filter(|member| !member.has_key(METADATA)) {
        member.push_to(&mut out);
    }
    out.push_str(r#""auditEventMetadata":{"#);
    let is_reserved = |member: &Member<'_>| RESERVED.iter().any(|key| member.has_key(key));
    for member in metadata.members().filter(|member| !is_reserved(member)) {
        member.push_to(&mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_escapes_and_the_recorded_mark_do_not_change_the_content_and_digits_do() {
        let digest = |members: &str| content_digest(&format!(r#"{{{members}"auditEventMetadata":{{"#));
        let one = digest(r#""a":1,"b":"é/","#);
        assert_eq!(one, digest(r#""b":"\u00e9\/","a":1,"#));
        assert_ne!(one, digest(r#""a":1.0,"b":"é/","#));
        assert_ne!(
            digest(r#""a":18446744073709551617,"#),
            digest(r#""a":18446744073709551616,"#)
        );
        let payload = r#"{"a":1,"auditEventMetadata":{"x":2,"#;
        assert_eq!(
            content_digest(payload),
            content_digest(&format!("{payload}{RECORDED_HERE}"))
        );
    }
}
