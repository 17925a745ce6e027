//! A destination in the database.

use auditstream_model::{
    AccountName, Destination, DestinationSpec, DestinationView, EpochMillis, Failure, Sequence, StartAt, Status, Tags,
};
use sqlx::FromRow;
use sqlx::any::AnyExecutor;

use crate::Engine;
use crate::database::{Json, WriteTx, column};
use crate::error::{Error, Result};
use crate::paginate::Listed;

pub(crate) const KIND: &str = "STREAMING_DESTINATION";

#[derive(Clone, Debug, FromRow)]
pub(crate) struct DestinationRow {
    pub(crate) id: i64,
    pub(crate) account_id: i64,
    #[sqlx(try_from = "String")]
    pub(crate) account: AccountName,
    pub(crate) identifier: String,
    name: String,
    description: String,
    tags: Json<Tags>,
    #[sqlx(try_from = "String")]
    pub(crate) status: Status,
    pub(crate) connector: String,
    pub(crate) spec: Json<DestinationSpec>,
    pub(crate) uid: String,
    pub(crate) epoch: i64,
    pub(crate) cursor: Option<Sequence>,
    pub(crate) last_streamed_at: Option<EpochMillis>,
    pub(crate) failure: Option<Json<Failure>>,
    pub(crate) created: EpochMillis,
    pub(crate) updated: EpochMillis,
    pub(crate) status_updated: EpochMillis,
    /// 1 or 0, by the last bucket check; `None` if there was none.
    pub(crate) conditional_writes: Option<i64>,
    pub(crate) conditional_writes_checked: Option<EpochMillis>,
}

macro_rules! select {
    ($where:literal) => {
        concat!(
            "SELECT d.id, d.account_id, a.name AS account, d.identifier, d.name, d.description, d.tags, d.status, \
             d.connector, d.spec, d.uid, d.epoch, d.cursor, d.last_streamed_at, d.failure, d.created, d.updated, \
             d.status_updated, d.conditional_writes, d.conditional_writes_checked \
             FROM streaming_destination d \
             JOIN account a ON a.id = d.account_id \
             WHERE ",
            $where
        )
    };
}

impl DestinationRow {
    pub(crate) fn is_active(&self) -> bool {
        self.status == Status::Active
    }

    pub(crate) fn start_at(&self) -> Result<StartAt> {
        Ok(self.spec.get()?.start_at)
    }

    pub(crate) fn failure(&self) -> Result<Option<Failure>> {
        self.failure.clone().map(Json::into_value).transpose()
    }

    pub(crate) fn destination(&self) -> Result<Destination> {
        Ok(Destination {
            identifier: column::parse(&self.identifier)?,
            name: column::parse(&self.name)?,
            description: column::parse(&self.description)?,
            tags: self.tags.get()?.clone(),
            status: self.status,
            connector_ref: column::parse(&self.connector)?,
            spec: self.spec.get()?.clone(),
        })
    }

    pub(crate) fn view(&self) -> Result<DestinationView> {
        Ok(DestinationView {
            streaming_destination: self.destination()?,
            created: self.created,
            updated: self.updated,
            status_updated: self.status_updated,
        })
    }
}

/// Returns a destination of any account, for the scheduler.
pub(crate) async fn by_id(engine: &Engine, id: i64) -> Result<Option<DestinationRow>> {
    Ok(sqlx::query_as(select!("d.id = $1"))
        .bind(id)
        .fetch_optional(engine.database().read())
        .await?)
}

pub(crate) async fn all(engine: &Engine, account_id: i64) -> Result<Vec<DestinationRow>> {
    Ok(sqlx::query_as(select!("d.account_id = $1"))
        .bind(account_id)
        .fetch_all(engine.database().read())
        .await?)
}

/// The part of a destination by which lists are searched and ordered.
#[derive(Debug, FromRow)]
pub(super) struct Summary {
    pub(super) id: i64,
    identifier: String,
    name: String,
    #[sqlx(try_from = "String")]
    pub(super) status: Status,
    created: EpochMillis,
    updated: EpochMillis,
}

impl Listed for Summary {
    fn identifier(&self) -> &str {
        &self.identifier
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn created(&self) -> i64 {
        self.created
    }
    fn updated(&self) -> i64 {
        self.updated
    }
}

pub(super) async fn summaries(engine: &Engine, account_id: i64) -> Result<Vec<Summary>> {
    let query = sqlx::query_as(
        "SELECT id, identifier, name, status, created, updated FROM streaming_destination WHERE account_id = $1",
    );
    Ok(query.bind(account_id).fetch_all(engine.database().read()).await?)
}

/// Returns the destinations with these ids that still exist, in this order.
pub(super) async fn by_ids(engine: &Engine, ids: &[i64]) -> Result<Vec<DestinationRow>> {
    let query = sqlx::query_as(engine.database().dialect().pick(
        select!("d.id IN (SELECT value FROM json_each('[' || $1 || ']'))"),
        select!("d.id = ANY (CAST(string_to_array($1, ',') AS BIGINT[]))"),
    ));
    let mut rows: Vec<DestinationRow> = query
        .bind(joined(ids.iter().copied()))
        .fetch_all(engine.database().read())
        .await?;
    rows.sort_by_key(|row| ids.iter().position(|id| *id == row.id));
    Ok(rows)
}

/// Joins ids by commas: the parameter of a query for several rows.
pub(super) fn joined(ids: impl Iterator<Item = i64>) -> String {
    ids.map(|id| id.to_string()).collect::<Vec<_>>().join(",")
}

pub(crate) async fn require(
    executor: impl AnyExecutor<'_>,
    account_id: i64,
    identifier: &str,
) -> Result<DestinationRow> {
    let query = sqlx::query_as(select!("d.account_id = $1 AND d.identifier = $2"))
        .bind(account_id)
        .bind(identifier);
    let row = query.fetch_optional(executor).await?;
    row.ok_or_else(|| Error::not_found("streaming destination", identifier))
}

/// Locks a destination until the transaction ends.
pub(crate) async fn lock(tx: &mut WriteTx, account_id: i64, identifier: &str) -> Result<DestinationRow> {
    let query = sqlx::query_as(tx.dialect().pick(
        select!("d.account_id = $1 AND d.identifier = $2"),
        select!("d.account_id = $1 AND d.identifier = $2 FOR UPDATE OF d"),
    ));
    let row = query
        .bind(account_id)
        .bind(identifier)
        .fetch_optional(&mut **tx)
        .await?;
    row.ok_or_else(|| Error::not_found("streaming destination", identifier))
}

/// Returns whether a destination is ACTIVE and has this epoch. If so, both stay that way until the
/// transaction ends.
pub(crate) async fn lock_shared(tx: &mut WriteTx, id: i64, epoch: i64) -> Result<bool> {
    let query = sqlx::query_scalar::<_, i64>(tx.dialect().pick(
        "SELECT id FROM streaming_destination WHERE id = $1 AND epoch = $2 AND status = 'ACTIVE'",
        "SELECT id FROM streaming_destination WHERE id = $1 AND epoch = $2 AND status = 'ACTIVE' FOR SHARE",
    ));
    Ok(query.bind(id).bind(epoch).fetch_optional(&mut **tx).await?.is_some())
}

pub(crate) async fn request_run(tx: &mut WriteTx, id: i64) -> Result<()> {
    let query = sqlx::query("UPDATE streaming_destination SET runs_requested = runs_requested + 1 WHERE id = $1");
    query.bind(id).execute(&mut **tx).await?;
    Ok(())
}
