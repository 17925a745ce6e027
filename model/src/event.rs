//! Audit events as they are searched and counted. The engine's `trail` checks their payload schema
//! on receipt.

use serde::{Deserialize, Serialize};

use crate::condition::{Condition, EventField, MAX_CONDITIONS};
use crate::limits::{DEFAULT_PAGE_ROWS, FUTURE_AFTER_MS, MAX_PAGE_ROWS, MAX_SEARCH_CHARS};
use crate::wire_names::wire_names;
use crate::{EpochMillis, FieldErrors, Sequence};

/// The result of an ingest request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IngestOutcome {
    /// The number of new events, now stored.
    pub accepted: u32,
    /// The number of events that were already stored with the same content.
    pub duplicates: u32,
    /// The first sequence assigned; null when no event is new.
    pub first_sequence: Option<Sequence>,
    /// The last sequence assigned; null when no event is new.
    pub last_sequence: Option<Sequence>,
}

wire_names! {
    /// Kinds of event that a search can exclude.
    #[derive(Default)]
    pub enum Show {
        /// Every event.
        #[default]
        All = "all",
        /// Every event except sign-ins, attempted or successful.
        NoLogin = "no_login",
        /// Every event except those of a principal of type `SYSTEM`.
        NoSystem = "no_system",
    }
}

wire_names! {
    /// The meaning of a text that names one event.
    pub enum EventKey {
        /// The event's sequence.
        Sequence = "sequence",
        /// Its `auditEventId`.
        Id = "id",
    }
}

wire_names! {
    /// The time range of a search.
    #[derive(Default)]
    pub enum TimeRange {
        /// The last 24 hours.
        Day = "1d",
        /// The last 7 days.
        #[default]
        Week = "7d",
        /// The last 30 days.
        Month = "30d",
        /// Every event in the trail.
        All = "all",
        /// The events dated more than five minutes in the future.
        Future = "future",
    }
}

impl TimeRange {
    /// Returns the start of the range, epoch ms; `None` when it is unbounded.
    #[must_use]
    pub fn start(self, now: EpochMillis) -> Option<EpochMillis> {
        const DAY: i64 = 86_400_000;
        match self {
            Self::Day => Some(now - DAY),
            Self::Week => Some(now - 7 * DAY),
            Self::Month => Some(now - 30 * DAY),
            Self::All => None,
            Self::Future => Some(now.saturating_add(FUTURE_AFTER_MS)),
        }
    }
}

/// A search of the trail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(default)]
pub struct EventFilter {
    /// Kinds of event to exclude.
    pub show: Show,
    /// The earliest `auditEventTime`, epoch ms, inclusive.
    #[cfg_attr(feature = "openapi", param(minimum = -9_007_199_254_740_991, maximum = 9_007_199_254_740_991))]
    pub start: Option<EpochMillis>,
    /// The latest `auditEventTime`, epoch ms, exclusive. Without it, events that are dated more
    /// than five minutes in the future are left out, unless `start` is in the future as well.
    #[cfg_attr(feature = "openapi", param(minimum = -9_007_199_254_740_991, maximum = 9_007_199_254_740_991))]
    pub end: Option<EpochMillis>,
    /// The principal's identifier.
    #[cfg_attr(feature = "openapi", param(pattern = r"^[^\x00]*$"))]
    pub principal: Option<String>,
    /// The action.
    #[cfg_attr(feature = "openapi", param(pattern = r"^[^\x00]*$"))]
    pub action: Option<String>,
    /// The module.
    #[cfg_attr(feature = "openapi", param(pattern = r"^[^\x00]*$"))]
    pub module: Option<String>,
    /// The resource's type.
    #[cfg_attr(feature = "openapi", param(pattern = r"^[^\x00]*$"))]
    pub resource_type: Option<String>,
    /// The resource's identifier.
    #[cfg_attr(feature = "openapi", param(pattern = r"^[^\x00]*$"))]
    pub resource: Option<String>,
    /// The organisation.
    #[cfg_attr(feature = "openapi", param(pattern = r"^[^\x00]*$"))]
    pub org: Option<String>,
    /// The project.
    #[cfg_attr(feature = "openapi", param(pattern = r"^[^\x00]*$"))]
    pub project: Option<String>,
    /// A text that the event contains: in its JSON as sent, or in its JSON with all escapes
    /// resolved. Letters of any alphabet match in either case, and composed and decomposed
    /// characters match each other. Several words are one text: they are found where they follow
    /// each other. No character is a wildcard.
    #[cfg_attr(feature = "openapi", param(pattern = r"^[^\x00]*$", max_length = 1_000))]
    pub q: Option<String>,
    /// Whether `q` is also searched inside of words at any depth, which reads every event: a page
    /// then says with `searched_until` how far it came.
    pub parts: Option<bool>,
    /// Further conditions. Not a parameter: each has a separate one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", param(ignore))]
    pub conditions: Vec<Condition>,
    /// Rows of the page, 1 to 100.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 100, default = 30))]
    pub limit: Option<u32>,
    /// The previous page's `next`.
    #[cfg_attr(feature = "openapi", param(pattern = "^([0-9]{1,18}-[0-9]{1,18})?$"))]
    pub cursor: Option<String>,
}

