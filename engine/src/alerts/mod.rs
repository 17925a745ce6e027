//! The webhook of an account, notified when a destination starts to fail, lags or recovers.
//!
//! Messages follow the Standard Webhooks specification: `{"type","timestamp","data"}`, with the
//! headers `webhook-id`, `webhook-timestamp` and `webhook-signature`. Each is delivered at least
//! once if the receiver accepts it within about an hour. Streaming never waits for the webhook.

mod config;
mod lag_monitor;
pub(crate) mod outbox;
mod receiver;
mod rows;
mod send;
mod worker;

use std::time::Duration;

pub(crate) use config::contact;
pub use config::{get, put, remove, test};
pub(crate) use rows::seal_again;
pub(crate) use send::Client;
pub(crate) use worker::start;

/// The intervals at which the webhook's work is done.
#[derive(Clone, Copy, Debug)]
pub struct Pacing {
    /// Time between two checks for messages that are due.
    pub every: Duration,
    /// Time between two checks for destinations that lag.
    pub watch: Duration,
    /// Time between the first attempt and the second; later intervals grow.
    pub first_delay: Duration,
    /// How long a receiver can take: to connect, to read a message, and to begin its response.
    pub timeout: Duration,
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(1),
            watch: Duration::from_secs(10),
            first_delay: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
        }
    }
}

/// How often a message is sent at most; with the default pacing, within about an hour.
const MAX_ATTEMPTS: i64 = 5;

impl Pacing {
    /// Returns the delay after a failed attempt; the first one has the number 1.
    fn delay(&self, attempt: i64) -> Duration {
        self.first_delay
            * match attempt {
                ..=1 => 1,
                2 => 5,
                3 => 15,
                _ => 40,
            }
    }
}
