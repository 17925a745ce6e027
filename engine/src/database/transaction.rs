//! Write transactions: begun, retried and committed in one place.
//!
//! The statements of a transaction have one deadline, the commit has another. A commit that is not
//! confirmed in time is [in doubt](Error::InDoubt).

use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::time::Duration;

use auditstream_model::{EpochMillis, Sequence};
use sqlx::{AnyConnection, AssertSqlSafe};
use tokio::time::timeout_at;

use super::errors::{breaks_connection, is_lost_race, is_missing_partition, is_overdue, overdue};
use super::pool::{Lent, Pool};
use super::{Clock, Database, Dialect, time_after};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::id_filters::IdFilters;
use crate::marks::Numbering;
use crate::months::KnownMonths;

const ATTEMPTS: u32 = 5;

/// A transaction that can write. Dropped without a commit it changes nothing.
#[derive(Debug)]
pub struct WriteTx {
    lent: Lent,
    dialect: Dialect,
    rolls_back: bool,
    numbering: Numbering,
    /// Whether this transaction declares a restore, for which numbering is closed.
    declares_restore: bool,
    /// The newest number given out in this transaction, by account.
    numbered: Vec<(String, Sequence)>,
    clock: Clock,
    id_filters: IdFilters,
    months: KnownMonths,
}

impl WriteTx {
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The filters of event ids that are in memory.
    pub(crate) fn id_filters(&self) -> &IdFilters {
        &self.id_filters
    }

    /// The partitions of the trail that this server knows.
    pub(crate) fn months(&self) -> &KnownMonths {
        &self.months
    }

    /// The best time known, epoch ms.
    pub(crate) fn now(&self) -> EpochMillis {
        self.clock.now()
    }

    /// Returns the time to record for something that follows something else, recorded at
    /// `previous`; see [`time_after`].
    pub(crate) async fn time_after(&mut self, previous: EpochMillis) -> Result<EpochMillis> {
        let trusted = sqlx::query_scalar("SELECT trusted FROM clock")
            .fetch_one(&mut **self)
            .await?;
        Ok(time_after(previous, self.now(), trusted))
    }

    /// Marks the transaction to be rolled back and returns `Ok(value)`, as the result of the body
    /// of [`Database::transaction`].
    pub(crate) fn roll_back<T>(&mut self, value: T) -> Result<T> {
        self.rolls_back = true;
        Ok(value)
    }

    /// Gives out numbers although numbering is closed. The caller has reserved them.
    pub(crate) fn declares_restore(&mut self) {
        self.declares_restore = true;
    }

    /// The state of numbering, unless this transaction declares a restore.
    pub(crate) fn numbering(&self) -> Option<&Numbering> {
        (!self.declares_restore).then_some(&self.numbering)
    }

    /// Reserves numbers of an account, of which `up_to` is the last.
    pub(crate) async fn reserve(&mut self, account: &str, last: Sequence, up_to: Sequence) -> Result<()> {
        if !self.declares_restore {
            self.numbering.reserve(account, last, up_to).await?;
            self.numbered.push((account.to_owned(), up_to));
        }
        Ok(())
    }

    /// Commits; the changes are on disk when this returns.
    ///
    /// # Errors
    /// [`Error::InDoubt`] if the database did not say whether it committed.
    pub async fn commit(mut self) -> Result<()> {
        // A commit that waits for a standby would be cancelled at the server's limit and reported
        // as successful. With the deadline of this side alone it is in doubt.
        if self.dialect == Dialect::Postgres {
            sqlx::raw_sql("SET LOCAL statement_timeout = 0")
                .execute(&mut *self)
                .await?;
        }
        match self.lent.commit().await {
            Ok(()) => {
                self.numbering.committed(&self.numbered);
                self.lent.give_back();
                Ok(())
            }
            Err(error) if breaks_connection(&error) => {
                self.lent.discard();
                Err(Error::in_doubt(error))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Deref for WriteTx {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.lent
    }
}

impl DerefMut for WriteTx {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.lent
    }
}

/// The body of a transaction: `async |tx| { … }`, a closure that borrows its environment.
pub(crate) trait Body<'t, T>: Fn(&'t mut WriteTx) -> Self::Future {
    type Future: Future<Output = Result<T>> + Send;

    /// Boxed, so that the compiler sees `Send` without looking into the closure.
    fn run<'f>(&self, tx: &'t mut WriteTx) -> Pin<Box<dyn Future<Output = Result<T>> + Send + 'f>>
    where
        Self: 'f,
        T: 'f,
        't: 'f,
    {
        Box::pin(self(tx))
    }
}

