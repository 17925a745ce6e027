//! Write transactions: begun, retried and committed in one place.

use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::time::Duration;

use sqlx::{Any, AnyConnection, Transaction};

use super::errors::is_lost_race;
use super::{Database, Dialect};
use crate::error::{Error, Result};
use crate::failpoint;

const ATTEMPTS: u32 = 5;

/// A transaction that can write. Dropped without a commit it changes nothing.
#[derive(Debug)]
pub struct WriteTx {
    transaction: Transaction<'static, Any>,
    dialect: Dialect,
    rolls_back: bool,
}

impl WriteTx {
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Marks the transaction to be rolled back and returns `Ok(value)`, as the result of the body
    /// of [`Database::transaction`].
    pub(crate) fn roll_back<T>(&mut self, value: T) -> Result<T> {
        self.rolls_back = true;
        Ok(value)
    }

    /// Commits; the changes are on disk when this returns.
    pub async fn commit(self) -> Result<()> {
        Ok(self.transaction.commit().await?)
    }
}

impl Deref for WriteTx {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl DerefMut for WriteTx {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
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
    /// or a deadlock) runs again from its beginning, so `body` must have no effect outside the
    /// database.
    ///
    /// `name` is unique in the engine: tests stop a process at the failpoints `NAME.committing` and
    /// `NAME.committed`, and `it::crash` lists every name.
    pub(crate) async fn transaction<T>(
        &self,
        name: &'static str,
        body: impl AsyncFn(&mut WriteTx) -> Result<T> + for<'t> Body<'t, T>,
    ) -> Result<T> {
        let mut attempt = 1;
        loop {
            let result = self.attempt(name, &body).await;
            match result {
                Err(Error::Database(error)) if is_lost_race(&error) && attempt < ATTEMPTS => {
                    tracing::warn!(%error, name, attempt, "a transaction lost a race against another one and is retried");
                    tokio::time::sleep(Duration::from_millis(rand::random_range(0..20 << attempt))).await;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    async fn attempt<T>(&self, name: &'static str, body: &impl for<'t> Body<'t, T>) -> Result<T> {
        let mut tx = self.write().await?;
        let value = body.run(&mut tx).await?;
        if !tx.rolls_back {
            failpoint::committing(name).await;
            tx.commit().await?;
            failpoint::committed(name).await;
        }
        Ok(value)
    }

    /// Begins a transaction. On SQLite it takes the one write lock immediately, so that it never
    /// fails halfway for lack of the lock.
    pub async fn write(&self) -> Result<WriteTx> {
        let begin = self.dialect.pick("BEGIN IMMEDIATE", "BEGIN");
        Ok(WriteTx {
            transaction: self.writers.begin_with(begin).await?,
            dialect: self.dialect,
            rolls_back: false,
        })
    }
}
