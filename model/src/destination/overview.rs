//! Destinations as the API and the console show them.

use serde::{Deserialize, Serialize};

use super::{Destination, Status};
use crate::{BatchStatus, Description, EpochMillis, Failure, Identifier, Name, Sequence, SequenceGap, Tags};

/// A streaming destination with its times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DestinationView {
    /// The destination.
    pub streaming_destination: Destination,
    /// When it was created, epoch ms.
    pub created: EpochMillis,
    /// When it was last changed, epoch ms.
    pub updated: EpochMillis,
    /// When its status last changed, epoch ms.
    pub status_updated: EpochMillis,
}

/// The connector of a destination, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectorInfo {
    /// The display name.
    pub name: Name,
    /// The id.
    pub identifier: Identifier,
    /// The purpose of the connector.
    pub description: Description,
    /// Labels for organising connectors.
    pub tags: Tags,
}

/// Events past the retention that the trail keeps only because a destination has yet to receive
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldBack {
    /// The number of events.
    pub events: i64,
    /// The bytes of their payloads.
    pub bytes: i64,
}

/// The state of a destination's streaming.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StreamingDetails {
    /// The latest batch's status; null until there is one.
    pub status: Option<BatchStatus>,
    /// When a run last succeeded, with or without events, epoch ms; null until one has.
    pub last_streamed_at: Option<EpochMillis>,
    /// The current failure's message; null while streaming works.
    pub error_message: Option<String>,
    /// The current failure with its remedy; null while streaming works.
    pub failure: Option<Failure>,
    /// The number of events that wait for this destination; null until its first activation.
    pub behind: Option<i64>,
    /// The last sequence that it has confirmed; null until its first activation.
    pub cursor: Option<Sequence>,
    /// When the first of the waiting events was received, epoch ms; null when none waits.
    pub waiting_since: Option<EpochMillis>,
    /// When the next run begins, epoch ms; null while the destination is INACTIVE.
    #[serde(default)]
    pub next_run: Option<EpochMillis>,
    /// The events that the trail keeps past the retention for this destination; null when there are
    /// none.
    #[serde(default)]
    pub held_back: Option<HeldBack>,
    /// Whether the store honours `If-None-Match`, by the last bucket check; null until there was
    /// one.
    #[serde(default)]
    pub conditional_writes: Option<bool>,
    /// When that was checked, epoch ms; null until it was.
    #[serde(default)]
    pub conditional_writes_checked: Option<EpochMillis>,
    /// The newest gaps in the sequences of the account, declared after restores; up to ten, newest
    /// first.
    #[serde(default)]
    pub sequence_gaps: Vec<SequenceGap>,
}

/// A row of the console's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AggregateItem {
    /// The destination.
    pub streaming_destination: Destination,
    /// Its connector; null when that has been deleted.
    pub connector_info: Option<ConnectorInfo>,
    /// The state of its streaming.
    pub streaming_details: StreamingDetails,
}

/// The number of destinations of one status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatusCount {
    /// The status.
    pub status: Status,
    /// The number of destinations.
    pub count: u32,
}

/// When any destination was last streamed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LastStreamedCard {
    /// Epoch ms; null if none ever was.
    pub last_streamed_at: Option<EpochMillis>,
}

/// The number of active destinations that fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailureInfoCard {
    /// The number of destinations.
    pub count: u32,
}

/// The cards above the table. The names of these fields are the reference's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Cards {
    /// Active and inactive destinations.
    pub count_by_status_card: Vec<StatusCount>,
    /// When any destination was last streamed to.
    pub last_streamed_card: LastStreamedCard,
    /// The number of failing destinations.
    pub failure_info_card: FailureInfoCard,
}
