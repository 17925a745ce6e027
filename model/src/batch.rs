//! The S3 objects of a destination.

use serde::{Deserialize, Serialize};

use crate::wire_names::wire_names;
use crate::{EpochMillis, Failure, Sequence};

wire_names! {
    /// The progress of a batch.
    pub enum BatchStatus {
        /// Frozen; no attempt was made yet.
        Ready = "READY",
        /// An attempt was recorded.
        InProgress = "IN_PROGRESS",
        /// The object is in the bucket and the cursor is after it.
        Success = "SUCCESS",
        /// The last attempt failed; it will be retried.
        Failed = "FAILED",
    }
}

/// One S3 object of a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Batch {
    /// 1, 2, 3 … within its destination.
    pub number: i64,
    /// The progress.
    pub status: BatchStatus,
    /// The first sequence in it.
    pub first_sequence: Sequence,
    /// The last sequence in it.
    pub last_sequence: Sequence,
    /// The number of events.
    pub events: i64,
    /// Bytes before compression.
    pub bytes: i64,
    /// The object's key, without the prefix, which each attempt takes from the destination.
    pub key: String,
    /// PUTs recorded so far.
    pub attempts: i64,
    /// When it was frozen, epoch ms.
    pub created: EpochMillis,
    /// When it was confirmed, epoch ms; null until then.
    pub finished: Option<EpochMillis>,
    /// Whether the object is known to have exactly this content; null until it is delivered.
    pub verified: Option<bool>,
    /// Why the last attempt failed; null if it did not.
    pub error: Option<Failure>,
    /// The id that AWS gave the last attempt's request.
    #[serde(default)]
    pub request_id: Option<String>,
    /// A note about a delivery that succeeded: the bucket is in another region than the
    /// connector's.
    #[serde(default)]
    pub remark: Option<String>,
    /// Further places at which its object may be, because an attempt to write it there lost its
    /// response, before the destination or its connector was edited; while the batch fails, also
    /// the place of its last attempt.
    #[serde(default)]
    pub may_be_at: Vec<String>,
}
