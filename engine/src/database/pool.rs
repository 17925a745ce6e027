//! Connections, each lent for one statement or one transaction.
//!
//! Nothing waits for ever: a connection that misses its deadline is closed and never used again. A
//! request that ends early leaves its connection to a task that waits for the rest of the response,
//! up to the same deadline. Connections that have been idle for a while, and those that were in use
//! when another one broke, are checked before they are used; the others are not, because a check
//! costs a round trip.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::{Any, AnyConnection, AssertSqlSafe, Connection as _, Executor as _};
use sqlx_core::transaction::TransactionManager as _;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::errors::{is_starting, overdue};
use super::{Dialect, Limits};

type TransactionManager = <Any as sqlx::Database>::TransactionManager;

/// How long an idle connection is used without a check.
const TRUSTED: Duration = Duration::from_secs(10);
/// How long the check of an idle connection can take.
const CHECK_LIMIT: Duration = Duration::from_secs(2);
/// How long a connection to PostgreSQL stays open without use.
const IDLE_LIMIT: Duration = Duration::from_secs(10 * 60);
/// How long a connection to PostgreSQL is used: one that a failover left at a standby ends.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// How long the rest of a response from PostgreSQL is waited for when its reader has left.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// How long closing waits for statements in flight.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// A bounded number of connections. As an executor it reads: each statement gets a connection and
/// a deadline. Cheap to clone.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    dialect: Dialect,
    url: String,
    setup: String,
    limits: Limits,
    size: u32,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    /// How many connections broke.
    broken: AtomicU64,
    is_closed: AtomicBool,
}

struct Live {
    connection: AnyConnection,
    opened: Instant,
    /// [`Shared::broken`] when it was last known to work.
    broken: u64,
}

struct Idle {
    live: Live,
    since: Instant,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({:?})", self.0.dialect)
    }
}

