//! Segments: the payloads of consecutive events, compressed together.
//!
//! ```text
//! append ─▶ write ─▶ audit_segment ─▶ find, range: consecutive events, for streaming
//!             codec       │      ├──▶ read: the same, for indexing and searches
//!                         │      └──▶ get: single events, for searches
//!                         └─ merge: small neighbours become one, in the background
//! ```
//!
//! Each row is one segment of at most [`SEGMENT_EVENTS`] events and [`SEGMENT_BYTES`] of payloads;
//! a larger event is alone. Rows are found by the sequence of their last event, so that the first
//! segment after a cursor is one step in the index: the one that contains the next event.
//!
//! A damaged or missing segment is an error that names it; no other event is returned in its place.

mod codec;
mod events;
mod find;
mod get;
mod merge;
mod months;
mod range;
mod read;
mod rows;
mod write;

use auditstream_model::Sequence;

use crate::error::Error;

pub(crate) use codec::{Encoded, decode_times, encode};
pub(crate) use events::Events;
pub(crate) use find::find;
pub(crate) use get::{Cache, Picked, explained, get};
pub use merge::Merging;
pub(crate) use merge::{lock, start};
pub(crate) use range::{Range, fold};
pub(crate) use read::{Bounds, read, read_for_search};
pub(crate) use write::{Place, joined, write};

/// The most events of a segment.
pub(crate) const SEGMENT_EVENTS: usize = 500;
/// The most payload bytes of a segment with several events.
pub(crate) const SEGMENT_BYTES: usize = 512 << 10;

/// The most by which the last sequence of a segment exceeds its first.
const SPAN: i64 = 500;

/// The error for an event that the trail lacks.
pub(crate) fn missing(sequence: Sequence) -> Error {
    Error::Broken(format!("event {sequence} is missing from the trail"))
}

/// The error for a segment that cannot be decoded.
pub(crate) fn damaged(first: Sequence, last: Sequence) -> Error {
    Error::Broken(format!(
        "the segment of the trail with the events {first} to {last} is damaged"
    ))
}
