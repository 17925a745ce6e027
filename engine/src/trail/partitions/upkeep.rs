//! The background task of the partitions.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use auditstream_model::Sequence;

use super::ahead::{AHEAD, FIRST_MONTH, create_ahead, create_months};
use super::moves::{IdPlace, Moved, move_ids, move_to_month};
use super::tables::{Partitions, finish};
use crate::Engine;
use crate::database::errors::is_concurrent_change;
use crate::error::{Error, Result};
use crate::failpoint;
use crate::months::month_of;
use crate::task::{Stop, Task};

/// Time between two looks at all ids in partition 0.
const IDS_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long to wait for a server that merges, moves or removes events.
const BUSY: Duration = Duration::from_millis(50);
/// The longest time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Starts the task, on PostgreSQL. Stops after the current step.
pub(crate) fn start(engine: Engine) -> Task {
    Task::spawn("partitions", engine.metrics().clone(), move |stop| {
        run(engine.clone(), stop)
    })
}

async fn run(engine: Engine, mut stop: Stop) {
    let every = engine.retention().every.min(LOOK_EVERY);
    let mut upkeep = Upkeep {
        engine,
        looked_at_ids: None,
        stop: stop.clone(),
    };
    while !*stop.borrow() {
        failpoint::reached("partitions.look").await;
        if let Err(error) = upkeep.look().await {
            tracing::warn!(%error, "the partitions of the trail cannot be brought up to date; retrying");
        }
        tokio::select! {
            _ = stop.changed() => {}
            () = tokio::time::sleep(every) => {}
        }
    }
}

struct Upkeep {
    engine: Engine,
    looked_at_ids: Option<Instant>,
    stop: Stop,
}

impl Upkeep {
    async fn look(&mut self) -> Result<()> {
        let engine = self.engine.clone();
        let database = engine.database();
        match finish(database).await {
            Ok(()) => {}
            Err(Error::Database(error)) if is_concurrent_change(&error) => {
                tracing::debug!(%error, "partitions are removed by another server, or in use");
            }
            Err(error) => {
                tracing::warn!(%error, "the removal of partitions that was interrupted cannot be completed yet; retrying");
            }
        }
        let now = month_of(database.clock().now());
        let attached = if engine.watched_clock().is_in_doubt() {
            let attached = Partitions::read(database.read()).await?.attached();
            database.months().found(attached.clone());
            attached
        } else {
            create_ahead(database, now).await?
        };
        self.empty(attached, now).await
    }

    /// Moves events from partition 0 to their months.
    async fn empty(&mut self, mut attached: BTreeSet<i64>, now: i64) -> Result<()> {
        let engine = self.engine.clone();
        let database = engine.database();
        let accounts: Vec<i64> = sqlx::query_scalar(
            "SELECT a.id FROM account a
             WHERE EXISTS (
                 SELECT 1 FROM audit_segment
                 WHERE account_id = a.id AND month = 0
                   AND last_sequence > a.expired_sequence AND last_sequence >= a.first_sequence)
             ORDER BY a.id",
        )
        .fetch_all(database.read())
        .await?;
        let mut moved = BTreeSet::new();
        for account_id in accounts {
            if self.empty_account(account_id, &mut attached, now).await? {
                moved.insert(account_id);
            }
        }
        if self.looked_at_ids.is_none_or(|looked| looked.elapsed() >= IDS_EVERY) {
            moved.extend(
                sqlx::query_scalar::<_, i64>(
                    "SELECT a.id FROM account a
                     WHERE EXISTS (SELECT 1 FROM event_id WHERE account_id = a.id AND month = 0)",
                )
                .fetch_all(database.read())
                .await?,
            );
            self.looked_at_ids = Some(Instant::now());
        }
        for account_id in moved {
            let mut place = Some(IdPlace::default());
            while let Some(from) = place.filter(|_| !*self.stop.borrow()) {
                place = move_ids(database, account_id, &from, &|month| attached.contains(&month)).await?;
                self.pause().await;
            }
        }
        Ok(())
    }

    /// Returns whether events were moved.
    async fn empty_account(&self, account_id: i64, attached: &mut BTreeSet<i64>, now: i64) -> Result<bool> {
        let database = self.engine.database();
        let mut after: Sequence = 0;
        let mut has_moved = false;
        while !*self.stop.borrow() {
            let is_attached = |month: i64| attached.contains(&month);
            let months = (FIRST_MONTH, now + AHEAD);
            match move_to_month(database, account_id, after, months, &is_attached).await? {
                Moved::UpTo(sequence) => {
                    has_moved = true;
                    after = sequence;
                }
                Moved::Skipped(sequence) => after = sequence,
                Moved::Needs(month) => {
                    create_months(database, vec![month]).await?;
                    *attached = Partitions::read(database.read()).await?.attached();
                    database.months().found(attached.clone());
                    if !attached.contains(&month) {
                        break;
                    }
                }
                Moved::Busy => tokio::time::sleep(BUSY).await,
                Moved::Nothing => break,
            }
            self.pause().await;
        }
        Ok(has_moved)
    }

    /// Lets ingest go first.
    async fn pause(&self) {
        if self.engine.writer().waiting_bytes() > 0 {
            tokio::time::sleep(self.engine.retention().pause).await;
        }
    }
}
