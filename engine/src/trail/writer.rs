//! Groups requests into commits: one task does all appending, so that one sync of the disk serves
//! every request that waits.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use auditstream_model::{Code, EpochMillis};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinSet};

use super::append::Appended;
use super::commit_group::{Group, Request};
use super::stored_form::Prepared;
use super::turns::Turns;
use crate::database::{Database, Dialect, now};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::metrics::Metrics;
use crate::shared_budget::{Exhausted, SharedBudget};
use crate::task::supervise;

/// Capacity of the queue in bytes of events, of which one account gets at most half; beyond it
/// requests are refused with 503.
const QUEUE_BYTES: usize = 128 << 20;
const NOT_WRITTEN: &str = "The events could not be written to the database. Send them again in a few seconds.";
const COMMIT_EVENTS: usize = 10_000;
/// The message for requests whose commit the database did not confirm.
const IN_DOUBT: &str = "The database did not confirm in time that the events were stored. Send them again: those that \
                        were stored count as duplicates.";

#[derive(Clone, Debug)]
pub(crate) struct Writer {
    queue: mpsc::UnboundedSender<Request>,
    room: SharedBudget<i64>,
    progress: Arc<Progress>,
}

/// How the commits fare.
#[derive(Debug, Default)]
struct Progress {
    /// When the last commit failed, epoch ms; 0 if it succeeded.
    failed_at: AtomicI64,
    /// When each commit under way began.
    under_way: Mutex<HashMap<Id, Instant>>,
}

