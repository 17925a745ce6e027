//! Audit events as they are searched and counted. Their payload schema is checked where they are received, in the
//! engine's `trail`.

use serde::{Deserialize, Serialize};

use crate::field::FieldErrors;
use crate::limits::{MAX_PAGE_ROWS, PAGE_ROWS};
use crate::{EpochMillis, Sequence};

/// The answer to an ingest request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

/// Kinds of event that a reader can leave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Show {
    /// Every event.
    #[default]
    All,
    /// All but sign-ins, tried or done.
    NoLogin,
    /// All but what a principal of type `SYSTEM` did.
    NoSystem,
}

impl Show {
    /// The word that the API and the console's address use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::NoLogin => "no_login",
            Self::NoSystem => "no_system",
        }
    }

    /// The choice of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::All, Self::NoLogin, Self::NoSystem]
            .into_iter()
            .find(|show| show.word() == word)
    }
}

/// How far back somebody looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeRange {
    /// The last 24 hours.
    #[serde(rename = "1d")]
    Day,
    /// The last 7 days.
    #[default]
    #[serde(rename = "7d")]
    Week,
    /// The last 30 days.
    #[serde(rename = "30d")]
    Month,
    /// Everything that is kept.
    #[serde(rename = "all")]
    All,
}

impl TimeRange {
    /// Every range, shortest first.
    pub const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::All];

    /// The word that the console's address uses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "1d",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::All => "all",
        }
    }

    /// The range of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|range| range.word() == word)
    }

    /// Where it begins, seen from `now`; none when it has no beginning. Epoch ms.
    #[must_use]
    pub fn start(self, now: EpochMillis) -> Option<EpochMillis> {
        const DAY: i64 = 86_400_000;
        match self {
            Self::Day => Some(now - DAY),
            Self::Week => Some(now - 7 * DAY),
            Self::Month => Some(now - 30 * DAY),
            Self::All => None,
        }
    }
}

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(default)]
pub struct EventFilter {
    /// Kinds of event that are left out.
    pub show: Show,
    /// From this `auditEventTime` on, epoch ms.
    #[cfg_attr(feature = "openapi", param(minimum = -9_007_199_254_740_991, maximum = 9_007_199_254_740_991))]
    pub start: Option<EpochMillis>,
    /// Before this `auditEventTime`, epoch ms.
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
    /// Part of the event's JSON, ASCII in either case.
    #[cfg_attr(feature = "openapi", param(pattern = r"^[^\x00]*$"))]
    pub q: Option<String>,
    /// Rows of the page, 1 to 100.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 100, default = 30))]
    pub limit: Option<u32>,
    /// Where the page before ended: the `next` that it answered.
    #[cfg_attr(feature = "openapi", param(pattern = "^([0-9]{1,18}-[0-9]{1,18})?$"))]
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
    /// The trail's last sequence when the page was read: what is behind it is new.
    pub last_sequence: Sequence,
    /// How many events that match lie outside the range of time asked for, counted up to 1,000; told only when the first page
    /// is empty.
    pub outside_range: Option<i64>,
}
