//! The tasks that run in the background while the server runs.

use crate::streaming::{history, schedule};
use crate::task::Task;
use crate::{Engine, access, alerts, continuity, retention};

/// The scheduler, the removal of old batches and events, the notifications by webhook, the storing
/// of last uses, and the comparison of the database with its high-water marks.
#[derive(Debug)]
pub struct Background {
    scheduler: Task,
    history: Task,
    retention: Task,
    webhooks: Task,
    last_uses: Task,
    continuity: Task,
}

impl Engine {
    /// Starts the background tasks. Servers on the same database share the work.
    #[must_use]
    pub fn start(&self) -> Background {
        Background {
            scheduler: schedule::start(self.clone()),
            history: history::start(self.clone()),
            retention: retention::start(self.clone()),
            webhooks: alerts::start(self.clone()),
            last_uses: access::start_flushing(self.clone()),
            continuity: continuity::watch::start(self.clone()),
        }
    }
}

impl Background {
    /// Begins no further PUT, and returns once those in flight have ended.
    pub async fn stop(self) {
        self.scheduler.stop().await;
        self.history.stop().await;
        self.retention.stop().await;
        self.webhooks.stop().await;
        self.last_uses.stop().await;
        self.continuity.stop().await;
    }
}