impl Progress {
    fn began(&self, commit: Id) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.insert(commit, Instant::now());
    }

    fn ended(&self, commit: Id) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&commit);
    }

    /// Called when the writer starts: a panic has aborted the commits that were under way.
    fn restarted(&self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Writer {
    pub(crate) fn start(database: Database, metrics: Metrics) -> Self {
        let (queue, requests) = mpsc::unbounded_channel();
        let progress = Arc::<Progress>::default();
        let (requests, watched) = (tokio::sync::Mutex::new(requests), Arc::clone(&progress));
        tokio::spawn(async move {
            // After a panic, the requests that were taken from the queue are refused with 503.
            let write = || write(&database, &metrics, &watched, &requests);
            supervise("ingest_writer", &metrics, || true, write).await;
        });
        Self {
            queue,
            room: SharedBudget::halved(QUEUE_BYTES),
            progress,
        }
    }

    /// When the last commit failed, epoch ms; 0 if it succeeded.
    pub(crate) fn failed_at(&self) -> EpochMillis {
        self.progress.failed_at.load(Ordering::Relaxed)
    }

    /// How long the oldest commit has been under way; `None` without one.
    pub(crate) fn oldest_commit(&self) -> Option<Duration> {
        let under_way = self.progress.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.values().min().map(Instant::elapsed)
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.room.taken()
    }

    /// The events are on disk when this returns. [`Code::Unavailable`] if too much waits already,
    /// or if the commit failed.
    pub(crate) async fn append(&self, account_id: i64, events: Vec<Prepared>) -> Result<Appended> {
        let busy = |whose: &str| {
            let message =
                format!("Too many events{whose} are waiting to be written. Send them again in a few seconds.");
            Error::refused(Code::Unavailable, message)
        };
        let mut room = self.room.share(account_id);
        let bytes = events.iter().map(Prepared::bytes).sum();
        room.grow(bytes).map_err(|exhausted| match exhausted {
            Exhausted::Party => busy(" of this account"),
            Exhausted::Total => busy(""),
        })?;
        let (answer, answered) = oneshot::channel();
        self.queue
            .send(Request {
                account_id,
                events,
                answer,
                room,
            })
            .map_err(|_| busy(""))?;
        answered
            .await
            .map_err(|_| Error::refused(Code::Unavailable, NOT_WRITTEN))?
    }
}

/// The queue of a request. SQLite has one for all accounts: there is one write lock, and one sync
/// serves all. PostgreSQL has one per account, so that accounts do not delay one another.
fn lane(dialect: Dialect, account_id: i64) -> i64 {
    match dialect {
        Dialect::Sqlite => 0,
        Dialect::Postgres => account_id,
    }
}

struct Lanes {
    /// The largest number of concurrent commits.
    commits: usize,
    waiting: HashMap<i64, Turns<Request>>,
    under_way: HashMap<Id, i64>,
    /// Lanes with requests and no commit in progress; the one that has waited longest is first.
    turns: VecDeque<i64>,
}

impl Lanes {
    /// Half of the connections are for other writes.
    fn new(database: &Database) -> Self {
        let commits = usize::try_from(database.concurrent_writes() / 2).unwrap_or(1);
        Self {
            commits: commits.max(1),
            waiting: HashMap::new(),
            under_way: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    fn add(&mut self, lane: i64, request: Request) {
        let waiting = self.waiting.entry(lane).or_default();
        if waiting.is_empty() && !self.under_way.values().any(|busy| *busy == lane) {
            self.turns.push_back(lane);
        }
        waiting.push(request.account_id, request);
    }

    /// Whether a commit can begin.
    fn is_ready(&self) -> bool {
        self.under_way.len() < self.commits && !self.turns.is_empty()
    }

    fn next(&mut self) -> Option<(i64, Vec<Request>)> {
        if !self.is_ready() {
            return None;
        }
        let lane = self.turns.pop_front()?;
        self.waiting.get_mut(&lane).map(|waiting| (lane, next_group(waiting)))
    }

    fn ended(&mut self, commit: Id) {
        let Some(lane) = self.under_way.remove(&commit) else {
            return;
        };
        if self.waiting.get(&lane).is_some_and(|waiting| !waiting.is_empty()) {
            self.turns.push_back(lane);
        } else {
            self.waiting.remove(&lane);
        }
    }
}

/// Ends when the last [`Writer`] is gone.
async fn write(
    database: &Database,
    metrics: &Metrics,
    progress: &Arc<Progress>,
    requests: &tokio::sync::Mutex<mpsc::UnboundedReceiver<Request>>,
) {
    let mut requests = requests.lock().await;
    progress.restarted();
    let lane_of = |request: &Request| lane(database.dialect(), request.account_id);
    let mut lanes = Lanes::new(database);
    let mut commits = JoinSet::new();
    let mut open = true;
    while open || !commits.is_empty() {
        tokio::select! {
            request = requests.recv(), if open => match request {
                Some(request) => lanes.add(lane_of(&request), request),
                None => open = false,
            },
            Some(ended) = commits.join_next_with_id() => {
                let commit = ended.map_or_else(
                    |panic| {
                        progress.failed_at.store(now(), Ordering::Relaxed);
                        panic.id()
                    },
                    |(commit, ())| commit,
                );
                progress.ended(commit);
                lanes.ended(commit);
            }
        }
        failpoint::reached("writer.look").await;
        if lanes.is_ready() {
            // Requests that have come, and wait for a thread, share the commit.
            tokio::task::yield_now().await;
        }
        while let Ok(request) = requests.try_recv() {
            lanes.add(lane_of(&request), request);
        }
        while let Some((lane, group)) = lanes.next() {
            let commit = commits.spawn(commit_and_answer(
                database.clone(),
                metrics.clone(),
                Arc::clone(progress),
                group,
            ));
            progress.began(commit.id());
            lanes.under_way.insert(commit.id(), lane);
        }
    }
}

fn next_group(waiting: &mut Turns<Request>) -> Vec<Request> {
    let mut group = Vec::new();
    let mut events = 0;
    while events < COMMIT_EVENTS
        && let Some(next) = waiting.pop()
    {
        events += next.events.len();
        group.push(next);
    }
    group
}

async fn commit_and_answer(database: Database, metrics: Metrics, progress: Arc<Progress>, group: Vec<Request>) {
    let began = Instant::now();
    failpoint::reached("writer.commit").await;
    let Some(group) = Group::encode(group).await else {
        progress.failed_at.store(now(), Ordering::Relaxed);
        return;
    };
    let committed = group.commit(&database).await;
    let requests = group.requests;
    match committed {
        Ok(results) => {
            progress.failed_at.store(0, Ordering::Relaxed);
            metrics.committed(requests.len(), began.elapsed());
            for (request, result) in requests.into_iter().zip(results) {
                // Fails when the client has gone; its events are stored all the same.
                let _ = request.answer.send(Ok(result));
            }
        }
        Err(error) => {
            progress.failed_at.store(now(), Ordering::Relaxed);
            tracing::error!(%error, requests = requests.len(), "events were not stored");
            let detail = match error {
                Error::InDoubt(_) => IN_DOUBT.to_owned(),
                _ if error.code() == Code::Unavailable => error.into_problem().detail,
                _ => NOT_WRITTEN.to_owned(),
            };
            for request in requests {
                let refusal = Error::refused(Code::Unavailable, detail.clone());
                let _ = request.answer.send(Err(refusal));
            }
        }
    }
}
