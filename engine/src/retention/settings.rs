use std::time::Duration;

/// How long events are retained, and how fast older ones are removed.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Minimum age of an event, since its receipt, at which it is removed, in accounts that have
    /// not set their own.
    pub keep: Duration,
    /// Maximum number of events that one transaction removes. It removes fewer if they take longer
    /// than about 50 ms.
    pub step: u32,
    /// Pause between two of these transactions while events wait to be stored.
    pub pause: Duration,
    /// Time between two sweeps.
    pub every: Duration,
    /// How long the clock has to run evenly before it is trusted: after the start, and after it was
    /// set.
    pub settle: Duration,
    /// The percentage of an account's events beyond which a removal that elapsed time does not
    /// explain has to be confirmed.
    pub confirm_above: u8,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(730 * 86_400),
            step: 20_000,
            pause: Duration::from_millis(50),
            every: Duration::from_secs(60),
            settle: Duration::from_secs(5 * 60),
            confirm_above: 50,
        }
    }
}
