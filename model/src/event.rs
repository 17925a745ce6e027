//! Audit events as they are searched and counted. Their payload schema is checked where they are received, in the
//! engine's `trail`.

use serde::{Deserialize, Serialize};

use crate::field::FieldErrors;
use crate::limits::{MAX_PAGE_ROWS, PAGE_ROWS};
use crate::{EpochMillis, Sequence};

/// The answer to an ingest request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestOutcome {
    /// Events that are new, and are now stored.
    pub accepted: u32,
    /// Events that were already there with the same content.
    pub duplicates: u32,
    /// The first sequence given; null when none is new.
    pub first_sequence: Option<Sequence>,
    /// The last sequence given; null when none is new.
    pub last_sequence: Option<Sequence>,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventFilter {
    /// From this `auditEventTime` on, epoch ms.
    pub start: Option<EpochMillis>,
    /// Before this `auditEventTime`, epoch ms.
    pub end: Option<EpochMillis>,
    /// The principal's identifier.
    pub principal: Option<String>,
    /// The action.
    pub action: Option<String>,
    /// The module.
    pub module: Option<String>,
    /// The resource's type.
    pub resource_type: Option<String>,
    /// The resource's identifier.
    pub resource: Option<String>,
    /// The organisation.
    pub org: Option<String>,
    /// The project.
    pub project: Option<String>,
    /// Part of the event's JSON, ASCII in either case.
    pub q: Option<String>,
    /// Rows of the page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page before ended: the `next` that it answered.
    pub cursor: Option<String>,
}

impl EventFilter {
    /// Rows of the page.
    ///
    /// # Errors
    /// When it is out of range.
    pub fn rows(&self) -> Result<u32, FieldErrors> {
        let limit = self.limit.unwrap_or(PAGE_ROWS);
        if (1..=MAX_PAGE_ROWS).contains(&limit) {
            return Ok(limit);
        }
        Err(FieldErrors::one(
            "limit",
            format!("A page has 1 to {MAX_PAGE_ROWS} rows."),
        ))
    }
}

/// One audit event of the trail, with the parts that the console lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// Its position in the trail.
    pub sequence: Sequence,
    /// `auditEventTime`, epoch ms.
    pub time: EpochMillis,
    /// Who: the principal's identifier.
    pub principal: String,
    /// What was done.
    pub action: String,
    /// Where it comes from.
    pub module: String,
    /// The resource's type.
    pub resource_type: String,
    /// The resource's identifier.
    pub resource: String,
    /// The organisation, if any.
    pub org: Option<String>,
    /// The project, if any.
    pub project: Option<String>,
    /// The event as it is streamed, without `batchId`: JSON text.
    pub json: String,
}

/// One page of the trail, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPage {
    /// The events.
    pub events: Vec<AuditEvent>,
    /// What to send as `cursor` for the page behind; null on the last one.
    pub next: Option<String>,
    /// How many events of the account lie outside the range of time asked for; told only when the first page is empty.
    pub outside_range: Option<i64>,
}
