//! Whether the clock of a server can be trusted.

use serde::{Deserialize, Serialize};

use crate::EpochMillis;
use crate::wire_names::wire_names;

wire_names! {
    /// Whether the clock of a server can be trusted. Old events are removed only while it is.
    pub enum ClockState {
        /// It agrees with everything that is known about the time.
        Trusted = "TRUSTED",
        /// It was started or set a moment ago, and is watched for some minutes.
        Settling = "SETTLING",
        /// It is ahead of every known time: the installation was stopped for long, or the clock is
        /// wrong. An admin can confirm it.
        Ahead = "AHEAD",
        /// It is before a time that has already come. An admin can confirm it.
        Behind = "BEHIND",
        /// It differs from the clock of the database by more than an hour.
        DiffersFromDatabase = "DIFFERS_FROM_DATABASE",
    }
}

impl ClockState {
    /// Whether something contradicts the clock.
    #[must_use]
    pub fn is_doubt(self) -> bool {
        !matches!(self, Self::Trusted | Self::Settling)
    }

    /// Whether an admin can confirm that the clock is right.
    #[must_use]
    pub fn can_be_confirmed(self) -> bool {
        matches!(self, Self::Ahead | Self::Behind)
    }
}

/// The clock of the server that responds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClockStatus {
    /// Whether it can be trusted.
    pub state: ClockState,
    /// The time that it shows, epoch ms.
    pub time: EpochMillis,
    /// The latest time that was trusted, epoch ms; null before the first.
    pub trusted: Option<EpochMillis>,
    /// The state in a sentence, with what to do.
    pub message: String,
}

/// The confirmation of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClockConfirmation {
    /// The right time, epoch ms. It is compared with the server's clock.
    #[serde(deserialize_with = "crate::lenient_integer::required")]
    #[cfg_attr(feature = "openapi", schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64))]
    pub time: EpochMillis,
}