impl Pool {
    /// Creates a pool and opens its first connection, so that a failure surfaces immediately with
    /// its original message.
    pub(super) async fn open(
        url: &str,
        size: u32,
        limits: &Limits,
        dialect: Dialect,
        setup: &str,
    ) -> Result<Self, sqlx::Error> {
        let pool = Self(Arc::new(Shared {
            dialect,
            url: url.to_owned(),
            setup: limits.session(dialect, setup),
            limits: *limits,
            size,
            permits: Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(usize::MAX))),
            idle: Mutex::default(),
            broken: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        }));
        let first = timeout(limits.deadline, pool.connect_once());
        let first = first.await.unwrap_or_else(|_| Err(overdue()))?;
        pool.put_back(first);
        Ok(pool)
    }

    pub(super) fn size(&self) -> u32 {
        self.0.size
    }

    pub(super) fn deadline(&self) -> Duration {
        self.0.limits.deadline
    }

    /// Lends a connection. Its deadline begins now.
    pub(super) async fn acquire(&self) -> Result<Lent, sqlx::Error> {
        let lent = timeout(self.0.limits.busy, self.lend()).await;
        lent.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    async fn lend(&self) -> Result<Lent, sqlx::Error> {
        let permit = Arc::clone(&self.0.permits).acquire_owned().await;
        let permit = permit.map_err(|_| sqlx::Error::PoolClosed)?;
        if self.0.is_closed.load(Ordering::Acquire) {
            return Err(sqlx::Error::PoolClosed);
        }
        let live = match self.take_idle().await {
            Some(live) => live,
            None => self.connect().await?,
        };
        Ok(Lent {
            pool: self.clone(),
            live: Some(live),
            permit: Some(permit),
            deadline: Instant::now() + self.deadline(),
        })
    }

    /// Takes the idle connection that was used last; `None` if none works.
    async fn take_idle(&self) -> Option<Live> {
        loop {
            let Idle { mut live, since } = self.idle().pop()?;
            let broken = self.0.broken.load(Ordering::Acquire);
            if self.0.dialect == Dialect::Sqlite || (live.broken == broken && since.elapsed() < TRUSTED) {
                return Some(live);
            }
            if live.opened.elapsed() > LIFETIME {
                continue;
            }
            let limit = CHECK_LIMIT.min(self.0.limits.busy / 2).min(self.deadline());
            if let Ok(Ok(())) = timeout(limit, live.connection.ping()).await {
                live.broken = broken;
                return Some(live);
            }
            self.note_broken();
        }
    }

    /// Connects; waits for a server that is starting.
    async fn connect(&self) -> Result<Live, sqlx::Error> {
        let mut pause = Duration::from_millis(10);
        loop {
            match self.connect_once().await {
                Err(error) if is_starting(&error) => sleep(pause).await,
                result => return result,
            }
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn connect_once(&self) -> Result<Live, sqlx::Error> {
        let broken = self.0.broken.load(Ordering::Acquire);
        let mut connection = AnyConnection::connect(&self.0.url).await?;
        connection.execute(AssertSqlSafe(self.0.setup.clone())).await?;
        Ok(Live {
            connection,
            opened: Instant::now(),
            broken,
        })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_back(&self, live: Live) {
        if self.0.is_closed.load(Ordering::Acquire) {
            return;
        }
        let since = Instant::now();
        let mut idle = self.idle();
        if self.0.dialect == Dialect::Postgres {
            idle.retain(|idle| idle.since.elapsed() < IDLE_LIMIT);
        }
        idle.push(Idle { live, since });
    }

    /// A cause that breaks one connection usually breaks them all: the idle ones are closed, and
    /// those in use are checked before they are used again.
    fn note_broken(&self) {
        self.0.broken.fetch_add(1, Ordering::AcqRel);
        self.idle().clear();
    }

    /// Waits until nothing is lent, and lends nothing while the result exists. `None` if that takes
    /// longer than `limit`.
    pub(super) async fn pause(&self, limit: Duration) -> Option<OwnedSemaphorePermit> {
        let all = Arc::clone(&self.0.permits).acquire_many_owned(self.0.size);
        timeout(limit, all).await.ok()?.ok()
    }

    /// Closes every connection, after the statements in flight have ended, or at the latest after
    /// some seconds.
    pub(super) async fn close(&self) {
        self.0.is_closed.store(true, Ordering::Release);
        // A statement that takes longer is cut off when the process ends.
        let all = self.pause(CLOSE_LIMIT).await;
        drop(all);
        self.0.permits.close();
        let idle = std::mem::take(&mut *self.idle());
        for idle in idle {
            let _ = timeout(CLOSE_LIMIT, idle.live.connection.close()).await;
        }
    }
}

/// A connection that returns to its pool. Dropped in the middle of a statement or transaction, it
/// returns once its response has been read and the transaction has been rolled back.
pub(super) struct Lent {
    pool: Pool,
    /// `None` once it was returned.
    live: Option<Live>,
    permit: Option<OwnedSemaphorePermit>,
    /// Until when the work that it is lent for can take.
    pub(super) deadline: Instant,
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lent")
    }
}

impl Lent {
    /// Returns a connection that waits for nothing.
    pub(super) fn give_back(mut self) {
        if let Some(live) = self.live.take() {
            self.pool.put_back(live);
        }
    }

    /// Reads the rest of the server's response, then returns the connection.
    pub(super) async fn settle(mut self) {
        if let Ok(Ok(())) = timeout_at(self.deadline, self.flush()).await {
            self.give_back();
        } else {
            self.discard();
        }
    }

    /// Closes a connection without a further word to the server, which may not listen any more.
    pub(super) fn discard(mut self) {
        self.pool.note_broken();
        self.live = None;
    }

    pub(super) async fn begin(&mut self, statement: String) -> Result<(), sqlx::Error> {
        use sqlx::SqlSafeStr as _;
        let deadline = self.deadline;
        let begin = TransactionManager::begin(self, Some(AssertSqlSafe(statement).into_sql_str()));
        timeout_at(deadline, begin).await.unwrap_or_else(|_| Err(overdue()))
    }

    pub(super) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        let limit = self.pool.deadline();
        self.deadline = Instant::now() + limit;
        timeout(limit, TransactionManager::commit(self))
            .await
            .unwrap_or_else(|_| Err(overdue()))
    }
}

impl Deref for Lent {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        let live = self.live.as_ref();
        // Only methods that consume the value take the connection out of it.
        &live
            .expect("a lent connection is there until it is returned")
            .connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        let live = self.live.as_mut();
        // As above.
        &mut live
            .expect("a lent connection is there until it is returned")
            .connection
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(live) = self.live.take() else { return };
        // Outside of a runtime the connection is closed.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(drain(self.pool.clone(), live, self.permit.take(), self.deadline));
        }
    }
}

/// Rolls back, reads the rest of the response and returns the connection; closes it if that takes
/// too long. The permit stays taken meanwhile, so that clients that leave early do not make the
/// database do more work at once than the pool has connections. SQLite finishes the statement even
/// if its connection is closed; PostgreSQL stops it.
async fn drain(pool: Pool, mut live: Live, permit: Option<OwnedSemaphorePermit>, deadline: Instant) {
    let deadline = match pool.0.dialect {
        Dialect::Sqlite => deadline,
        Dialect::Postgres => deadline.min(Instant::now() + DRAIN_LIMIT),
    };
    if TransactionManager::get_transaction_depth(&live.connection) > 0 {
        TransactionManager::start_rollback(&mut live.connection);
    }
    match timeout_at(deadline, live.connection.ping()).await {
        // A full disk has made SQLite roll back by itself. The driver does not know that and would
        // begin no other transaction.
        Ok(Ok(())) if TransactionManager::get_transaction_depth(&live.connection) > 0 => drop(live),
        Ok(Ok(())) => pool.put_back(live),
        _ => pool.note_broken(),
    }
    drop(permit);
}