impl EventFilter {
    /// Returns the number of rows of a page.
    pub fn rows(&self) -> Result<u32, FieldErrors> {
        let limit = self.limit.unwrap_or(DEFAULT_PAGE_ROWS);
        if (1..=MAX_PAGE_ROWS).contains(&limit) {
            return Ok(limit);
        }
        Err(FieldErrors::one(
            "limit",
            format!("A page has 1 to {MAX_PAGE_ROWS} rows."),
        ))
    }

    /// Refuses a filter with an invalid limit, a text that is too long, or the character U+0000,
    /// which no event contains.
    pub fn validate(&self) -> Result<(), FieldErrors> {
        self.rows()?;
        self.search_text()?;
        let texts = [
            ("principal", &self.principal),
            ("action", &self.action),
            ("module", &self.module),
            ("resource_type", &self.resource_type),
            ("resource", &self.resource),
            ("org", &self.org),
            ("project", &self.project),
            ("q", &self.q),
        ];
        if self.conditions.len() > MAX_CONDITIONS {
            let message = format!("A filter has at most {MAX_CONDITIONS} conditions.");
            return Err(FieldErrors::one("", message));
        }
        self.conditions.iter().try_for_each(Condition::validate)?;
        match texts
            .iter()
            .find(|(_, text)| text.as_deref().is_some_and(|text| text.contains('\0')))
        {
            Some((field, _)) => Err(FieldErrors::one(
                *field,
                "A filter cannot contain the character U+0000.",
            )),
            None => Ok(()),
        }
    }

    /// Returns the conditions on members of an event. An empty value is not a condition.
    #[must_use]
    pub fn all_conditions(&self) -> Vec<Condition> {
        let values = [
            (EventField::Principal, &self.principal),
            (EventField::Action, &self.action),
            (EventField::Module, &self.module),
            (EventField::ResourceType, &self.resource_type),
            (EventField::Resource, &self.resource),
            (EventField::Org, &self.org),
            (EventField::Project, &self.project),
        ];
        let single = values.into_iter().filter_map(|(field, value)| {
            let value = value.as_deref().filter(|value| !value.is_empty())?;
            Some(Condition::is(field, value))
        });
        single.chain(self.conditions.iter().cloned()).collect()
    }

    /// Returns the first time after the range, epoch ms.
    #[must_use]
    pub fn end_at(&self, now: EpochMillis) -> EpochMillis {
        match self.end {
            Some(end) => end,
            None if self.includes_future(now) => EpochMillis::MAX,
            None => now.saturating_add(FUTURE_AFTER_MS),
        }
    }

    /// Whether the range includes events that are dated in the future.
    #[must_use]
    pub fn includes_future(&self, now: EpochMillis) -> bool {
        self.end.is_some() || self.start.is_some_and(|start| start >= now)
    }

    /// Returns the text to search for; `None` when it is empty.
    pub fn search_text(&self) -> Result<Option<&str>, FieldErrors> {
        let text = self.q.as_deref().filter(|text| !text.is_empty());
        if text.is_some_and(|text| text.chars().count() > MAX_SEARCH_CHARS) {
            return Err(FieldErrors::one(
                "q",
                format!("A search has at most {MAX_SEARCH_CHARS} characters."),
            ));
        }
        Ok(text)
    }
}

/// An audit event, with the parts that the console lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// The position in the trail.
    pub sequence: Sequence,
    /// `auditEventTime`, epoch ms.
    pub time: EpochMillis,
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
    /// The organisation, if there is one.
    pub org: Option<String>,
    /// The project, if there is one.
    pub project: Option<String>,
    /// The JSON text as it is streamed, without `batchId`.
    pub json: String,
}

/// One page of the trail, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPage {
    /// The events.
    pub events: Vec<AuditEvent>,
    /// The `cursor` of the next page; null on the last one.
    pub next: Option<String>,
    /// The `auditEventTime` down to which the page was searched, epoch ms; null on the last one. A
    /// search looks at a limited number of events, so that a page can have few of them, or none,
    /// before the last page.
    pub searched_until: Option<EpochMillis>,
    /// The `auditEventTime` down to which the text `q` was also searched inside of words, epoch ms.
    /// Of older events, the page has those in which a word begins with it. Null if the whole range
    /// was searched that way, or if there is no `q`.
    pub parts_searched_until: Option<EpochMillis>,
    /// The trail's last sequence when the page was read; every event after it is new.
    pub last_sequence: Sequence,
    /// The number of matching events outside the requested time range, counted up to 1,000 and not
    /// further than a search looks; null unless the first page is empty and the last one.
    pub outside_range: Option<i64>,
    /// The number of matching events that were left out because they are dated in the future,
    /// counted up to 1,000; null unless this is the first page of a search without `end`.
    pub in_future: Option<i64>,
}

/// The events that are newer than a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewerCount {
    /// The number of matching events after the sequence up to which an earlier count went.
    pub count: i64,
    /// The sequence up to which this count went.
    pub until: Sequence,
}
