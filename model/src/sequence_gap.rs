//! Sequences that no event has.

use serde::{Deserialize, Serialize};

use crate::{EpochMillis, Sequence};

/// A range of sequences that no event of the trail has. After a restore the database cannot know
/// which of them had been given out; they are never given out again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SequenceGap {
    /// The first sequence of the gap.
    pub first: Sequence,
    /// The last sequence of the gap.
    pub last: Sequence,
    /// When it was declared, epoch ms.
    pub declared: EpochMillis,
    /// Why the database was taken to be older than the numbers given out.
    pub reason: String,
}
