//! The tasks that run in the background while the server runs.

use futures::future::join_all;

use crate::database::Dialect;
use crate::streaming::{history, schedule};
use crate::task::Task;
use crate::trail::{ids, index, partitions, segment};
use crate::{Engine, access, alerts, continuity, retention};

/// The scheduler, the removal of old batches and events, the merging of segments, the search index,
/// the upkeep of event ids and of partitions, the notifications by webhook, the storing of last
/// uses, and the comparison of the database with its high-water marks. Dropped, they are aborted.
#[derive(Debug)]
pub struct Background(Vec<Task>);

impl Engine {
    /// Starts the background tasks. Servers on the same database share the work. A task that panics
    /// starts again.
    #[must_use]
    pub fn start(&self) -> Background {
        let mut tasks = vec![
            retention::start(self.clone()),
            history::start(self.clone()),
            segment::start(self.clone()),
            index::start(self.clone()),
            access::start_flushing(self.clone()),
            continuity::watch::start(self.clone()),
            ids::start(self.clone()),
        ];
        if self.database().dialect() == Dialect::Postgres {
            tasks.push(partitions::start(self.clone()));
        }
        if self.streaming_enabled() {
            tasks.push(schedule::start(self.clone()));
            tasks.extend(alerts::start(self));
        }
        Background(tasks)
    }
}

impl Background {
    /// Begins no further PUT, and returns once those in flight have ended.
    pub async fn stop(self) {
        join_all(self.0.into_iter().map(Task::stop)).await;
    }
}
