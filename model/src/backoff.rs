//! How long to wait before something is tried again.

use serde::{Deserialize, Serialize};

use crate::field::FieldErrors;

/// How long to wait between tries, and how often to try again. All times in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "snake_case")]
pub enum Backoff {
    /// The same wait each time.
    FixedDelay {
        /// The wait, ms.
        #[cfg_attr(feature = "openapi", schema(maximum = 600_000))]
        #[serde(deserialize_with = "crate::whole::number")]
        fixed_backoff: u64,
        /// Tries after the first.
        #[cfg_attr(feature = "openapi", schema(maximum = 20))]
        #[serde(deserialize_with = "crate::whole::number")]
        retry_count: u32,
    },
    /// Half of a doubling wait, and a random part of the other half.
    EqualJitter {
        /// The first wait, ms.
        #[cfg_attr(feature = "openapi", schema(maximum = 600_000))]
        #[serde(deserialize_with = "crate::whole::number")]
        base_delay: u64,
        /// The longest wait, ms.
        #[cfg_attr(feature = "openapi", schema(maximum = 600_000))]
        #[serde(deserialize_with = "crate::whole::number")]
        max_backoff_time: u64,
        /// Tries after the first.
        #[cfg_attr(feature = "openapi", schema(maximum = 20))]
        #[serde(deserialize_with = "crate::whole::number")]
        retry_count: u32,
    },
    /// A random part of a doubling wait.
    FullJitter {
        /// The first wait, ms.
        #[cfg_attr(feature = "openapi", schema(maximum = 600_000))]
        #[serde(deserialize_with = "crate::whole::number")]
        base_delay: u64,
        /// The longest wait, ms.
        #[cfg_attr(feature = "openapi", schema(maximum = 600_000))]
        #[serde(deserialize_with = "crate::whole::number")]
        max_backoff_time: u64,
        /// Tries after the first.
        #[cfg_attr(feature = "openapi", schema(maximum = 20))]
        #[serde(deserialize_with = "crate::whole::number")]
        retry_count: u32,
    },
}

impl Default for Backoff {
    fn default() -> Self {
        Self::FullJitter {
            base_delay: 500,
            max_backoff_time: 30_000,
            retry_count: 5,
        }
    }
}

impl Backoff {
    /// Tries after the first.
    #[must_use]
    pub fn retry_count(self) -> u32 {
        match self {
            Self::FixedDelay { retry_count, .. }
            | Self::EqualJitter { retry_count, .. }
            | Self::FullJitter { retry_count, .. } => retry_count,
        }
    }

    /// The wait before retry `retry` (from 1), in ms; `random` is between 0 and 1.
    #[must_use]
    pub fn delay(self, retry: u32, random: f64) -> u64 {
        let doubled = |base: u64, most: u64| {
            base.saturating_mul(1_u64.checked_shl(retry.saturating_sub(1)).unwrap_or(u64::MAX))
                .min(most)
        };
        match self {
            Self::FixedDelay { fixed_backoff, .. } => fixed_backoff,
            Self::EqualJitter {
                base_delay,
                max_backoff_time,
                ..
            } => {
                let wait = doubled(base_delay, max_backoff_time);
                wait / 2 + part(wait - wait / 2, random)
            }
            Self::FullJitter {
                base_delay,
                max_backoff_time,
                ..
            } => part(doubled(base_delay, max_backoff_time), random),
        }
    }

    pub(crate) fn check(self, errors: &mut FieldErrors) {
        const LONGEST: u64 = 600_000;
        if self.retry_count() > 20 {
            errors.add(
                "spec.backoff.retry_count",
                "Retry at most 20 times; what still fails is tried again at the next run.",
            );
        }
        match self {
            Self::FixedDelay { fixed_backoff, .. } if fixed_backoff > LONGEST => {
                errors.add("spec.backoff.fixed_backoff", "Wait at most 600,000 ms.");
            }
            Self::EqualJitter {
                base_delay,
                max_backoff_time,
                ..
            }
            | Self::FullJitter {
                base_delay,
                max_backoff_time,
                ..
            } => {
                if max_backoff_time > LONGEST {
                    errors.add("spec.backoff.max_backoff_time", "Wait at most 600,000 ms.");
                }
                if base_delay > max_backoff_time {
                    errors.add(
                        "spec.backoff.base_delay",
                        "The first wait is not longer than the longest.",
                    );
                }
            }
            Self::FixedDelay { .. } => {}
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "waits are far below 2^52 ms"
)]
fn part(whole: u64, random: f64) -> u64 {
    (whole as f64 * random.clamp(0.0, 1.0)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_jitter_stays_within() {
        let equal = Backoff::EqualJitter {
            base_delay: 100,
            max_backoff_time: 1_000,
            retry_count: 9,
        };
        let full = Backoff::FullJitter {
            base_delay: 100,
            max_backoff_time: 1_000,
            retry_count: 9,
        };
        assert_eq!((equal.delay(1, 0.0), equal.delay(1, 1.0)), (50, 100));
        assert_eq!((full.delay(3, 0.0), full.delay(3, 1.0)), (0, 400));
        assert_eq!((equal.delay(99, 0.0), full.delay(99, 1.0)), (500, 1_000));
        assert_eq!(
            Backoff::FixedDelay {
                fixed_backoff: 7,
                retry_count: 1
            }
            .delay(5, 0.3),
            7
        );
    }
}
