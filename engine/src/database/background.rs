//! Transactions that let others go first. SQLite has one writer, which serves transactions in the
//! order in which they come. Of those in the background, one at a time is among them, so that an
//! ingest request or a person waits for two transactions at most, not for those of all runs.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::transaction::Body;
use super::{Database, Dialect, WriteTx};
use crate::error::Result;

/// The place in front of the writers at which transactions of the background wait for each other.
#[derive(Clone, Debug)]
pub(super) struct BackgroundQueue(Arc<Semaphore>);

impl BackgroundQueue {
    /// On PostgreSQL, transactions that lock different rows do not wait for each other.
    pub(super) fn new(dialect: Dialect) -> Self {
        let at_once = match dialect {
            Dialect::Sqlite => 1,
            Dialect::Postgres => Semaphore::MAX_PERMITS,
        };
        Self(Arc::new(Semaphore::new(at_once)))
    }
}

/// The database, for work in the background.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Background<'a>(&'a Database);

impl Database {
    pub(crate) fn background(&self) -> Background<'_> {
        Background(self)
    }
}

impl<'a> Background<'a> {
    /// Runs `body` as [`Database::transaction`], once no other transaction of the background waits.
    pub(crate) async fn transaction<T>(
        self,
        name: &'static str,
        body: impl AsyncFn(&mut WriteTx) -> Result<T> + for<'t> Body<'t, T>,
    ) -> Result<T> {
        let _turn = self.turn().await;
        self.0.transaction(name, body).await
    }

    /// Waits until no other transaction of the background waits; `None` if the queue was closed,
    /// which it never is.
    pub(crate) async fn turn(self) -> Option<SemaphorePermit<'a>> {
        self.0.background.0.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::database::{DatabaseUrl, Limits};

    const NAME: &str = "test";
    const LAST: usize = 19;

    /// With one thread, each task runs until it waits, so that their order is known.
    #[tokio::test]
    async fn the_background_lets_others_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("auditstream.db"));
        let database = Database::open(&url, &Limits::default()).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let first = database.write().await.unwrap();
        let mut tasks = Vec::new();
        for number in 0..=LAST {
            let (database, order) = (database.clone(), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let body = async |_: &mut WriteTx| {
                    order.lock().unwrap().push(number);
                    Ok(())
                };
                if number == LAST {
                    database.transaction(NAME, body).await.unwrap();
                } else {
                    database.background().transaction(NAME, body).await.unwrap();
                }
            }));
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        first.commit().await.unwrap();
        for task in tasks {
            task.await.unwrap();
        }
        let order = order.lock().unwrap();
        assert_eq!(order.iter().position(|number| *number == LAST), Some(1), "{order:?}");
    }
}