impl<'t, T, F, B> Body<'t, T> for B
where
    B: Fn(&'t mut WriteTx) -> F,
    F: Future<Output = Result<T>> + Send,
{
    type Future = F;
}

impl Database {
    /// Runs `body` in a write transaction and commits when it returns `Ok`. An error rolls back,
    /// and so does [`WriteTx::roll_back`]. A transaction that loses a race (a serialization failure
    /// or a deadlock) or finds its connection cut off runs again from its beginning, so `body` must
    /// have no effect outside the database.
    ///
    /// `name` is unique in the engine: tests stop a process at the failpoints `NAME.committing` and
    /// `NAME.committed`, and `it::crash` lists every name.
    ///
    /// # Errors
    /// [`Error::InDoubt`] if the database did not say whether it committed.
    pub(crate) async fn transaction<T>(
        &self,
        name: &'static str,
        body: impl AsyncFn(&mut WriteTx) -> Result<T> + for<'t> Body<'t, T>,
    ) -> Result<T> {
        let mut attempt = 1;
        loop {
            let result = self.attempt(name, &body).await;
            match result {
                Err(Error::Database(error)) if can_retry(&error, attempt) => {
                    if is_missing_partition(&error) {
                        self.months().forget();
                    }
                    tracing::warn!(%error, name, attempt, "a transaction was interrupted and is retried");
                    tokio::time::sleep(Duration::from_millis(rand::random_range(0..20 << attempt))).await;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    async fn attempt<T>(&self, name: &'static str, body: &impl for<'t> Body<'t, T>) -> Result<T> {
        let (tx, value) = self.run(&self.writers, body).await?;
        if !tx.rolls_back {
            failpoint::committing(name).await;
            tx.commit().await?;
            failpoint::committed(name).await;
        }
        Ok(value)
    }

    /// Runs `body` in a transaction on the connection of the heartbeat, and commits.
    pub(crate) async fn pulse_transaction<T>(
        &self,
        body: impl AsyncFn(&mut WriteTx) -> Result<T> + for<'t> Body<'t, T>,
    ) -> Result<T> {
        let (tx, value) = self.run(&self.pulse, &body).await?;
        tx.commit().await?;
        Ok(value)
    }

    /// Runs the statements of a transaction, up to its commit.
    async fn run<T>(&self, pool: &Pool, body: &impl for<'t> Body<'t, T>) -> Result<(WriteTx, T)> {
        let mut tx = self.begin(pool).await?;
        let ended = timeout_at(tx.lent.deadline, body.run(&mut tx)).await;
        match ended.unwrap_or_else(|_| Err(overdue().into())) {
            Ok(value) => Ok((tx, value)),
            Err(error) => {
                if matches!(&error, Error::Database(error) if breaks_connection(error)) {
                    tx.lent.discard();
                }
                Err(error)
            }
        }
    }

    /// Begins a transaction. On SQLite it takes the one write lock immediately, so that it never
    /// fails halfway for lack of the lock. Its statements have no deadline but that of
    /// [`Self::within`].
    pub async fn write(&self) -> Result<WriteTx> {
        self.begin(&self.writers).await
    }

    async fn begin(&self, pool: &Pool) -> Result<WriteTx> {
        match self.begin_once(pool).await {
            // Connections that were cut off while they were idle.
            Err(error) if breaks_connection(&error) && !is_overdue(&error) => self.begin_once(pool).await,
            result => result,
        }
        .map_err(Error::from)
    }

    async fn begin_once(&self, pool: &Pool) -> Result<WriteTx, sqlx::Error> {
        let mut lent = pool.acquire().await?;
        match lent.begin(self.begin.clone()).await {
            Ok(()) => Ok(WriteTx {
                lent,
                dialect: self.dialect,
                rolls_back: false,
                numbering: self.numbering.clone(),
                declares_restore: false,
                numbered: Vec::new(),
                clock: self.clock().clone(),
                id_filters: self.id_filters().clone(),
                months: self.months().clone(),
            }),
            Err(error) => {
                // On PostgreSQL a later statement of the several may have failed.
                if self.dialect == Dialect::Postgres || breaks_connection(&error) {
                    lent.discard();
                }
                Err(error)
            }
        }
    }

    /// Executes a statement outside of a transaction, which PostgreSQL requires of some.
    pub(crate) async fn execute_alone(&self, statement: String) -> Result<()> {
        let mut lent = self.writers.acquire().await?;
        let deadline = lent.deadline;
        let executing = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *lent);
        match timeout_at(deadline, executing).await {
            Ok(Ok(_)) => {
                lent.settle().await;
                Ok(())
            }
            Ok(Err(error)) => {
                if breaks_connection(&error) {
                    lent.discard();
                } else {
                    lent.settle().await;
                }
                Err(error.into())
            }
            Err(_) => {
                lent.discard();
                Err(overdue().into())
            }
        }
    }

    /// Runs calls to the database, which together have the deadline of one transaction.
    pub(crate) async fn within<T>(&self, calls: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let ended = tokio::time::timeout(self.writers.deadline(), calls).await;
        ended.unwrap_or_else(|_| Err(overdue().into()))
    }
}

/// Whether a transaction that failed before its commit can run again: when it lost a race, also
/// against the removal of a partition, or once, when its connection was cut off.
fn can_retry(error: &sqlx::Error, attempt: u32) -> bool {
    let was_cut_off = breaks_connection(error) && !is_overdue(error);
    let lost_race = is_lost_race(error) || is_missing_partition(error);
    (was_cut_off && attempt == 1) || (lost_race && attempt < ATTEMPTS)
}
