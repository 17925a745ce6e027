//! The account's webhook: told when a destination begins to fail, stays behind, or recovers.
//!
//! - [`settings`]: where it goes and what signs it
//! - [`outbox`]: what is to be said, written in the transaction of what it is about
//! - [`watch`]: destinations that stay behind
//! - [`send`]: one signed POST
//! - [`messenger`]: the task that sends, and tries again
//!
//! Messages follow the Standard Webhooks specification: `{"type","timestamp","data"}`, with the headers `webhook-id`,
//! `webhook-timestamp` and `webhook-signature`. Each is sent at least once while the receiver answers within an hour or so,
//! and streaming never waits for it.

mod config;
mod lag_monitor;
pub(crate) mod outbox;
mod send;
mod worker;

use std::time::Duration;

pub(crate) use config::seal_again;
pub use config::{get, put, put_if, remove, remove_if, test};
pub(crate) use send::Client;
pub(crate) use worker::{Messenger, start};

/// At which pace messages go.
#[derive(Clone, Copy, Debug)]
pub struct Pacing {
    /// Between two looks at what is to be sent.
    pub every: Duration,
    /// Between two looks at who stays behind.
    pub watch: Duration,
    /// Until the second try; the further ones come later and later (see [`TRIES`]).
    pub first_delay: Duration,
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(1),
            watch: Duration::from_secs(10),
            first_delay: Duration::from_secs(60),
        }
    }
}

/// How often a message is sent at most. With the waits of the default that is within about an hour.
pub const TRIES: i64 = 5;

impl Pacing {
    /// The wait after a try that was not taken, the first being 1.
    pub(crate) fn delay(&self, attempt: i64) -> Duration {
        self.first_delay
            * match attempt {
                ..=1 => 1,
                2 => 5,
                3 => 15,
                _ => 40,
            }
    }
}
