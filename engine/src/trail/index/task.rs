//! The background task that keeps the index of each account up to date.
//!
//! Servers on one database share the work: each claims the accounts that no other works on. All
//! writes are small transactions that let others go first, and compare the claim.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use auditstream_model::Sequence;
use sqlx::FromRow;

use super::build::{Builder, Built};
use super::coverage::gaps;
use super::merging;
use super::order::Place;
use super::rows::{self, Claim, SliceRow};
use crate::Engine;
use crate::database::now;
use crate::error::{Error, Result};
use crate::failpoint;
use crate::task::{Stop, Task};
use crate::trail::gaps::all_gaps;
use crate::trail::segment::{self, Bounds, Events};

/// Time between two looks at all accounts.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Events, and bytes of events, that wait to be indexed together.
const WAITING_EVENTS: i64 = 256;
const WAITING_BYTES: i64 = 1 << 20;
/// Events of a new slice, and bytes of its events.
const SLICE_EVENTS: usize = 4_096;
const SLICE_BYTES: usize = 4 << 20;
/// Events that are read at once.
const READ_EVENTS: usize = 1_000;
const READ_BYTES: usize = 1 << 20;
/// The time without work after which an account is checked again: slices may be due to be deleted,
/// or another server that worked on it may have stopped.
const IDLE: Duration = Duration::from_secs(30);
/// The time until a failed account is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// Starts to index the trail of every account. Stops after the current step.
pub(crate) fn start(engine: Engine) -> Task {
    Task::spawn("index", engine.metrics().clone(), move |stop| run(engine.clone(), stop))
}

