//! How long an account's events are retained.

use serde::{Deserialize, Serialize};

use crate::{EpochMillis, FieldErrors, Sequence};

/// The shortest retention, in days.
pub const MIN_RETENTION_DAYS: u32 = 1;
/// The longest retention, in days: a hundred years.
pub const MAX_RETENTION_DAYS: u32 = 36_500;

/// The retention of an account as a client sets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetentionInput {
    /// Days that events are retained; null for the server's default.
    #[serde(default, deserialize_with = "crate::lenient_integer::optional")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 36_500))]
    pub days: Option<u32>,
}

impl RetentionInput {
    /// Returns the days if they are within the limits; `None` for the server's default.
    ///
    /// # Errors
    /// The field `days`.
    pub fn parse(self) -> Result<Option<u32>, FieldErrors> {
        match self.days {
            Some(days) if !(MIN_RETENTION_DAYS..=MAX_RETENTION_DAYS).contains(&days) => {
                let message = format!("It must be between {MIN_RETENTION_DAYS} and {MAX_RETENTION_DAYS} days.");
                Err(FieldErrors::one("days", message))
            }
            days => Ok(days),
        }
    }
}

/// How long the events of an account are retained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetentionView {
    /// Days that apply now.
    pub days: u32,
    /// Days that the account has set; null for the server's default.
    pub own_days: Option<u32>,
    /// The server's default, in days.
    pub default_days: u32,
    /// When `own_days` applies, epoch ms, if it shortens the retention and does not apply yet.
    /// Until then the change can be withdrawn by setting the previous value. Otherwise null.
    pub shortened_from: Option<EpochMillis>,
    /// A removal that an admin has to confirm; null without one.
    pub unconfirmed: Option<UnconfirmedRemoval>,
    /// When the retention was last changed, epoch ms; null if it never was.
    pub updated: Option<EpochMillis>,
}

/// Old events that are not removed until an admin confirms: they are most of the trail, and elapsed
/// time does not explain why they have become too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnconfirmedRemoval {
    /// The number of events, from the oldest.
    pub events: i64,
    /// The last one.
    pub last_sequence: Sequence,
}

/// The confirmation of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RemovalConfirmation {
    /// The last event to remove, as shown in `unconfirmed`.
    #[serde(deserialize_with = "crate::lenient_integer::required")]
    #[cfg_attr(feature = "openapi", schema(value_type = i64, minimum = 1, maximum = 9_007_199_254_740_991_i64))]
    pub last_sequence: Sequence,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_is_between_a_day_and_a_hundred_years() {
        let parse = |days| RetentionInput { days }.parse();
        for days in [None, Some(1), Some(730), Some(36_500)] {
            assert_eq!(parse(days), Ok(days));
        }
        for days in [Some(0), Some(36_501)] {
            assert!(
                parse(days)
                    .unwrap_err()
                    .of("days")
                    .is_some_and(|why| why.contains("between 1 and 36500"))
            );
        }
    }
}
