//! The leaf of an event in the tree over the events of an object.
//!
//! Every streamed event ends with the two members that the server adds,
//! `"sequence":N,"batchId":"F-L"}}`. The leaf is the event up to that ending, without the comma
//! before it. So it is the same in every object in which the event is sent, and a receipt can name
//! it before the event is sent.

use std::fmt::Write as _;

use auditstream_model::Sequence;

/// Returns the leaf of a stored payload, which has no ending and keeps the comma.
#[must_use]
pub fn leaf_of_payload(payload: &str) -> &[u8] {
    payload.strip_suffix(',').unwrap_or(payload).as_bytes()
}

/// Returns the leaf of a streamed event; `None` if it does not end with this sequence and batch id.
/// The ending is taken from the end and never searched for, because an event can contain the same
/// bytes elsewhere.
#[must_use]
pub fn leaf_of<'e>(event: &'e [u8], sequence: Sequence, batch_id: &str) -> Option<&'e [u8]> {
    let mut ending = String::with_capacity(80);
    // Writing to a string cannot fail.
    let _ = write!(ending, r#""sequence":{sequence},"batchId":"{batch_id}"}}}}"#);
    let leaf = event.strip_suffix(ending.as_bytes())?;
    Some(leaf.strip_suffix(b",").unwrap_or(leaf))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trail::close;

    #[test]
    fn the_leaf_of_a_payload_is_that_of_the_streamed_event_in_any_batch() {
        for payload in [
            r#"{"auditEventId":"e1","auditEventMetadata":{"eventName":"x","#,
            r#"{"auditEventId":"e1","auditEventMetadata":{"recordedBy":"auditstream","#,
            r#"{"auditEventId":"e1","auditEventMetadata":{"#,
            r#"{"a":"\"sequence\":7,\"batchId\":\"1-9\"}}","auditEventMetadata":{"a":{"sequence":7},"#,
        ] {
            for batch_id in ["7-7", "1-9"] {
                let mut event = String::new();
                close(&mut event, payload, 7, Some(batch_id));
                assert_eq!(leaf_of(event.as_bytes(), 7, batch_id), Some(leaf_of_payload(payload)));
                assert_eq!(leaf_of(event.as_bytes(), 8, batch_id), None);
                assert_eq!(leaf_of(event.as_bytes(), 7, "7-8"), None);
            }
        }
    }
}