async fn run(engine: Engine, mut stop: Stop) {
    let mut indexer = Indexer {
        engine,
        owner: rand::random(),
        accounts: HashMap::new(),
        stop: stop.clone(),
    };
    while !*stop.borrow() {
        failpoint::reached("index.look").await;
        if indexer.look().await {
            continue;
        }
        tokio::select! {
            _ = stop.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// The trail of an account.
#[derive(Clone, Copy, Debug, FromRow)]
struct Trail {
    id: i64,
    first_sequence: Sequence,
    last_sequence: Sequence,
    trail_bytes: i64,
    /// The number of requests for work.
    requests: i64,
}

/// The trails, with the requests for work on their indexes.
const TRAILS: &str = "
    SELECT account.id, account.first_sequence, account.last_sequence, account.trail_bytes,
           coalesce(search_index.requests, 0) AS requests
    FROM account
    LEFT JOIN search_index ON search_index.account_id = account.id
    ORDER BY account.id";

/// An account, as the task has last seen it.
struct Known {
    /// The trail when the index was last complete, apart from a few events that wait.
    indexed: Trail,
    /// The time at which the account is checked, even if its trail has hardly changed.
    look_at: Instant,
    has_claim: bool,
}

impl Known {
    fn is_behind(&self, trail: &Trail) -> bool {
        trail.requests != self.indexed.requests
            || trail.last_sequence - self.indexed.last_sequence >= WAITING_EVENTS
            || trail.trail_bytes - self.indexed.trail_bytes >= WAITING_BYTES
    }
}

struct Indexer {
    engine: Engine,
    owner: i64,
    accounts: HashMap<i64, Known>,
    stop: Stop,
}

/// The result of a step of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// There may be more to do.
    Done,
    /// There is nothing to do now.
    Idle,
    /// Another server works on the account.
    Lost,
}

impl Indexer {
    /// Does a step for each account that needs one. Returns whether there may be more to do.
    async fn look(&mut self) -> bool {
        let trails: Vec<Trail> = match sqlx::query_as(TRAILS).fetch_all(self.engine.database().read()).await {
            Ok(trails) => trails,
            Err(error) => {
                let error = Error::from(error);
                tracing::error!(%error, "accounts cannot be read; their search index waits");
                return false;
            }
        };
        self.accounts.retain(|id, _| trails.iter().any(|trail| trail.id == *id));
        let mut has_more = false;
        for trail in trails {
            if *self.stop.borrow() {
                return false;
            }
            if !self.is_due(&trail) {
                continue;
            }
            match self.step(trail).await {
                Ok(Step::Done) => has_more = true,
                Ok(Step::Idle) => self.rest(trail, IDLE, true),
                Ok(Step::Lost) => self.rest(trail, IDLE, false),
                Err(error) => {
                    tracing::error!(account_id = trail.id, %error, "the search index cannot be updated; retrying soon");
                    // The next claim cleans up.
                    self.rest(trail, RETRY, false);
                }
            }
        }
        has_more
    }

    fn is_due(&self, trail: &Trail) -> bool {
        let Some(known) = self.accounts.get(&trail.id) else {
            return true;
        };
        known.look_at <= Instant::now() || (known.has_claim && known.is_behind(trail))
    }

    fn rest(&mut self, trail: Trail, pause: Duration, has_claim: bool) {
        let known = Known {
            indexed: trail,
            look_at: Instant::now() + pause,
            has_claim,
        };
        self.accounts.insert(trail.id, known);
    }

    async fn step(&mut self, trail: Trail) -> Result<Step> {
        let claim = Claim {
            account_id: trail.id,
            owner: self.owner,
        };
        let has_claim = self.accounts.get(&trail.id).is_some_and(|known| known.has_claim);
        if !has_claim && !claim.take(self.engine.database()).await? {
            return Ok(Step::Lost);
        }
        let slices = rows::slices(self.engine.database(), trail.id).await?;
        let step = self.index(claim, trail, &slices).await?;
        if step == Step::Done {
            self.rest(trail, Duration::ZERO, true);
        }
        Ok(step)
    }

    /// Does the next work that an account needs.
    async fn index(&self, claim: Claim, trail: Trail, slices: &[SliceRow]) -> Result<Step> {
        let is_past = |slice: &&SliceRow| slice.last_sequence < trail.first_sequence;
        let past: Vec<i64> = slices.iter().filter(is_past).map(|slice| slice.slice).collect();
        if !past.is_empty() {
            return self.retire(claim, &past).await;
        }
        if let Some((first, last)) = gaps(slices, trail.first_sequence, trail.last_sequence).first().copied()
            && self.is_worth_it(trail, last - first + 1, last)
            && let Some(step) = self
                .index_events(claim, (first, last), last == trail.last_sequence)
                .await?
        {
            return Ok(step);
        }
        if let Some(parts) = merging::due(slices) {
            let has_claim = merging::run(&self.engine, claim, parts, self.stop.clone()).await?;
            return Ok(done_if(has_claim));
        }
        self.delete(claim).await
    }

    /// Whether a gap is to be indexed now. At the trail's end, some events are awaited first.
    fn is_worth_it(&self, trail: Trail, events: i64, last: Sequence) -> bool {
        let known = self.accounts.get(&trail.id);
        last < trail.last_sequence || events >= WAITING_EVENTS || known.is_some_and(|known| known.is_behind(&trail))
    }

    /// Indexes events from the beginning of a gap. Returns `None` if the trail's end has none.
    async fn index_events(
        &self,
        claim: Claim,
        (first, last): (Sequence, Sequence),
        is_end: bool,
    ) -> Result<Option<Step>> {
        let declared = all_gaps(self.engine.database(), claim.account_id).await?;
        let mut builder = Builder::default();
        let (mut until, mut bytes) = (first - 1, 0);
        while until < last && builder.len() < SLICE_EVENTS && bytes < SLICE_BYTES {
            let bounds = Bounds {
                events: READ_EVENTS.min(SLICE_EVENTS - builder.len()),
                bytes: READ_BYTES,
                closing: 0,
            };
            if let Some((_, end)) = declared.iter().find(|(from, to)| (*from..=*to).contains(&(until + 1))) {
                until = last.min(*end);
                continue;
            }
            let next = declared.iter().map(|(from, _)| *from).find(|from| *from > until);
            let up_to = next.map_or(last, |from| last.min(from - 1));
            let database = self.engine.database();
            let events = segment::read(database, claim.account_id, until, up_to, bounds).await?;
            if events.is_empty() {
                // Retention has removed the events.
                until = up_to;
            } else {
                bytes += events.bytes();
                until = events.last_sequence();
                builder = on_own_thread(move || add(builder, &events)).await?;
            }
        }
        if is_end && builder.len() == 0 {
            return Ok(None);
        }
        let built = on_own_thread(move || builder.finish()).await??;
        self.store(claim, (first, until), &built).await.map(Some)
    }

    async fn store(&self, claim: Claim, (first, last): (Sequence, Sequence), built: &Built) -> Result<Step> {
        let stored = self
            .engine
            .database()
            .background()
            .transaction("index_events", async |tx| {
                if !claim.renew(tx).await? {
                    return tx.roll_back(false);
                }
                let slice = claim.begin_slice(tx, first, last).await?;
                claim.store(tx, slice, &built.order, &built.blocks).await?;
                claim.publish(tx, slice, &built.written).await?;
                Ok(true)
            });
        Ok(done_if(stored.await?))
    }

    async fn retire(&self, claim: Claim, slices: &[i64]) -> Result<Step> {
        let retired = self
            .engine
            .database()
            .background()
            .transaction("retire_slices", async |tx| {
                if !claim.renew(tx).await? {
                    return tx.roll_back(false);
                }
                claim.retire(tx, slices).await?;
                Ok(true)
            });
        Ok(done_if(retired.await?))
    }

    /// Deletes some rows that no search needs.
    async fn delete(&self, claim: Claim) -> Result<Step> {
        let database = self.engine.database();
        let Some(slice) = rows::find_retired(database, claim.account_id, now()).await? else {
            return Ok(Step::Idle);
        };
        let deleted = database.background().transaction("delete_slice", async |tx| {
            if !claim.renew(tx).await? {
                return tx.roll_back(false);
            }
            rows::delete_some(tx, claim.account_id, slice).await?;
            Ok(true)
        });
        Ok(done_if(deleted.await?))
    }
}

fn add(mut builder: Builder, events: &Events) -> Builder {
    for (index, (sequence, payload)) in events.iter().enumerate() {
        let time = events.time(index);
        builder.add(Place { time, sequence }, payload);
    }
    builder
}

/// Runs work that takes some milliseconds on a separate thread.
async fn on_own_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Broken(format!("indexing failed: {error}")))
}

fn done_if(has_claim: bool) -> Step {
    if has_claim { Step::Done } else { Step::Lost }
}
