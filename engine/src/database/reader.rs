//! Reading: each statement gets a connection and a deadline.

use futures::TryStreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use sqlx::any::{AnyArguments, AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::error::BoxDynError;
use sqlx::{Any, AnyConnection, Describe, Either, Execute, Executor, SqlStr};
use tokio::time::{timeout, timeout_at};

use super::errors::{breaks_connection, is_overdue, overdue};
use super::pool::Pool;

/// A statement with its arguments.
struct Call {
    sql: SqlStr,
    arguments: Option<AnyArguments>,
    persistent: bool,
}

impl Call {
    fn new<'q>(mut query: impl Execute<'q, Any>) -> Result<Self, sqlx::Error> {
        Ok(Self {
            arguments: query.take_arguments().map_err(sqlx::Error::Encode)?,
            persistent: query.persistent(),
            sql: query.sql(),
        })
    }

    fn again(&self) -> Self {
        let copy = |arguments: &AnyArguments| {
            let mut copy = AnyArguments::default();
            copy.values.0.clone_from(&arguments.values.0);
            copy
        };
        Self {
            sql: self.sql.clone(),
            arguments: self.arguments.as_ref().map(copy),
            persistent: self.persistent,
        }
    }
}

impl Execute<'_, Any> for Call {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&AnyStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<AnyArguments>, BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

type Run<T> = fn(&mut AnyConnection, Call) -> BoxFuture<'_, Result<T, sqlx::Error>>;

impl Pool {
    /// Runs a statement that reads. One that finds its connection cut off runs again, once.
    async fn read<T>(&self, call: Call, run: Run<T>) -> Result<T, sqlx::Error> {
        match self.read_once(call.again(), run).await {
            Err(error) if breaks_connection(&error) && !is_overdue(&error) => self.read_once(call, run).await,
            result => result,
        }
    }

    async fn read_once<T>(&self, call: Call, run: Run<T>) -> Result<T, sqlx::Error> {
        let mut lent = self.acquire().await?;
        match timeout_at(lent.deadline, run(&mut lent, call)).await {
            Ok(Ok(value)) => {
                lent.settle().await;
                Ok(value)
            }
            Ok(Err(error)) => {
                if breaks_connection(&error) {
                    lent.discard();
                }
                Err(error)
            }
            Err(_) => {
                lent.discard();
                Err(overdue())
            }
        }
    }
}

impl<'p> Executor<'p> for &'p Pool {
    type Database = Any;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<AnyQueryResult, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let call = Call::new(query);
        Box::pin(async move { self.read(call?, |connection, call| connection.execute(call)).await })
    }

    /// The deadline is that of each row, so that a caller can take its time between two.
    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let call = Call::new(query);
        Box::pin(sqlx_core::try_stream! {
            let call = call?;
            let limit = self.deadline();
            let mut can_repeat = true;
            loop {
                let mut lent = self.acquire().await?;
                let end = {
                    let mut steps = lent.fetch_many(call.again());
                    loop {
                        match timeout(limit, steps.try_next()).await {
                            Ok(Ok(Some(step))) => {
                                can_repeat = false;
                                r#yield!(step);
                            }
                            Ok(Ok(None)) => break Ok(()),
                            Ok(Err(error)) => break Err(error),
                            Err(_) => break Err(overdue()),
                        }
                    }
                };
                let Err(error) = end else {
                    lent.give_back();
                    break;
                };
                let was_cut_off = breaks_connection(&error) && !is_overdue(&error);
                if breaks_connection(&error) {
                    lent.discard();
                }
                if !(was_cut_off && can_repeat) {
                    return Err(error);
                }
                can_repeat = false;
            }
            Ok(())
        })
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<AnyRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let call = Call::new(query);
        Box::pin(async move { self.read(call?, |connection, call| connection.fetch_all(call)).await })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let call = Call::new(query);
        Box::pin(async move {
            self.read(call?, |connection, call| connection.fetch_optional(call))
                .await
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move {
            let mut lent = self.acquire().await?;
            let prepared = timeout_at(lent.deadline, lent.prepare_with(sql, parameters)).await;
            prepared.unwrap_or_else(|_| Err(overdue()))
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Any>, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move {
            let mut lent = self.acquire().await?;
            let described = timeout_at(lent.deadline, lent.describe(sql)).await;
            described.unwrap_or_else(|_| Err(overdue()))
        })
    }
}
