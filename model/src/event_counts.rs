//! Counts of audit events: over time, and by the values of a field.

use serde::{Deserialize, Serialize};

use crate::wire_names::wire_names;
use crate::{EpochMillis, EventField};

wire_names! {
    /// How precise a count is.
    pub enum Precision {
        /// There are exactly that many.
        Exact = "exact",
        /// There are at least that many.
        AtLeast = "at_least",
    }
}

/// The numbers of matching events over time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventHistogram {
    /// The width of each bucket, ms.
    pub width: i64,
    /// The buckets from the first to the last one with an event, empty ones too, oldest first.
    pub buckets: Vec<EventBucket>,
}

/// The matching events of a range of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventBucket {
    /// The first `auditEventTime`, epoch ms.
    pub start: EpochMillis,
    /// The number of events.
    pub count: i64,
    /// Whether that is all of them.
    pub precision: Precision,
}

/// The most frequent values of a field among the matching events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventValues {
    /// The field.
    pub field: EventField,
    /// Values, the most frequent one first.
    pub values: Vec<EventValue>,
    /// `exact` if no other value is more frequent than these.
    pub precision: Precision,
}

/// A value and its events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventValue {
    /// The value.
    pub value: String,
    /// The number of matching events that have it.
    pub count: i64,
    /// Whether that is all of them.
    pub precision: Precision,
}
