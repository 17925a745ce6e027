//! What was streamed.

use serde::{Deserialize, Serialize};

use crate::{EpochMillis, Sequence};

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BatchStatus {
    /// Frozen; nothing was sent yet.
    Ready,
    /// An attempt was recorded.
    InProgress,
    /// The object is in the bucket and the cursor stands behind it.
    Success,
    /// The last attempt failed; it is tried again.
    Failed,
}

impl BatchStatus {
    /// The word that API and database use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "READY",
            Self::InProgress => "IN_PROGRESS",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
        }
    }

    /// The status of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Ready, Self::InProgress, Self::Success, Self::Failed]
            .into_iter()
            .find(|status| status.word() == word)
    }
}

/// Why a delivery failed, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failure {
    /// A stable word: `credentials`, `access_denied`, `no_such_bucket`, `region`, `throttling`, `network`, `server`,
    /// `clock_skew`, `conflict`, `object_exists` …
    pub code: String,
    /// What failed, and where.
    pub message: String,
    /// What a person can do about it.
    pub hint: String,
    /// Whether trying again can not help, and an admin must act.
    pub blocked: bool,
    /// When, epoch ms.
    pub at: EpochMillis,
    /// What AWS calls the request; its support asks for it.
    #[serde(default)]
    pub request_id: Option<String>,
}

/// One S3 object of a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Batch {
    /// 1, 2, 3 … within its destination.
    pub number: i64,
    /// How far it is.
    pub status: BatchStatus,
    /// The first sequence in it.
    pub first_sequence: Sequence,
    /// The last sequence in it.
    pub last_sequence: Sequence,
    /// How many events.
    pub events: i64,
    /// Bytes before compression.
    pub bytes: i64,
    /// The object's key, without the prefix that the destination has at each attempt.
    pub key: String,
    /// PUTs recorded so far.
    pub attempts: i64,
    /// When it was frozen, epoch ms.
    pub created: EpochMillis,
    /// When it was confirmed, epoch ms.
    pub finished: Option<EpochMillis>,
    /// Whether the object is known to hold this very content; null until it is delivered.
    pub verified: Option<bool>,
    /// Why the last attempt failed.
    pub error: Option<Failure>,
    /// What AWS calls the last attempt's request.
    #[serde(default)]
    pub request_id: Option<String>,
    /// What was found on the way, though it was delivered: that the bucket is in another region than the connector's.
    #[serde(default)]
    pub remark: Option<String>,
}
