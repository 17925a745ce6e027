//! Delays between retries.

use serde::{Deserialize, Serialize};

use crate::FieldErrors;
use crate::limits::{MAX_BACKOFF_MS, MAX_RETRIES};

/// The delays between attempts, and the number of retries. All times are in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "snake_case")]
pub enum Backoff {
    /// The same delay each time.
    FixedDelay {
        /// The delay, ms.
        #[cfg_attr(feature = "openapi", schema(maximum = 600_000))]
        #[serde(deserialize_with = "crate::lenient_integer::required")]
        fixed_backoff: u64,
        /// The number of attempts after the first.
        #[cfg_attr(feature = "openapi", schema(maximum = 20))]
        #[serde(deserialize_with = "crate::lenient_integer::required")]
        retry_count: u32,
    },
    /// Half of a doubling delay, plus a random part of the other half.
    EqualJitter {
        /// The first delay, ms.
        #[cfg_attr(feature = "openapi", schema(maximum = 600_000))]
        #[serde(deserialize_with = "crate::lenient_integer::required")]
        base_delay: u64,
        /// The longest delay, ms.
        #[cfg_attr(feature = "openapi", schema(maximum = 600_000))]
        #[serde(deserialize_with = "crate::lenient_integer::required")]
        max_backoff_time: u64,
        /// The number of attempts after the first.
        #[cfg_attr(feature = "openapi", schema(maximum = 20))]
        #[serde(deserialize_with = "crate::lenient_integer::required")]
        retry_count: u32,
    },
    /// A random part of a doubling delay.
    FullJitter {
        /// The first delay, ms.
        #[cfg_attr(feature = "openapi", schema(maximum = 600_000))]
        #[serde(deserialize_with = "crate::lenient_integer::required")]
        base_delay: u64,
        /// The longest delay, ms.
        #[cfg_attr(feature = "openapi", schema(maximum = 600_000))]
        #[serde(deserialize_with = "crate::lenient_integer::required")]
        max_backoff_time: u64,
        /// The number of attempts after the first.
        #[cfg_attr(feature = "openapi", schema(maximum = 20))]
        #[serde(deserialize_with = "crate::lenient_integer::required")]
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
    /// Returns the number of attempts after the first.
    #[must_use]
    pub fn retry_count(self) -> u32 {
        match self {
            Self::FixedDelay { retry_count, .. }
            | Self::EqualJitter { retry_count, .. }
            | Self::FullJitter { retry_count, .. } => retry_count,
        }
    }

    /// Returns the delay before retry number `retry` (from 1), in ms; `random` is between 0 and 1.
    #[must_use]
    pub fn delay(self, retry: u32, random: f64) -> u64 {
        let doubled = |base: u64, max: u64| {
            base.saturating_mul(1_u64.checked_shl(retry.saturating_sub(1)).unwrap_or(u64::MAX))
                .min(max)
        };
        match self {
            Self::FixedDelay { fixed_backoff, .. } => fixed_backoff,
            Self::EqualJitter {
                base_delay,
                max_backoff_time,
                ..
            } => {
                let delay = doubled(base_delay, max_backoff_time);
                delay / 2 + part(delay - delay / 2, random)
            }
            Self::FullJitter {
                base_delay,
                max_backoff_time,
                ..
            } => part(doubled(base_delay, max_backoff_time), random),
        }
    }

    pub(crate) fn check(self, errors: &mut FieldErrors) {
        if self.retry_count() > MAX_RETRIES {
            errors.add(
                "spec.backoff.retry_count",
                "Retry at most 20 times; the next run tries again.",
            );
        }
        match self {
            Self::FixedDelay { fixed_backoff, .. } if fixed_backoff > MAX_BACKOFF_MS => {
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
                if max_backoff_time > MAX_BACKOFF_MS {
                    errors.add("spec.backoff.max_backoff_time", "Wait at most 600,000 ms.");
                }
                if base_delay > max_backoff_time {
                    errors.add(
                        "spec.backoff.base_delay",
                        "The first wait cannot be longer than the longest.",
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
    reason = "delays are far below 2^52 ms"
)]
fn part(whole: u64, random: f64) -> u64 {
    (whole as f64 * random.clamp(0.0, 1.0)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_jitter_stays_within_them() {
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
