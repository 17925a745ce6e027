//! The tasks that run in the background while the server runs.

use crate::streaming::schedule;
use crate::{Engine, alerts, retention};

/// The scheduler, the removal of old events, and the notifications by webhook.
#[derive(Debug)]
pub struct Background {
    scheduler: schedule::Scheduler,
    keeper: retention::Keeper,
    webhook_task: alerts::WebhookTask,
}

impl Engine {
    /// Starts the background tasks. Servers on the same database share the work.
    #[must_use]
    pub fn start(&self) -> Background {
        Background {
            scheduler: schedule::start(self.clone()),
            keeper: retention::start(self.clone()),
            webhook_task: alerts::start(self.clone()),
        }
    }
}

impl Background {
    /// Starts no further PUT, and returns once those in flight have ended.
    pub async fn stop(self) {
        self.scheduler.stop().await;
        self.keeper.stop().await;
        self.webhook_task.stop().await;
    }
}
